"""`python -m opstrand.initializer`: carry out the init document of the environment.

OPSTRAND_INIT holds the document, or OPSTRAND_INIT_FILE the path of a gzipped one, which must have
the SHA-256 that OPSTRAND_INIT_SHA256 says: the file comes from a ConfigMap, which others may have
made. OPSTRAND_ROOT, where set, stands before every path: a laptop has no /plx-context.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import os
import signal
import sys
import zlib
from contextlib import suppress
from typing import Any

from opstrand.initializer.failure import Stopped
from opstrand.initializer.steps import InitError, carry_out

#: Where a kubelet takes a container's last words from; the log lacks them where its node is busy.
_LAST_WORDS = "/dev/termination-log"
#: Bytes: far more than the init files of a run may have. A foreign document could unpack to more
#: than the memory.
_LONGEST = 16 * 1024 * 1024


def read_document(environment: dict[str, str]) -> dict[str, Any]:
    """The init document. Raises InitError where the environment names none."""
    if "OPSTRAND_INIT" in environment:
        return json.loads(environment["OPSTRAND_INIT"])  # type: ignore[no-any-return]
    path = environment.get("OPSTRAND_INIT_FILE")
    if path is None:
        raise InitError(
            "neither OPSTRAND_INIT nor OPSTRAND_INIT_FILE is set: this is for init containers of "
            "runs"
        )
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(_LONGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InitError(
            "what is to be done cannot be read: is the ConfigMap of the Pod's name another's? "
            f"{error}"
        ) from error
    expected = environment.get("OPSTRAND_INIT_SHA256", "")
    found = hashlib.sha256(data).hexdigest()
    if not hmac.compare_digest(found, expected):
        raise InitError(
            f"the init document is not this run's: expected SHA-256 {expected or '(none)'}, found "
            f"{found}; "
            "the ConfigMap of the Pod's name was made or changed by another: delete it and run "
            "again"
        )
    return json.loads(data)  # type: ignore[no-any-return]


def main() -> int:
    # Whoever main runs as must be able to write where we wrote.
    os.umask(0)
    # The first process of a container gets no signal that it does not ask for: a deadline would
    # wait for the end of its grace.
    signal.signal(signal.SIGTERM, _stop)
    try:
        carry_out(read_document(dict(os.environ)), root=os.environ.get("OPSTRAND_ROOT", ""))
    except InitError as error:
        print(error, file=sys.stderr)
        _leave_words(str(error))
        return 1
    return 0


def _leave_words(words: str) -> None:
    if "OPSTRAND_ROOT" in os.environ or not os.path.exists(_LAST_WORDS):
        return
    with suppress(OSError), open(_LAST_WORDS, "w", encoding="utf-8") as file:
        file.write(words)


def _stop(number: int, frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    raise SystemExit(main())
