"""The files of a run of this machine, which are its own folder.

Must not reach a cluster.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

from opstrand.artifacts.folder import RunFiles as FolderOfRun
from opstrand.artifacts.names import BadPath, MissingFile
from opstrand.artifacts.receiving import Announced, Mismatch, Receiver
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.cli.run_files import BLOCK, Changed, Content, FileFacts, Folder


def open_local_files(target: Target, run: str) -> LocalFiles:
    """Open the files of the run that the text names. Raises CliError NOT_FOUND."""
    from opstrand.cli.local_runs import find_record
    from opstrand.core.names import run_uuid
    from opstrand.local.records import Records

    metadata = find_record(run, target.project)["metadata"]
    store, uuid = Records().store_of(metadata["namespace"]), run_uuid(metadata["uid"])
    return LocalFiles(str(metadata["name"]), store / uuid)


class LocalFiles:
    """`RunFiles` of a folder."""

    def __init__(self, run: str, folder: Path) -> None:
        self.run = run
        self._files = FolderOfRun.at(folder)

    async def list_folder(self, path: str) -> Folder:
        with self._explained():
            found = self._files.list_tree(path)
        return Folder(found.files, found.folders)

    async def find_file(self, path: str) -> FileFacts | None:
        with self._explained():
            try:
                return _read_facts(self._files.find_file(path).stat())
            except MissingFile:
                return None

    @asynccontextmanager
    async def read(self, path: str, *, start: int = 0, version: str = "") -> AsyncIterator[Content]:
        with self._explained():
            file = self._files.find_file(path).open("rb")
        with file:
            facts = _read_facts(os.fstat(file.fileno()))
            if version not in ("", facts.version):
                raise Changed
            file.seek(start)
            yield Content(facts, _read_blocks(file, facts.size - start))

    async def write(
        self, path: str, size: int, sha256: str, offset: int, data: bytes
    ) -> tuple[int, bool]:
        with self._explained():
            receiver = Receiver(self._files, Announced(path, size, sha256))
            if data and receiver.find_offset() == offset:
                await asyncio.to_thread(receiver.append, data)
            is_complete = await asyncio.to_thread(receiver.finish)
            reached = size if is_complete else receiver.find_offset()
        if is_complete:
            with suppress(OSError):
                self._files.incoming.rmdir()
        return reached, is_complete

    async def delete(self, path: str) -> None:
        with self._explained():
            if path:
                await asyncio.to_thread(self._files.delete, path)
            else:
                await asyncio.to_thread(self._files.delete_all)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (MissingFile, BadPath) as error:
            is_missing = isinstance(error, MissingFile)
            code = ExitCode.NOT_FOUND if is_missing else ExitCode.USAGE
            raise CliError(f"{self.run}: {error}", code=code) from None
        except Mismatch:
            raise Changed from None


async def _read_blocks(file: IO[bytes], left: int) -> AsyncIterator[bytes]:
    """Yield what was there when the file was opened: a run may append to it. Raises Changed if it
    becomes shorter.
    """
    while left > 0:
        block = await asyncio.to_thread(file.read, min(BLOCK, left))
        if not block:
            raise Changed
        left -= len(block)
        yield block


def _read_facts(found: os.stat_result) -> FileFacts:
    version = f"{found.st_mtime_ns:x}-{found.st_size:x}"
    return FileFacts(found.st_size, math.ceil(found.st_mtime), version)
