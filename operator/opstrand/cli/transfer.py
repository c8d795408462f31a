"""Copy files of a run to this machine and back: in blocks, and from where an earlier try ended.

Owns how a transfer goes on: a file that is read appears under its name when all of it is there, and
until then in a hidden file beside it, whose name holds its version. Must not print.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.transferred import Transferred
from opstrand.cli.part_file import PartFile
from opstrand.cli.run_files import BLOCK, Changed, FileFacts, Interrupted, RunFiles, walk

Item = TypeVar("Item")
Write = Callable[[bytes], object]

#: Files that are transferred at the same time: each costs a few requests.
_AT_A_TIME = 6
#: Tries without a byte between them, and seconds before the first; they double with each.
_TRIES, _PAUSE = 6, 0.5
#: Tries to send a file that changes while it is sent.
_MOST_CHANGES = 3
#: Bytes of one request that sends a part.
PART = 4 * 1024 * 1024
#: A block of a tar archive.
_TAR_BLOCK = 512


class _Patience:
    """Decides whether a transfer goes on after it was interrupted."""

    def __init__(self) -> None:
        self._failures = 0

    def renew(self) -> None:
        """Something arrived."""
        self._failures = 0

    async def wait(self, interrupted: Interrupted) -> None:
        """Wait before the next try. Raises why the last one failed if there is none."""
        self._failures += 1
        if self._failures >= _TRIES:
            raise interrupted.why
        await asyncio.sleep(_PAUSE * 2 ** (self._failures - 1))


# -- from a run


async def read_into(files: RunFiles, path: str, write: Write, done: Transferred) -> None:
    """Read a file from its beginning, and pass each block on. Raises CliError if it changes."""
    try:
        async with aclosing(_Reading(files, path, done).iter_blocks()) as blocks:
            async for block in blocks:
                write(block)
    except Changed:
        raise _explain_change(files, path) from None
    done.finish_file()


class _Reading:
    """Reads one version of a file, and goes on after interruptions.

    `facts`: what is known of the file once its reading has begun.
    """

    def __init__(
        self, files: RunFiles, path: str, done: Transferred, start: int = 0, version: str = ""
    ) -> None:
        self._files, self._path, self._done = files, path, done
        self._offset, self.version = start, version
        self.facts: FileFacts | None = None

    async def iter_blocks(self) -> AsyncGenerator[bytes, None]:
        """Raises Changed if the file has another version, or gets one."""
        patience = _Patience()
        while self.facts is None or self._offset < self.facts.size:
            try:
                async with self._files.read(
                    self._path, start=self._offset, version=self.version
                ) as content:
                    self.facts, self.version = content.facts, content.facts.version
                    async for block in content.blocks:
                        patience.renew()
                        self._offset += len(block)
                        self._done.add(len(block))
                        yield block
            except Interrupted as error:
                await patience.wait(error)


async def fetch_file(
    files: RunFiles, path: str, place: Path, done: Transferred, *, size: int, again: bool
) -> None:
    """Copy one file to `place`, unless it is there with its size and time; `again`: even then.

    `size`: what a list said of it.
    """
    if not again and await _is_there(files, path, place, size):
        done.finish_file(is_kept=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    for is_last in (False, True):
        try:
            await _fetch_version(files, path, place, done)
            break
        except Changed:
            if is_last:
                raise _explain_change(files, path) from None
    done.finish_file()


async def _is_there(files: RunFiles, path: str, place: Path, size: int) -> bool:
    found = _look(place)
    if found is None or found[0] != size:
        return False
    facts = await files.find_file(path)
    return facts is not None and (facts.size, facts.modified) == found


def _look(place: Path) -> tuple[int, float] | None:
    """Return the size and the time of a file of this machine; None if there is none."""
    try:
        found = place.lstat()
    except OSError:
        return None
    return found.st_size, found.st_mtime


async def _fetch_version(files: RunFiles, path: str, place: Path, done: Transferred) -> None:
    """Raises Changed, and forgets what arrived, if the file is another one by now, and CliError if
    another command copies it to this place.
    """
    with PartFile(place) as part:
        reading = _Reading(files, path, done, part.size, part.version)
        done.continue_at(part.size)
        try:
            async with aclosing(reading.iter_blocks()) as blocks:
                async for block in blocks:
                    part.begin(reading.version)
                    part.append(block)
        except Changed:
            part.remove()
            raise
        assert reading.facts is not None
        part.begin(reading.version)
        part.finish(reading.facts)


def _explain_change(files: RunFiles, path: str) -> CliError:
    return CliError(
        f"{files.run}: {path!r} changed while it was read",
        hint="Try again once the run does not write it any more.",
        code=ExitCode.UNREACHABLE,
    )


async def fetch_folder(
    files: RunFiles, path: str, place: Path, done: Transferred, *, again: bool
) -> None:
    """Copy a folder with all that is in it to `place`, where other files stay as they are."""

    async def fetch(found: tuple[str, int]) -> None:
        name, size = found
        below = name[len(path) + 1 :] if path else name
        await fetch_file(files, name, place / below, done, size=size, again=again)

    await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
    await _for_each(walk(files, path), fetch)


async def fetch_archive(files: RunFiles, path: str, write: Write, done: Transferred) -> None:
    """Write a folder as tar.gz. It is packed here: a connection that ends does not end it."""
    sink = _Sink(write)
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1, mtime=0) as packed:
        async for name, _ in walk(files, path):
            await _pack(files, name, name[len(path) + 1 :] if path else name, packed.write, done)
        packed.write(bytes(2 * _TAR_BLOCK))


class _Sink:
    """The little of a file that `gzip` needs."""

    def __init__(self, write: Write) -> None:
        self.write = write

    def flush(self) -> None:
        """`gzip` flushes at its end."""


async def _pack(files: RunFiles, path: str, name: str, write: Write, done: Transferred) -> None:
    """Write one member of an archive: its head, the content, and zeros up to a whole block."""
    reading, has_head = _Reading(files, path, done), False
    try:
        async with aclosing(reading.iter_blocks()) as blocks:
            async for block in blocks:
                if not has_head:
                    write(_write_head(name, reading.facts))
                    has_head = True
                await asyncio.to_thread(write, block)
    except Changed:
        raise _explain_change(files, path) from None
    if not has_head:
        write(_write_head(name, reading.facts))
    assert reading.facts is not None
    write(bytes(-reading.facts.size % _TAR_BLOCK))
    done.finish_file()


def _write_head(name: str, facts: FileFacts | None) -> bytes:
    assert facts is not None
    member = tarfile.TarInfo(name)
    member.size, member.mtime = facts.size, facts.modified
    return member.tobuf(tarfile.PAX_FORMAT)


# -- to a run


async def send_file(files: RunFiles, source: Path, path: str, done: Transferred) -> None:
    """Make a file of this machine the run's at this path."""
    for _ in range(_MOST_CHANGES):
        try:
            await _send_version(files, source, path, done)
        except Changed:
            continue
        done.finish_file()
        return
    raise CliError(
        f"{str(source)!r} changed while it was sent", hint="Send it again once it is complete."
    )


