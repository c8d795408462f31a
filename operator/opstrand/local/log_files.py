"""The logs of local runs: a file for each attempt, with the time of each line, as a kubelet's.

Owns that format and its reader, which may read while another process writes. Must not know what a
run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

#: The tag before a line's text: F if the line ended with a newline, P if it had none, or none yet.
_FULL, _PART = b"F", b"P"


@dataclass(frozen=True)
class KeptLine:
    """One line of a log.

    `at` is a time in UTC with nine decimals and a Z; `raw` holds the program's bytes, with the
    newline if there was one.
    """

    at: str
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode(errors="replace").removesuffix("\n")


class LogWriter:
    """Appends to the log of one attempt."""

    def __init__(self, path: Path) -> None:
        # Do not create the parent folders: those of a removed run must not come back.
        path.parent.mkdir(exist_ok=True)
        self._file: BinaryIO = path.open("ab")

    def write(self, line: bytes) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
        tag = _FULL if line.endswith(b"\n") else _PART
        self._file.write(b" ".join((stamp, tag, line.removesuffix(b"\n"))) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class LogReader:
    """Reads the log of one attempt; each call continues where the last one stopped.

    A log that does not exist has no lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[KeptLine]:
        """Yield the lines that were added since the last call.

        A line that is still being written is left for the next call.
        """
        try:
            file = self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return
        with file:
            file.seek(self._offset)
            for record in file:
                if not record.endswith(b"\n"):
                    return
                self._offset += len(record)
                yield _parse(record)


def _parse(record: bytes) -> KeptLine:
    stamp, _, rest = record.partition(b" ")
    tag, _, text = rest.partition(b" ")
    return KeptLine(
        stamp.decode(errors="replace"), text if tag == _FULL else text.removesuffix(b"\n")
    )
