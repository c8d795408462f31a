"""Folders of a run as tar.gz: written as a stream, and unpacked within bounds.

Owns what may be in an archive that is unpacked: plain files with allowed paths, up to a number and
a size. Must not know HTTP. Both functions block.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.names import check_file
from opstrand.artifacts.receiving import Scratch, sync_all

_BLOCK = 1024 * 1024


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
        for name, place in (first, *found) if first is not None else ():
            # A file may be replaced while it is read: the open one stays as it was.
            with place.open("rb") as file:
                archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)


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
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadArchive(f"the upload is not a whole tar archive: {error}") from None


def _check(archive: Path, prefix: str, bounds: Bounds) -> None:
    count = size = 0
    with tarfile.open(archive) as members:
        for member in members:
            if member.isdir():
                continue
            if not member.isreg():
                raise BadArchive(
                    f"{member.name[:80]!r} in the archive is a link or a device; expected files"
                )
            check_file(prefix + _relative(member.name))
            count, size = count + 1, size + member.size
            if count > bounds.files or size > bounds.size:
                raise BadArchive(
                    f"the archive has more than {bounds.files:,} files or {bounds.size:,} bytes"
                )


def _relative(name: str) -> str:
    return name.removeprefix("./")


def _extract(archive: Path, files: RunFiles, prefix: str) -> int:
    count = 0
    with tarfile.open(archive) as members:
        for member in members:
            source = members.extractfile(member) if member.isreg() else None
            if source is None:
                continue
            with Scratch(files) as scratch:
                while block := source.read(_BLOCK):
                    scratch.write(block)
                scratch.close(is_synced=False)
                files.keep(scratch.place, prefix + _relative(member.name))
            count += 1
    if count:
        sync_all(files.folder)
    return count
