"""`python -m opstrand.collector`: collect the files of the run that the environment names.

The variables are those of a client in the Pod. OPSTRAND_COLLECT_INTERVAL: seconds between two
looks; OPSTRAND_COLLECT_SECONDS: how long sending may go on after SIGTERM. Exit code 0: all files
are in the store; 1: some are not, and the last lines say which.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress

_LAST_WORDS = "/dev/termination-log"


class Termination:
    """SIGTERM, which the kubelet sends when the run's programs have ended."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        # An Event would not do: its lock may be held when the signal comes.
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: object) -> None:
        if self.at is None:
            self.at = time.monotonic()

    def wait(self, seconds: float) -> bool:
        if self.at is None:
            select.select([self._read], [], [], seconds)
        return self.at is not None


def main() -> int:
    # First of all: until then a container's first process does not notice the signal, which the
    # kubelet sends only once. What is imported below takes longer than some programs.
    ending = Termination()
    from ..client.connection import Connection
    from ..client.environment import Credentials, api_url, context_root, parse_instance
    from .collecting import Collector
    from .sending import Upload

    run = parse_instance()
    upload = Upload(Connection(api_url(), Credentials()), run)
    folder = os.path.join(context_root(), "artifacts", run.uuid)
    left = Collector(folder, upload, ending, _print).run(
        max(1.0, float(os.environ.get("OPSTRAND_COLLECT_INTERVAL") or 10)),
        float(os.environ.get("OPSTRAND_COLLECT_SECONDS") or 25),
    )
    for line in left:
        _print(line)
    if left and os.path.exists(_LAST_WORDS):
        with suppress(OSError), open(_LAST_WORDS, "w", encoding="utf-8") as file:
            file.write("\n".join(left))
    return 1 if left else 0


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
