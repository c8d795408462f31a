"""`opstrand ui`."""

from __future__ import annotations

import html
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import ExitCode
from opstrand.cli.options import Target, check_project, local_or_cluster_options
from opstrand.cli.output.console import say

if TYPE_CHECKING:
    from opstrand.cli.runs import Runs

_MOST = 65535
_REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={address}">
<title>opstrand</title>
<a href="{address}">Open the pages</a>
"""


@command
@local_or_cluster_options
@click.argument("run", metavar="[RUN]", required=False, default="")
@click.option(
    "--port", type=click.IntRange(0, _MOST), metavar="PORT", help="Port here. [default: 8765]"
)
@click.option(
    "--open/--no-open", "opens", default=None, help="Open a browser. [default: at a terminal]"
)
def ui(target: Target, run: str, port: int | None, opens: bool | None) -> int:
    """Show runs in a browser.

    The pages are served on this machine alone, over the local runs or with the rights of your
    kubeconfig; no credentials reach the browser. The address that is printed works once. With RUN,
    its page is opened. Ctrl-C ends it.
    """
    return execute(_serve(target, run, port, sys.stdout.isatty() if opens is None else opens))


async def _serve(target: Target, run: str, port: int | None, opens: bool) -> int:
    from opstrand.api.pages.loopback import Door
    from opstrand.cli import ui as serving

    path = ""

    def print_next(_: str) -> None:
        say(f"for another browser: {door.address(path)}")

    door = Door(print_next)
    if target.is_local:
        from opstrand.cli.local_runs import PROJECT
        from opstrand.cli.runs import LocalRuns

        path = await _find_path(LocalRuns(check_project(target.project or PROJECT)), run)
        async with (
            serving.open_local_app(door, say) as app,
            serving.listen(app, door, port),
        ):
            return await _show(door.address(path), opens=opens)
    from opstrand.cli.cluster.connection import open_cluster

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            await serving.require_api(cluster.api.session)
            path = await _find_path(cluster, run)
        app = serving.create_cluster_app(door, cluster.api.session)
        async with serving.listen(app, door, port, ends_with_reader=True):
            return await _show(door.address(path), opens=opens)


async def _find_path(runs: Runs, run: str) -> str:
    """Return the path of the page of a run, or of all. Raises CliError NOT_FOUND."""
    from opstrand.core.names import run_uuid

    path = f"default/{runs.project}/runs"
    if not run:
        return path
    found = await runs.find(run, with_gone=True)
    return f"{path}/{run_uuid(found['metadata']['uid'])}/"


async def _show(address: str, *, opens: bool) -> int:
    from opstrand.cli.cluster.waiting import Interrupted, wait_bounded

    try:
        # Signals are handled before the address is printed: its reader may send one at once.
        await wait_bounded(_wait_for_ever(address, opens=opens), seconds=None)
    except Interrupted as error:
        return ExitCode.SUCCEEDED if error.code == ExitCode.INTERRUPTED else error.code
    return ExitCode.SUCCEEDED


async def _wait_for_ever(address: str, *, opens: bool) -> None:
    import asyncio

    with _redirecting(address) if opens else nullcontext() as file:
        say(f"open {address}")
        if file is not None:
            # A browser of a terminal returns when it ends, which the end of this must not await.
            threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        await asyncio.Event().wait()


@contextmanager
def _redirecting(address: str) -> Iterator[Path]:
    """Yield a file of this user alone that leads to the address. The arguments of the browser's
    process, which all users of the machine can read, have only its path.
    """
    with tempfile.TemporaryDirectory(prefix="opstrand-ui-") as folder:
        file = Path(folder, "open.html")
        file.touch(0o600)
        file.write_text(_REDIRECT.format(address=html.escape(address)), encoding="utf-8")
        yield file
