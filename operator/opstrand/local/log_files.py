"""The kept logs of local runs: a file for each attempt, a line for each line of the program, with
its time, as a kubelet keeps them.

Owns that form and its reading, also while it is written by another process. Must not know what a
run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

#: Before a line's text: whether its end belongs to it (F), or the program wrote none, or none yet
#: (P).
_FULL, _PART = b"F", b"P"


@dataclass(frozen=True)
class KeptLine:
    """One line:

    `at` is a time in UTC with nine decimals and a Z, `raw` the program's bytes, the line's end
    included where it had one.
    """

    at: str
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode(errors="replace").removesuffix("\n")


class LogWriter:
    """Appends to the log of one attempt."""

    def __init__(self, path: Path) -> None:
        # Not with the folders above: those of a run that was removed must not come back.
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
    """Reads the log of one attempt, again and again from where it stopped; one that is not there
    has no lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[KeptLine]:
        """The lines that were added since the last reading.

        A line that is being written is left for the next.
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
