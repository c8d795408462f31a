"""Receive a file in parts, each appended to a temporary file, which becomes the run's at the end.

A part that was not acknowledged is sent again from where the temporary file ends. Owns that a file
is kept only with the size and SHA-256 that were announced, and is on the disk before it is
acknowledged. Must not know HTTP. All methods block.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal

from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.names import MissingFile, check_file
from opstrand.errors import PlatformError

_BLOCK = 1024 * 1024
#: Bytes of a file that counts as small, and how many larger ones are stored at the same time: a
#: bucket gets a file of one part from memory, and the API has little of that.
SMALL = 1024 * 1024
MOST_LARGE = 4
#: Seconds.
_STALE = 24 * 3600
#: How often a folder is made that is removed at once.
_TRIES = 100


class Mismatch(ValueError):
    """What arrived is not what was announced: the file changed while it was sent."""


@dataclass(frozen=True)
class Announced:
    """A file before it is sent: its path in the run's folder, its bytes, its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


class Receiver:
    """Receives one announced file."""

    def __init__(self, files: RunFiles, announced: Announced) -> None:
        self._files, self._announced = files, announced
        name = hashlib.sha256(check_file(announced.path).encode()).hexdigest()[:32]
        #: The key of this transfer: two of the same key must not write at the same time.
        self.place = files.incoming / f"{name}-{announced.sha256}-{announced.size}"

    def find_offset(self) -> int:
        """Return how many bytes have arrived."""
        try:
            return self.place.stat().st_size
        except FileNotFoundError:
            return 0

    def is_kept(self) -> bool:
        """Return whether the run has a file of this path and size."""
        try:
            found = self._files.find_stored(self._announced.path)
            size = found.stat().st_size if isinstance(found, Path) else found.size
        except (MissingFile, FileNotFoundError):
            return False
        return size == self._announced.size

    def append(self, data: bytes) -> None:
        """Append a part of the content.

        Raises Mismatch, and forgets what arrived, for more than was announced.
        """
        if self.find_offset() + len(data) > self._announced.size:
            self.place.unlink(missing_ok=True)
            raise Mismatch(f"{self._announced.path!r} is longer than was announced")
        with _open_below(self.place, "ab") as file:
            file.write(data)

    def finish(self) -> bool:
        """Make the file the run's if all of it has arrived; return whether it has.

        Raises Mismatch, and forgets what arrived, if its content is not the announced one; and
        PlatformError if the bucket does not keep it now.
        """
        if self.find_offset() < self._announced.size:
            return False
        if not self._announced.size:
            self.append(b"")
        try:
            with self.place.open("rb") as file:
                found = hashlib.sha256()
                while block := file.read(_BLOCK):
                    found.update(block)
                os.fsync(file.fileno())
            if found.hexdigest() != self._announced.sha256:
                raise Mismatch(f"{self._announced.path!r} changed while it was sent")
            self._files.keep(self.place, self._announced.path)
        except PlatformError:
            # The bucket is away: the next try sends nothing again.
            raise
        except BaseException:
            self.place.unlink(missing_ok=True)
            raise
        self.place.unlink(missing_ok=True)
        return True


def _open_below(place: Path, mode: Literal["ab", "xb"]) -> BinaryIO:
    """Open a file for writing, in a folder that is made where it is missing.

    Another transfer may remove the folder between the two, when it was empty or with its run.
    """
    for _ in range(_TRIES):
        # `mkdir` says that a folder exists which is removed while it looks.
        with suppress(FileNotFoundError, FileExistsError):
            place.parent.mkdir(parents=True, exist_ok=True)
            return place.open(mode)
    return place.open(mode)


def forget_stale(base: Path, now: float) -> None:
    """Delete what was being received and has not grown for a day: no client sends the rest. Delete
    empty folders of runs too.

    `base` is the folder of all files, `now` a time of the wall clock in seconds.
    """
    for place in (base / "incoming").glob("*/*/*"):
        with suppress(FileNotFoundError):
            if now - place.stat().st_mtime > _STALE:
                place.unlink()
    for folder in (base / "incoming").glob("*/*"):
        # One in use is not empty, or is made again.
        with suppress(OSError):
            folder.rmdir()


class Scratch:
    """A temporary file for an upload of unknown length; deleted at the end unless it was kept."""

    def __init__(self, files: RunFiles) -> None:
        self.place: Path = files.incoming / f"upload-{secrets.token_hex(16)}"
        self._file = _open_below(self.place, "xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def close(self, *, is_synced: bool = True) -> None:
        """End the file, and put it on the disk unless that is done for many files together."""
        self._file.flush()
        if is_synced:
            os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._file.close()
        self.place.unlink(missing_ok=True)
