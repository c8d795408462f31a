"""`opstrand wait`."""

from __future__ import annotations

from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.options import Target, local_or_cluster_options, timeout_option
from opstrand.cli.output.console import say

#: Seconds between two reads of local runs.
_LOOK = 0.1


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@timeout_option
def wait(target: Target, runs: tuple[str, ...], timeout: float | None) -> int:
    """Wait until runs have ended.

    The exit code is 0 if all succeeded, 1 if one failed, else 3.
    """
    return execute((_wait_here if target.is_local else _wait)(target, runs, timeout))


async def _wait_here(target: Target, runs: tuple[str, ...], seconds: float | None) -> int:
    from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
    from opstrand.cli.local_runs import PROJECT, find_record

    bodies = [find_record(run, target.project) for run in runs]
    try:
        finals = await wait_bounded(_watch_records(bodies), seconds=seconds)
    except Interrupted as error:
        say(
            f"{error.message}; the runs go on. To wait again:\n  "
            f"{target.command('wait', *runs, project=target.project or PROJECT)}"
        )
        return error.code
    return _report_all(finals, target)


async def _watch_records(bodies: list[Any]) -> list[Any]:
    """Return every run's final body. It polls, because no event reports a change to it."""
    import asyncio

    from opstrand.cli.local_runs import read_record
    from opstrand.cli.output.spinner import LiveLine
    from opstrand.core.phase import parse_phase
    from opstrand.core.recorded import read_status
    from opstrand.types import key_of

    async with LiveLine(f"waiting for {', '.join(body['metadata']['name'] for body in bodies)}"):
        while not all(parse_phase(read_status(body)).is_final for body in bodies):
            await asyncio.sleep(_LOOK)
            bodies = [read_record(key_of(body)) for body in bodies]
    return bodies


def _report_all(finals: list[Any], target: Target) -> int:
    from opstrand.cli.output.progress import report_end, worst_of

    return worst_of([report_end(final, target) for final in finals])


async def _wait(target: Target, runs: tuple[str, ...], seconds: float | None) -> int:
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.waiting import Interrupted, wait_bounded

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            bodies = [await cluster.find(run) for run in runs]
        try:
            finals = await wait_bounded(_wait_all(cluster, bodies), seconds=seconds)
        except Interrupted as error:
            say(f"{error.message}; the runs go on. To wait again:")
            say(f"  {target.command('wait', *runs, project=cluster.project)}")
            return error.code
    return _report_all(finals, target)


async def _wait_all(cluster: Any, bodies: list[Any]) -> list[Any]:
    """Return every run's final body: each run has its own watch, which notices if it is deleted."""
    import asyncio

    from opstrand.cli.cluster.follow import follow_run
    from opstrand.cli.output.spinner import LiveLine

    names = ", ".join(body["metadata"]["name"] for body in bodies)
    async with LiveLine(f"waiting for {names}"):
        tasks = [
            asyncio.create_task(follow_run(cluster.api, body, on_change=lambda body: None))
            for body in bodies
        ]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
