"""`opstrand run` in a cluster: create a run, follow it, and leave it alone after an interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opstrand.cli.cluster.connection import Cluster, missing_project
from opstrand.cli.cluster.early_look import EarlyLook
from opstrand.cli.cluster.follow import follow_run
from opstrand.cli.cluster.follow_pipeline import follow_whole_run
from opstrand.cli.cluster.log_cursor import WHOLE, Part
from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
from opstrand.cli.errors import CliError, is_kind_unknown
from opstrand.cli.options import Target
from opstrand.cli.output.console import say
from opstrand.cli.output.log_lines import LineSinks
from opstrand.cli.output.progress import Reporter
from opstrand.cli.output.spinner import LiveLine
from opstrand.kube.errors import AlreadyExists, NotFound
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.types import Manifest


async def create_run(cluster: Cluster, operation: Mapping[str, Any]) -> Manifest:
    """Create the Operation. Raises CliError if the name is taken or the project does not exist."""
    return await _post(cluster, operation, cluster.api.create)


async def preview_run(cluster: Cluster, operation: Mapping[str, Any]) -> Manifest:
    """Return what the API server would store, with the same errors; creates nothing."""
    return await _post(cluster, operation, cluster.api.preview)


async def _post(
    cluster: Cluster,
    operation: Mapping[str, Any],
    post: Callable[[Resource, str, Mapping[str, Any]], Awaitable[Manifest]],
) -> Manifest:
    try:
        return await post(OPERATIONS, cluster.project, operation)
    except AlreadyExists:
        name = operation["metadata"]["name"]
        raise CliError(
            f"there is a run {name!r} in project {cluster.project!r} already",
            hint="An operation is one run: choose another --name, or leave it out.",
        ) from None
    except NotFound as error:
        if is_kind_unknown(error):
            raise
        raise missing_project(cluster.project) from None


async def watch_run(
    cluster: Cluster,
    body: Manifest,
    target: Target,
    *,
    logs: bool,
    every_change: bool,
    seconds: float | None,
    sinks: LineSinks | None = None,
    part: Part = WHOLE,
) -> Manifest:
    """Follow the run and return its final body; `sinks` show the lines of its log, or this part of
    them, and of those of the runs that it makes as a pipeline.

    After an interrupt the run goes on: prints how to come back to it, and raises Interrupted.
    """
    name = body["metadata"]["name"]
    async with LiveLine() as live:
        reporter = Reporter(live, target, every_change=every_change, sinks=sinks)
        early = EarlyLook(cluster.api, reporter.change)
        looking = asyncio.create_task(early.keep_looking(), name="early look")
        work = (
            follow_whole_run(
                cluster.api, body, on_change=early.change, lines_of=reporter.lines_of, part=part
            )
            if logs
            else follow_run(cluster.api, body, on_change=early.change)
        )
        try:
            return await wait_bounded(work, seconds=seconds)
        except Interrupted as error:
            live.clear()
            words = ("logs", "-f", name) if logs else ("wait", name)
            say(f"{error.message}; the run goes on. To come back to it:")
            say(f"  {target.command(*words, project=cluster.project)}")
            say("To stop it:")
            say(f"  {target.command('stop', name, project=cluster.project)}")
            raise
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
