"""`opstrand artifacts ls|get|put|rm`: the files that a run left, also if its Operation is gone."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opstrand.cli.command import COMMAND, execute, group
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, local_or_cluster_options, output_option
from opstrand.cli.output.console import say, show
from opstrand.cli.output.spinner import LiveLine
from opstrand.cli.output.transferred import Transferred, show_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opstrand.cli.run_files import RunFiles

#: A destination that is the standard output.
_STDOUT = "-"


@group
def artifacts() -> None:
    """List, copy and delete the files of runs.

    PATH is relative to the run's own folder. A run whose Operation is gone is found by its name or
    uuid, where the API keeps it.
    """


@asynccontextmanager
async def _open(target: Target, run: str) -> AsyncIterator[RunFiles]:
    """Open the files of the run that the text names, also of one whose Operation is gone."""
    if target.is_local:
        from opstrand.cli.local_files import open_local_files

        yield open_local_files(target, run)
        return
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.kept_files import KeptFiles

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            body = await cluster.find(run, with_gone=True)
        yield KeptFiles(cluster.api, body)


@artifacts.command("ls", cls=COMMAND)
@local_or_cluster_options
@click.argument("run", metavar="RUN")
@click.argument("path", metavar="[PATH]", required=False, default="")
@click.option("-r", "--recursive", is_flag=True, help="Every file below the folder, too.")
@output_option("table", "json", "name")
def list_artifacts(target: Target, run: str, path: str, recursive: bool, output: str) -> None:
    """List what is in a folder of a run's files.

    Without PATH it is the run's own folder; the names of folders end in a slash.
    """
    files, folders = execute(_list(target, run, path, is_deep=recursive))
    if output == "json":
        from opstrand.cli.output.format import as_json

        rows = [{"path": name, "size": size} for name, size in files]
        show(as_json({"files": rows, "folders": folders}))
    elif output == "name":
        for name in [*(f"{one}/" for one in folders), *(name for name, _ in files)]:
            show(name)
    elif files or folders:
        from opstrand.cli.output.table import as_table

        rows_of_folders = [["", f"{name}/"] for name in folders]
        show(as_table(["SIZE", "PATH"], [*rows_of_folders, *([show_size(n), p] for p, n in files)]))
    else:
        say("no files")


async def _list(
    target: Target, run: str, path: str, *, is_deep: bool
) -> tuple[list[tuple[str, int]], list[str]]:
    from opstrand.cli.run_files import check_given, walk

    path = check_given(path)
    async with _open(target, run) as files, LiveLine("waiting for the list"):
        size = await _find_size(files, path)
        if size is not None:
            return [(path, size)], []
        if is_deep:
            return [one async for one in walk(files, path)], []
        found = await files.list_folder(path)
    above = f"{path}/" if path else ""
    return [(above + name, size) for name, size in found.files.items()], [
        above + name for name in found.folders
    ]


async def _find_size(files: RunFiles, path: str) -> int | None:
    """Return the bytes of a file; None for a folder. Raises CliError for what is not there."""
    try:
        await files.list_folder(path)
    except CliError as error:
        facts = await files.find_file(path) if error.code == ExitCode.NOT_FOUND and path else None
        if facts is None:
            raise
        return facts.size
    return None


@artifacts.command("get", cls=COMMAND)
@local_or_cluster_options
@click.argument("run", metavar="RUN")
@click.argument("path", metavar="[PATH]", required=False, default="")
@click.argument("destination", metavar="[DESTINATION]", required=False, default="./")
@click.option("--archive", is_flag=True, help="A folder as one file NAME.tar.gz.")
@click.option("--again", is_flag=True, help="Also what is here already, of the same size and time.")
def get_artifacts(
    target: Target, run: str, path: str, destination: str, archive: bool, again: bool
) -> None:
    """Copy a file or folder of a run here.

    Without PATH it is all that the run has. The copy has the name DESTINATION; a DESTINATION that
    ends in a slash is a folder that gets the copy under its own name, and `-` is the standard
    output, for a file or an archive. A transfer that was interrupted goes on where it ended when
    the command is repeated; files that are here already are not read again.
    """
    done, place = execute(_get(target, run, path, destination, archive=archive, again=again))
    say(done.describe(place))


async def _get(
    target: Target, run: str, path: str, destination: str, *, archive: bool, again: bool
) -> tuple[Transferred, str]:
    from opstrand.cli import transfer
    from opstrand.cli.run_files import check_given

    path = check_given(path)
    async with _open(target, run) as files, LiveLine() as live:
        size = await _find_size(files, path)
        if archive and size is not None:
            raise CliError(f"--archive: {path!r} is a file: expected a folder")
        done = Transferred(live, f"copying from {files.run}", size)
        name = (path.rpartition("/")[2] or files.run) + (".tar.gz" if archive else "")
        is_one = archive or size is not None
        if destination == _STDOUT:
            if not is_one:
                raise CliError(f"{path or files.run} is a folder: add --archive to write it to -")
            write: Callable[[bytes], object] = sys.stdout.buffer.write
            if archive:
                await transfer.fetch_archive(files, path, write, done)
            else:
                await transfer.read_into(files, path, write, done)
            return done, "the standard output"
        place = _choose_place(destination, name, is_file=is_one)
        if archive:
            with _replacing(place) as write:
                await transfer.fetch_archive(files, path, write, done)
        elif size is not None:
            await transfer.fetch_file(files, path, place, done, size=size, again=again)
        else:
            await transfer.fetch_folder(files, path, place, done, again=again)
    return done, str(place)


def _choose_place(destination: str, name: str, *, is_file: bool) -> Path:
    place = Path(destination)
    is_folder = destination.endswith("/") or place.name in ("", ".", "..")
    return place / name if is_folder or (is_file and place.is_dir()) else place


@contextmanager
def _replacing(place: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a file that appears under its name once it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".opstrand-{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file.write
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)


@artifacts.command("put", cls=COMMAND)
@local_or_cluster_options
@click.argument("run", metavar="RUN")
@click.argument("source", metavar="FILE")
@click.argument("path", metavar="[PATH]", required=False, default="")
def put_artifacts(target: Target, run: str, source: str, path: str) -> None:
    """Copy a file or folder of this machine to a run.

    FILE may be a folder. The copy has the name PATH, by default that of FILE in the run's own
    folder; a PATH that ends in a slash is a folder that gets the copy under its own name. Links
    are left out. A file appears when all of it has arrived.
    """
    from opstrand.cli.run_files import check_given

    place = Path(source)
    if not place.exists():
        raise CliError(f"there is no file {source!r} here", code=ExitCode.NOT_FOUND)
    checked = check_given(path)
    if not checked or path.endswith("/"):
        checked = check_given(f"{path}{place.resolve().name}")
    done, name = execute(_put(target, run, _find_sources(place, checked)))
    say(done.describe(f"{name}:{checked}"))


async def _put(
    target: Target, run: str, sources: list[tuple[Path, str]]
) -> tuple[Transferred, str]:
    from opstrand.cli import transfer

    size = sum(one.stat().st_size for one, _ in sources)
    async with _open(target, run) as files, LiveLine() as live:
        done = Transferred(live, f"copying to {files.run}", size)
        await transfer.send_all(files, sources, done)
        return done, files.run


def _find_sources(source: Path, path: str) -> list[tuple[Path, str]]:
    """Return every file with its path in the run. Raises CliError for a path that none can have."""
    from opstrand.cli.run_files import check_given

    if not source.is_dir():
        if not source.is_file():
            raise CliError(f"{str(source)!r} is no file: expected a file or a folder")
        return [(source, path)]
    found = []
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            place = Path(folder, name)
            if stat.S_ISREG(place.lstat().st_mode):
                below = place.relative_to(source).as_posix()
                found.append((place, check_given(f"{path}/{below}")))
            else:
                say(f"left out {place}: it is a link or no file", "yellow")
    return found


@artifacts.command("rm", cls=COMMAND)
@local_or_cluster_options
@click.argument("run", metavar="RUN")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--all", "every", is_flag=True, help="All files of the run.")
@click.option("-y", "--yes", "--force", is_flag=True, help="Do not ask.")
def remove_artifacts(
    target: Target, run: str, paths: tuple[str, ...], every: bool, yes: bool
) -> int:
    """Delete files and folders of a run.

    A file is deleted at once; for a folder it asks, and without a terminal it needs -y. The run
    itself stays: `opstrand rm` deletes it.
    """
    if every == bool(paths):
        raise CliError("expected either a PATH or --all", hint="opstrand artifacts rm RUN PATH")
    return execute(_remove(target, run, paths or ("",), asks=not yes))


async def _remove(target: Target, run: str, paths: tuple[str, ...], *, asks: bool) -> int:
    from opstrand.cli.run_files import check_given

    checked = [check_given(path) for path in paths]
    if "" in checked and len(paths) != 1:
        raise CliError("an empty PATH: expected that of a file or folder, or --all")
    async with _open(target, run) as files:
        folders = [path for path in checked if await _find_size(files, path) is None]
        if folders and asks:
            _confirm([f"{files.run}:{path or 'all files'}" for path in folders])
        for path in checked:
            await files.delete(path)
            say(f"deleted {path or 'all files'} of {files.run}")
    return ExitCode.SUCCEEDED


def _confirm(names: list[Any]) -> None:
    """Ask whether to delete these folders. Raises CliError if not, and without a terminal."""
    from opstrand.text import inline, list_names

    shown = list_names(names)
    if not sys.stdin.isatty():
        raise CliError(
            f"not deleted: {shown}: there is no terminal to ask on, and it is more than a file",
            hint="-y deletes without asking.",
        )
    if not click.confirm(f"Delete {inline(shown)}?", err=True):
        raise CliError("nothing was deleted", code=ExitCode.INTERRUPTED)