async def _send_version(files: RunFiles, source: Path, path: str, done: Transferred) -> None:
    """Send a file as it is now. Raises Changed if it does not stay so."""
    size, sha256 = await asyncio.to_thread(_measure, source)
    patience, offset, is_complete = _Patience(), 0, False
    # The API may have a part of a large file already: an empty part asks.
    is_asked = size <= PART
    while not is_complete:
        data = await asyncio.to_thread(_read_part, source, offset, size) if is_asked else b""
        try:
            reached, is_complete = await files.write(path, size, sha256, offset, data)
        except Interrupted as error:
            await patience.wait(error)
            is_asked = False
            continue
        if is_asked and reached > offset:
            patience.renew()
            done.add(reached - offset)
        elif reached > offset:
            done.continue_at(reached - offset)
        elif is_asked and not is_complete:
            raise Changed
        offset, is_asked = reached, True


def _measure(source: Path) -> tuple[int, str]:
    found = hashlib.sha256()
    with source.open("rb") as file:
        size = left = os.fstat(file.fileno()).st_size
        while left:
            block = file.read(min(BLOCK, left))
            if not block:
                raise Changed
            found.update(block)
            left -= len(block)
    return size, found.hexdigest()


def _read_part(source: Path, offset: int, size: int) -> bytes:
    with source.open("rb") as file:
        file.seek(offset)
        data = file.read(min(PART, size - offset))
    if not data and size > offset:
        raise Changed
    return data


async def send_all(files: RunFiles, sources: list[tuple[Path, str]], done: Transferred) -> None:
    """Send files of this machine, each to its path in the run's folder."""

    async def iter_sources() -> AsyncIterator[tuple[Path, str]]:
        for one in sources:
            yield one

    async def send(found: tuple[Path, str]) -> None:
        await send_file(files, *found, done)

    await _for_each(iter_sources(), send)


async def _for_each(items: AsyncIterator[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do it to a few at a time. Raises the first error, after which the others are ended."""
    running: set[asyncio.Future[None]] = set()
    try:
        async for item in items:
            running.add(asyncio.ensure_future(work(item)))
            if len(running) >= _AT_A_TIME:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
