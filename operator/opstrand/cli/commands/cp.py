"""`opstrand cp`: files of a run onto this machine."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, container_option, local_or_cluster_options
from opstrand.cli.output.console import say
from opstrand.core.names import container_name


@command
@local_or_cluster_options
@click.argument("source", metavar="RUN:PATH")
@click.argument("destination", metavar="FOLDER", type=click.Path(path_type=Path))
@container_option
def cp(target: Target, source: str, destination: Path, container: str) -> int:
    """Copy a file or folder of a run here.

    PATH is relative to the run's own folder (`globals.run_artifacts_path`): `RUN:outputs`. In a
    cluster the run must be running, and its image must have `tar`.
    """
    run, sign, path = source.partition(":")
    if not sign or not run:
        raise CliError(f"{source!r}: expected RUN:PATH", hint="opstrand cp train:outputs .")
    if not destination.is_dir():
        raise CliError(f"{destination} is no folder: expected one that exists")
    if target.is_local:
        return _copy_here(target, run, path or ".", destination)
    return execute(_copy(target, run, path or ".", destination, container_name(container)))


def _copy_here(target: Target, run: str, path: str, destination: Path) -> int:
    from opstrand.cli.local_runs import find_record
    from opstrand.core.names import run_uuid
    from opstrand.local.records import Records

    body = find_record(run, target.project)
    metadata = body["metadata"]
    folder = Records().store_of(metadata["namespace"]) / run_uuid(metadata["uid"])
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.exists():
        there = ", ".join(sorted(one.name for one in folder.glob("*"))) or "nothing"
        raise CliError(
            f"{metadata['name']} has no file {path!r} (it has: {there})", code=ExitCode.NOT_FOUND
        )
    if found == folder.resolve():
        shutil.copytree(found, destination / metadata["name"], dirs_exist_ok=True)
    elif found.is_dir():
        shutil.copytree(found, destination / found.name, dirs_exist_ok=True)
    else:
        shutil.copy2(found, destination)
    say(f"copied {metadata['name']}:{path} to {destination}")
    return ExitCode.SUCCEEDED


async def _copy(target: Target, run: str, path: str, destination: Path, container: str) -> int:
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.commands.exec import find_running_pod
    from opstrand.core.identity import CONTEXT_ROOT
    from opstrand.core.names import run_uuid
    from opstrand.kube.exec import execute as execute_in_pod

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            body = await cluster.find(run)
        pod, name = find_running_pod(body), body["metadata"]["name"]
        folder = f"{CONTEXT_ROOT}/artifacts/{run_uuid(body['metadata']['uid'])}"
        errors: list[bytes] = []
        with tempfile.TemporaryFile() as archive:
            code = await execute_in_pod(
                cluster.api,
                cluster.project,
                pod,
                ("tar", "cf", "-", "-C", folder, "--", path),
                container=container,
                on_output=archive.write,  # type: ignore[arg-type]
                on_error=errors.append,
            )
            if code:
                words = b"".join(errors).decode(errors="replace").strip()
                raise CliError(
                    f"{name}: {path!r} cannot be copied: {words or f'tar ended with {code}'}",
                    code=ExitCode.NOT_FOUND,
                )
            archive.seek(0)
            _unpack(archive, destination)
    say(f"copied {name}:{path} to {destination}")
    return ExitCode.SUCCEEDED


def _unpack(archive: IO[bytes], destination: Path) -> None:
    """Unpack what a Pod sent: nothing may land outside of the folder, and no device is made."""
    with tarfile.open(fileobj=archive) as packed:
        try:
            packed.extractall(destination, filter="data")
        except tarfile.TarError as error:
            raise CliError(f"what the run sent cannot be unpacked: {error}") from None
