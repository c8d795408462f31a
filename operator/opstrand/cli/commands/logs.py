"""`opstrand logs`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import click

from opstrand.cli.command import command
from opstrand.cli.console import say, show_bytes
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, local_or_cluster_options
from opstrand.core.names import MAIN_CONTAINER, container_name
from opstrand.core.recorded import read_status

#: Bytes: a shorter log was hardly cut. A kubelet begins a new file after 10 MiB.
_LONG = 1024 * 1024
#: Seconds: a program may well be silent for so long before its first line.
_SILENCE = 5


@command
@local_or_cluster_options
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on to the run's end; the exit code is then the run's.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--timestamps", is_flag=True, help="The time of each line before it.")
@click.option("-c", "--container", default=MAIN_CONTAINER, show_default=True, metavar="NAME", help="Container of the Pod.")
def logs(target: Target, run: str, follow: bool, tail: int | None, timestamps: bool, container: str) -> int:
    """Show what a run's program wrote.

    RUN is a name, a uuid, or the beginning of either.
    """
    container = container_name(container)
    if follow and (timestamps or tail is not None or container != MAIN_CONTAINER):
        raise CliError("-f shows the whole log of the main container: leave out --tail, --timestamps and --container")
    if target.is_local:
        return _show_record(run, target, tail, plain=not (follow or timestamps))
    return asyncio.run(_show(run, target, follow, {"tailLines": tail, "timestamps": timestamps or None, "container": container}))


def _show_record(run: str, target: Target, tail: int | None, *, plain: bool) -> int:
    from opstrand.cli.records import find_record
    from opstrand.local.records import Records

    if not plain:
        raise CliError("a local run's log is over with its run, and has no times: leave out -f and --timestamps")
    body = find_record(run, target.project)
    path = Records().log_of(body["metadata"]["namespace"], body["metadata"]["name"])
    if path.exists():
        with path.open("rb") as file:
            for line in file if tail is None else deque(file, maxlen=tail):
                show_bytes(line)
    return ExitCode.SUCCEEDED


async def _show(run: str, target: Target, follow: bool, query: dict[str, Any]) -> int:
    from opstrand.cli.cluster import open_cluster

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            body = await cluster.find(run)
        if follow:
            return await _follow(cluster, body, target)
        await _read(cluster.api, body, query)
        return ExitCode.SUCCEEDED


async def _follow(cluster: Any, body: Any, target: Target) -> int:
    from opstrand.cli.remote import watch_run
    from opstrand.cli.report import report_end
    from opstrand.cli.waiting import Interrupted

    try:
        return report_end(await watch_run(cluster, body, target, logs=True, every_change=False, seconds=None))
    except Interrupted as error:
        return error.code


async def _read(api: Any, body: Any, query: dict[str, Any]) -> None:
    """What there is now. CliError where there is nothing yet, or nothing any more."""
    from opstrand.kube.api import Invalid, NotFound

    name, status = body["metadata"]["name"], read_status(body)
    pod = (status.get("pod") or {}).get("name")
    if not pod:
        raise CliError(
            f"{name} has no Pod yet ({status.get('reason') or 'not seen by the operator'})", hint=f"opstrand logs -f {name} waits for it."
        )
    try:
        await _print_lines(api, body["metadata"]["namespace"], pod, query)
    except NotFound:
        raise CliError(f"the Pod {pod} of {name} is gone, and its log with it", code=ExitCode.NOT_FOUND) from None
    except Invalid as error:
        raise CliError(f"{name} has no log: {error.words}", hint=f"opstrand logs -f {name} waits for it.") from None


async def _print_lines(api: Any, namespace: str, pod: str, query: dict[str, Any]) -> None:
    """Times are asked for in any case: the first says whether the beginning is still there."""
    from opstrand.cli.follow import split_line

    begins, size = "", 0
    async for line in api.read_log_lines(namespace, pod, **{**query, "timestamps": True}):
        at, text = split_line(line)
        begins, size = begins or at, size + len(line)
        show_bytes(line if query["timestamps"] else text)
    if size >= _LONG and query["tailLines"] is None:
        await _say_what_is_gone(api, namespace, pod, query["container"], begins)


async def _say_what_is_gone(api: Any, namespace: str, pod: str, container: str, begins: str) -> None:
    """A node keeps the newest file of a log, and nobody is told where it begins: only the times can tell."""
    from opstrand.cli.format import parse_time, show_seconds
    from opstrand.kube.api import PODS

    statuses = ((await api.get(PODS, namespace, pod)).get("status") or {}).get("containerStatuses") or ()
    state = next((one.get("state") or {} for one in statuses if one.get("name") == container), {})
    started = parse_time((state.get("running") or state.get("terminated") or {}).get("startedAt"))
    first = parse_time(begins[:19] + "Z" if begins else None)
    if started is not None and first is not None and (silence := (first - started).total_seconds()) >= _SILENCE:
        say(f"(this begins {show_seconds(silence)} after the container started: of a long log its node keeps the newest part only)", "dim")
