"""`opstrand cp`: files between a run and this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, container_option, local_or_cluster_options
from opstrand.cli.output.console import say
from opstrand.core.names import container_name

#: How a path of this machine begins that has a colon, and how any absolute one does.
_HERE = ("/", "./", "../", "~")


@dataclass(frozen=True)
class RunPath:
    """A path of a run: relative to its own folder, or absolute in its container."""

    run: str
    path: str


@command
@local_or_cluster_options
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="DESTINATION")
@container_option
def cp(target: Target, source: str, destination: str, container: str) -> int:
    """Copy a file or folder of a run here, or from here to a run.

    One of SOURCE and DESTINATION is RUN:PATH. PATH is relative to the run's own folder
    (`globals.run_artifacts_path`): `train:outputs`. A DESTINATION that is a folder gets the copy
    under its own name. In a cluster the run must be running, and its image must have `tar`.
    """
    there, here = _parse(source), _parse(destination)
    if there is not None and here is not None:
        raise CliError(
            f"{source!r} and {destination!r}: expected one of this machine",
            hint=f"A path of this machine that has a colon begins with ./: ./{destination}",
        )
    if there is not None:
        _copy_from(target, there, Path(destination), container)
    elif here is not None:
        _copy_to(target, _find_source(source), here, container)
    else:
        raise CliError(
            f"{source!r} and {destination!r}: expected one that is RUN:PATH",
            hint="opstrand cp train:outputs .",
        )
    say(f"copied {source} to {destination}")
    return ExitCode.SUCCEEDED


def _parse(text: str) -> RunPath | None:
    """Return a run's path for RUN:PATH; None for a path of this machine."""
    run, sign, path = text.partition(":")
    return RunPath(run, path) if run and sign and not text.startswith(_HERE) else None


def _find_source(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise CliError(f"there is no file {text!r} here", code=ExitCode.NOT_FOUND)
    return path.resolve()


def _copy_from(target: Target, there: RunPath, destination: Path, container: str) -> None:
    if not (destination.is_dir() or destination.parent.is_dir()):
        raise CliError(f"{destination.parent} is no folder: expected one that exists")
    if target.is_local:
        folder, name = _folder_here(target, there.run)
        found = _locate(folder, there, name)
        _copy_here(found, destination, name if found == folder else found.name)
    else:
        from opstrand.cli.cluster.copying import download

        execute(download(target, there.run, there.path, destination, container_name(container)))


def _copy_to(target: Target, source: Path, there: RunPath, container: str) -> None:
    if target.is_local:
        folder, name = _folder_here(target, there.run)
        destination = (folder / there.path).resolve()
        if not destination.is_relative_to(folder):
            raise _outside(name, there.path)
        if not (destination.is_dir() or destination.parent.is_dir()):
            raise _missing(name, there.path, folder)
        _copy_here(source, destination, source.name)
    else:
        from opstrand.cli.cluster.copying import upload

        execute(upload(target, source, there.run, there.path, container_name(container)))


def _folder_here(target: Target, run: str) -> tuple[Path, str]:
    """Return the folder of a local run, and the run's name."""
    from opstrand.cli.local_runs import find_record
    from opstrand.core.names import run_uuid
    from opstrand.local.records import Records

    metadata = find_record(run, target.project)["metadata"]
    folder = Records().store_of(metadata["namespace"]) / run_uuid(metadata["uid"])
    return folder.resolve(), metadata["name"]


def _locate(folder: Path, there: RunPath, name: str) -> Path:
    found = (folder / there.path).resolve()
    if not found.is_relative_to(folder):
        raise _outside(name, there.path)
    if not found.exists():
        raise _missing(name, there.path, folder)
    return found


def _outside(name: str, path: str) -> CliError:
    return CliError(
        f"{path!r} is outside of the folder of {name}: expected a path relative to it",
        code=ExitCode.NOT_FOUND,
    )


def _missing(name: str, path: str, folder: Path) -> CliError:
    there = ", ".join(sorted(one.name for one in folder.glob("*"))) or "nothing"
    return CliError(f"{name} has no file {path!r} (it has: {there})", code=ExitCode.NOT_FOUND)


def _copy_here(source: Path, destination: Path, name: str) -> None:
    """Copy within this machine: into a folder under `name`, else to this name."""
    wanted = destination / name if destination.is_dir() else destination
    if source.is_dir() and wanted.is_file():
        raise CliError(f"{wanted} is a file, and {name} a folder")
    if source.is_dir():
        shutil.copytree(source, wanted, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, wanted)
