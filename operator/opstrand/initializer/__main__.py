"""`python -m opstrand.initializer`: execute the init document of the environment.

OPSTRAND_INIT holds the document, or OPSTRAND_INIT_FILE the path of a gzipped one. The file must
match the SHA-256 in OPSTRAND_INIT_SHA256, because it comes from a ConfigMap that another user may
have made. OPSTRAND_ROOT, where set, is the prefix of every path: a laptop has no /plx-context.
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

#: The kubelet reads a container's termination message here; the log lacks it where the node is
#: busy.
_LAST_WORDS = "/dev/termination-log"
#: Bytes: far more than the init files of a run may have. A foreign document could unpack to more
#: than the memory.
_LONGEST = 16 * 1024 * 1024


def read_document(environment: dict[str, str]) -> dict[str, Any]:
    """Return the init document. Raises InitError if the environment names none."""
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
    # The user that main runs as must be able to write where this process wrote.
    os.umask(0)
    # The kernel drops a signal to the first process of a container unless that process handles it:
    # without a handler, a deadline would wait for the whole grace period.
    signal.signal(signal.SIGTERM, _stop)
    try:
        carry_out(read_document(dict(os.environ)), root=os.environ.get("OPSTRAND_ROOT", ""))
    except InitError as error:
        print(error, file=sys.stderr)
        _write_message(str(error))
        return 1
    return 0


def _write_message(message: str) -> None:
    if "OPSTRAND_ROOT" in os.environ or not os.path.exists(_LAST_WORDS):
        return
    with suppress(OSError), open(_LAST_WORDS, "w", encoding="utf-8") as file:
        file.write(message)


def _stop(number: int, frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    raise SystemExit(main())
