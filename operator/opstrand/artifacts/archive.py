"""Folders of a run as tar.gz: written as a stream, and unpacked within bounds.

Owns what may be in an archive that is unpacked: plain files with allowed paths, up to a number and
a size. Must not know HTTP. Both functions block.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.names import check_file
from opstrand.artifacts.receiving import Scratch
from opstrand.artifacts.stored_object import StoredObject

_BLOCK = 1024 * 1024
#: How a compressed archive begins -> what reads it.
_UNPACKERS: dict[bytes, Callable[[Path, str], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}


class Sink(Protocol):
    """Where an archive is written to."""

    def write(self, data: bytes, /) -> int: ...


class BadArchive(ValueError):
    """An archive that is not unpacked. The text says why."""


@dataclass(frozen=True)
class Bounds:
    """How many files, and how many bytes of them, an archive may have."""

    files: int = 100_000
    size: int = 50 * 1024**3


def write_archive(files: RunFiles, path: str, sink: Sink) -> None:
    """Write a folder's files as tar.gz. Raises MissingFile before the first byte."""
    found = files.walk(path)
    first = next(found, None)
    with (
        gzip.GzipFile(fileobj=_as_file(sink), mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(mode="w|", fileobj=packed) as archive,
    ):
        for name, stored in (first, *found) if first is not None else ():
            _add(archive, name, stored)


def _add(archive: tarfile.TarFile, name: str, stored: Path | StoredObject) -> None:
    if isinstance(stored, Path):
        # A file may be replaced while it is read: the open one stays as it was.
        with stored.open("rb") as file:
            archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)
        return
    member = tarfile.TarInfo(name)
    member.size, member.mtime = stored.size, int(stored.modified.timestamp())
    with stored.open() as content:
        archive.addfile(member, content)


class _Writable:
    """The little of a file that `gzip` needs of a stream."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return self._sink.write(data)

    def flush(self) -> None:
        """`gzip` flushes at its end."""


def _as_file(sink: Sink) -> IO[bytes]:
    return _Writable(sink)  # type: ignore[return-value]


def unpack(archive: Path, files: RunFiles, path: str, bounds: Bounds = Bounds()) -> int:
    """Unpack a tar (compressed or not) into a folder of the run; return how many files it had.

    All members are checked before the first is written. Raises BadArchive and BadPath.
    """
    prefix = f"{path}/" if path else ""
    try:
        _check(archive, prefix, bounds)
        return _extract(archive, files, prefix)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BadArchive(f"the upload is not a whole tar archive: {error}") from None


@contextmanager
def _open(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive of any compression. What it says of a member is read within a bound."""
    with archive.open("rb") as file:
        begin = file.read(8)
    unpacked = next((one for magic, one in _UNPACKERS.items() if begin.startswith(magic)), open)
    with (
        cast("IO[bytes]", unpacked(archive, "rb")) as content,
        tarfile.open(fileobj=_Bounded(content), mode="r:") as members,
    ):
        yield members


class _Bounded(io.BufferedIOBase):
    """A file that refuses to read much at once: `tarfile` reads the head of a member whole."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._content.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _BLOCK:
            raise BadArchive(f"the archive has a head of more than {_BLOCK:,} bytes")
        return self._content.read(size)


def _check(archive: Path, prefix: str, bounds: Bounds) -> None:
    count = size = 0
    with _open(archive) as members:
        for member in members:
            # Also those of which nothing is kept.
            count += 1
            if count > bounds.files:
                raise BadArchive(f"the archive has more than {bounds.files:,} members")
            if member.isdir():
                continue
            if not member.isreg():
                raise BadArchive(
                    f"{member.name[:80]!r} in the archive is a link or a device; expected files"
                )
            check_file(prefix + _relative(member.name))
            size += member.size
            if size > bounds.size:
                raise BadArchive(f"the archive has more than {bounds.size:,} bytes of files")


def _relative(name: str) -> str:
    return name.removeprefix("./")


def _extract(archive: Path, files: RunFiles, prefix: str) -> int:
    count = 0
    # A bucket keeps many files in the time of one.
    with _open(archive) as members, ThreadPoolExecutor(files.at_a_time) as pool:
        running = deque[Future[None]]()
        for member in members:
            source = members.extractfile(member) if member.isreg() else None
            if source is None:
                continue
            while len(running) >= files.at_a_time:
                running.popleft().result()
            scratch = _copy(source, files)
            path = prefix + _relative(member.name)
            running.append(pool.submit(_keep, files, scratch, path))
            count += 1
        while running:
            running.popleft().result()
    if count:
        files.sync()
    return count


def _copy(source: IO[bytes], files: RunFiles) -> Scratch:
    scratch = Scratch(files)
    try:
        while block := source.read(_BLOCK):
            scratch.write(block)
        scratch.close(is_synced=False)
    except BaseException:
        scratch.__exit__(None, None, None)
        raise
    return scratch


def _keep(files: RunFiles, scratch: Scratch, path: str) -> None:
    with scratch:
        files.keep(scratch.place, path)
