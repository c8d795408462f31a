"""The files of one run, those that the API keeps or those of a local run, behind one face.

Owns that a command need not know which they are, and that no name that a server sends leaves a
folder. Must not print.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from opstrand.artifacts.names import BadPath, check_path
from opstrand.cli.errors import CliError, ExitCode

#: Bytes that are read or sent at a time.
BLOCK = 1024 * 1024


class Changed(Exception):
    """The file is not the one any more that was announced, or of which a part was read."""


class Interrupted(Exception):
    """The transfer ended before its time, and may go on. `why` is what to raise if it may not."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True)
class Folder:
    """What is directly in a folder: the sizes of its files in bytes, and the names of folders."""

    files: dict[str, int] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FileFacts:
    """`size`: bytes. `modified`: the time of the last change in whole seconds, rounded up.

    `version`: an opaque text that another content of the file does not have.
    """

    size: int
    modified: float
    version: str


@dataclass(frozen=True)
class Content:
    """A file while it is read."""

    facts: FileFacts
    blocks: AsyncIterator[bytes]


class RunFiles(Protocol):
    """The files of one run. Paths are relative to the run's folder; "" is that folder.

    Every method raises CliError NOT_FOUND for a path that is not there.
    """

    @property
    def run(self) -> str:
        """The name of the run."""

    async def list_folder(self, path: str) -> Folder: ...

    async def find_file(self, path: str) -> FileFacts | None:
        """What is known of a file without reading it; None if this is no file."""

    def read(
        self, path: str, *, start: int = 0, version: str = ""
    ) -> AbstractAsyncContextManager[Content]:
        """Read a file from this byte on. Raises Changed if it has not this version, and
        Interrupted.
        """

    async def write(
        self, path: str, size: int, sha256: str, offset: int, data: bytes
    ) -> tuple[int, bool]:
        """Send a part of a file of this size and digest; return where it ends now, and whether it
        is a file of the run. Raises Changed and Interrupted.
        """

    async def delete(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it; "": all files."""


def check_given(path: str) -> str:
    """Return a path that a user gives. Raises CliError for one that no file can have."""
    try:
        return check_path(path)
    except BadPath as error:
        raise CliError(str(error), code=ExitCode.USAGE) from None


async def walk(files: RunFiles, path: str) -> AsyncIterator[tuple[str, int]]:
    """Yield the path and the size of every file in a folder and below it, folder by folder.

    Raises CliError for a name that leads out of the folder.
    """
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        found = await files.list_folder(folder)
        for name, size in found.files.items():
            yield _join(folder, name), size
        waiting += [_join(folder, name) for name in reversed(found.folders)]


def _join(folder: str, name: str) -> str:
    path = f"{folder}/{name}" if folder else name
    try:
        checked = check_path(path)
    except BadPath as error:
        raise CliError(f"a file of the run cannot be stored here: {error}") from None
    if "/" in name or not checked:
        raise CliError(f"the server names a file {name!r}: expected one without a slash")
    return checked
