"""The hidden file beside a target that holds the beginning of it until all of it is there.

Owns that one command at a time writes it: two that append to it would leave a file of the right
size with a wrong content. Must not read from a run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.run_files import Changed, FileFacts


class PartFile:
    """`version`: that of the file in the run, which the name of this file holds; "" until it is
    known. A context, at whose end another command may go on.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._file = -1
        self.version = ""

    def __enter__(self) -> PartFile:
        """Take what an earlier try left. Raises CliError if another command writes it."""
        version = self._find_version()
        if version:
            self._hold(version)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size if self._file >= 0 else 0

    def begin(self, version: str) -> None:
        """Begin the part of this version, unless it was found. Raises CliError if another command
        writes it.
        """
        if self._file < 0:
            self._hold(version)
            # Another command may have begun and left it since this one looked for it.
            os.ftruncate(self._file, 0)

    def append(self, block: bytes) -> None:
        left = memoryview(block)
        while left:
            left = left[os.write(self._file, left) :]

    def remove(self) -> None:
        if self._file >= 0:
            self._place_of(self.version).unlink(missing_ok=True)

    def finish(self, facts: FileFacts) -> None:
        """Give the file its name. Raises Changed if it is not whole, or was removed."""
        if self.size != facts.size:
            self.remove()
            raise Changed
        os.utime(self._file, (facts.modified, facts.modified))
        try:
            os.replace(self._place_of(self.version), self._target)
        except FileNotFoundError:
            raise Changed from None

    def _find_version(self) -> str:
        prefix = self._place_of("").name.removesuffix(".part")
        for place in self._target.parent.glob(f"{prefix}*.part"):
            # A name that is none of ours, or a file that another command has just finished.
            with suppress(ValueError, FileNotFoundError):
                version = bytes.fromhex(place.name[len(prefix) : -len(".part")]).decode()
                if version and place.stat().st_size:
                    return version
        return ""

    def _place_of(self, version: str) -> Path:
        name = hashlib.sha256(os.fsencode(self._target.name)).hexdigest()[:16]
        return self._target.with_name(f".opstrand-{name}-{version.encode().hex()}.part")

    def _hold(self, version: str) -> None:
        place = self._place_of(version)
        while self._file < 0:
            file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._lock(file)
                # The command that had the lock may have renamed or removed the opened file.
                if _is_at(file, place):
                    self._file, self.version, file = file, version, -1
            finally:
                if file >= 0:
                    os.close(file)

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CliError(
                f"another command copies {str(self._target)!r}",
                hint="Wait until it has ended, or copy to another place.",
                code=ExitCode.UNREACHABLE,
            ) from None
        except OSError:
            # A file system without locks: the size is checked at the end.
            return


def _is_at(file: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), place.stat())
    except FileNotFoundError:
        return False
