"""`opstrand wait`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from opstrand.cli.command import command
from opstrand.cli.console import say
from opstrand.cli.errors import ExitCode
from opstrand.cli.options import Target, cluster_options, timeout_option

#: Of several runs the worst end counts.
_WORST = (ExitCode.FAILED, ExitCode.STOPPED, ExitCode.SUCCEEDED)


@command
@cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@timeout_option
def wait(target: Target, runs: tuple[str, ...], timeout: float | None) -> int:
    """Wait until runs have ended.

    The exit code is 0 if all succeeded, 1 if one failed, else 3.
    """
    return asyncio.run(_wait(target, runs, timeout))


async def _wait(target: Target, runs: tuple[str, ...], seconds: float | None) -> int:
    from opstrand.cli.cluster import open_cluster
    from opstrand.cli.report import report_end
    from opstrand.cli.waiting import Interrupted, wait_bounded

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            bodies = [await cluster.find(run) for run in runs]
        try:
            finals = await wait_bounded(_wait_all(cluster, bodies), seconds=seconds)
        except Interrupted as error:
            say(f"{error.word}; the runs go on. To wait again:")
            say(f"  {target.command('wait', *runs, project=cluster.project)}")
            return error.code
    codes = {report_end(final) for final in finals}
    return next(code for code in _WORST if code in codes)


async def _wait_all(cluster: Any, bodies: list[Any]) -> list[Any]:
    """Every run's final body: each is watched by itself, so that a deleted one is noticed."""
    from opstrand.cli.follow import follow_run
    from opstrand.cli.live import LiveLine

    names = ", ".join(body["metadata"]["name"] for body in bodies)
    async with LiveLine(f"waiting for {names}"):
        tasks = [asyncio.create_task(follow_run(cluster.api, body, on_change=lambda body: None)) for body in bodies]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
