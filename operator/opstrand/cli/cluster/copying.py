"""Files between a container of a run and this machine, as `tar` packs them there.

Owns which name a copy gets, and that nothing of an archive lands outside of it. Must not know local
runs.
"""

from __future__ import annotations

import posixpath
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from opstrand.cli.cluster.connection import open_cluster
from opstrand.cli.cluster.container import RunContainer, find_container
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.cli.output.console import say
from opstrand.core.identity import ARTIFACTS_PATH

_PIECE = 64 * 1024
#: Reads stdin to its end even if tar fails: a container runtime may wait for that for ever.
_UNPACK = 'tar xf - -C "$1"; code=$?; cat >/dev/null; exit $code'


async def download(target: Target, run: str, path: str, destination: Path, container: str) -> None:
    """Copy a path of the run to `destination`: into it if it is a folder, else to this name."""
    async with open_cluster(target) as cluster:
        found = await find_container(cluster, target, run, container)
        parent, name = posixpath.split(_resolve(found, path))
        with tempfile.TemporaryFile() as archive:
            words = ("tar", "cf", "-", "-C", parent, "--", name)
            await _tar(found, words, path, archive=archive)
            archive.seek(0)
            is_whole = posixpath.join(parent, name) == _own_folder(found)
            _unpack(archive, destination, found.run if is_whole else name)


async def upload(target: Target, source: Path, run: str, path: str, container: str) -> None:
    """Copy a file or folder to a path of the run: into it if it is a folder, else to this name."""
    async with open_cluster(target) as cluster:
        found = await find_container(cluster, target, run, container)
        wanted = _resolve(found, path)
        if path.endswith("/") or await _is_folder(found, wanted):
            parent, name = wanted, source.name
        else:
            parent, name = posixpath.split(wanted)
        with tempfile.TemporaryFile() as archive:
            _pack(source, name, archive)
            archive.seek(0)
            await _tar(
                found, ("sh", "-c", _UNPACK, "sh", parent), path, stdin=_iter_pieces(archive)
            )


def _own_folder(container: RunContainer) -> str:
    return f"{ARTIFACTS_PATH}/{container.uuid}"


def _resolve(container: RunContainer, path: str) -> str:
    """Return the absolute path. Raises CliError for the whole file system."""
    found = posixpath.normpath(posixpath.join(_own_folder(container), path))
    if not posixpath.basename(found):
        raise CliError(f"{container.run}:{path}: expected a file or folder below /")
    return found


async def _is_folder(container: RunContainer, path: str) -> bool:
    def ignore(_: bytes) -> None:
        pass

    return not await container.execute(("test", "-d", path), on_output=ignore, on_error=ignore)


async def _tar(
    container: RunContainer,
    words: tuple[str, ...],
    path: str,
    *,
    archive: IO[bytes] | None = None,
    stdin: AsyncIterator[bytes] | None = None,
) -> None:
    """Run tar there. Raises CliError with its words if it fails."""
    errors: list[bytes] = []
    code = await container.execute(
        words,
        stdin=stdin,
        on_output=archive.write if archive else errors.append,
        on_error=errors.append,
    )
    if code:
        said = b"".join(errors).decode(errors="replace").strip().partition("\n")[0]
        raise CliError(
            f"{container.run}: {path!r} cannot be copied: {said or f'tar ended with {code}'}",
            code=ExitCode.NOT_FOUND,
        )


async def _iter_pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _pack(source: Path, name: str, archive: IO[bytes]) -> None:
    """Pack a file or folder under this name. Its owner there is the user who unpacks it."""

    def disown(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=archive, mode="w") as packed:
        packed.add(source, arcname=name, filter=disown)


def _unpack(archive: IO[bytes], destination: Path, name: str) -> None:
    """Unpack what a Pod sent: into a folder under `name`, else to this name.

    Nothing may land outside of the copy, and no device is made. A link that leads outside is left
    out.
    """
    copy = destination / name if destination.is_dir() else destination
    with tarfile.open(fileobj=archive) as packed:
        for member in packed:
            try:
                _extract(packed, member, copy)
            except tarfile.FilterError as error:
                say(f"left out {member.name}: {error}", "yellow")
            except (tarfile.TarError, OSError) as error:
                raise CliError(f"{member.name} cannot be written to {copy}: {error}") from None


def _extract(packed: tarfile.TarFile, member: tarfile.TarInfo, copy: Path) -> None:
    """Extract a member: the first name of its path becomes `copy`."""
    below = member.name.partition("/")[2]
    if below and copy.is_symlink():
        raise tarfile.TarError("it is below a link")
    inner = member.replace(name=below or copy.name, deep=False)
    if member.islnk():
        inner.linkname = member.linkname.partition("/")[2]
    packed.extract(inner, copy if below else copy.parent, filter="data")
