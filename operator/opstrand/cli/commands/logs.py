"""`opstrand logs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, local_or_cluster_options
from opstrand.cli.output.console import say, show_bytes
from opstrand.core.names import MAIN_CONTAINER, container_name
from opstrand.core.recorded import read_status

#: Bytes: a shorter log is hardly cut, because a kubelet begins a new file after 10 MiB.
_LONG = 1024 * 1024
#: Seconds that a program may be silent before its first line.
_SILENCE = 5


@dataclass(frozen=True)
class _Wish:
    """The requested lines. `attempt`: None for the newest, -1 for the one before it."""

    tail: int | None
    timestamps: bool
    container: str
    attempt: int | None


@command
@local_or_cluster_options
@click.argument("run")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on to the run's end, through all attempts; the exit code is then the run's.",
)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--timestamps", is_flag=True, help="The time of each line before it.")
@click.option(
    "-c",
    "--container",
    default=MAIN_CONTAINER,
    show_default=True,
    metavar="NAME",
    help="Container of the Pod.",
)
@click.option(
    "--attempt",
    type=click.IntRange(min=0),
    metavar="N",
    help="The log of this attempt, counted from 0. [default: the newest]",
)
@click.option("--previous", is_flag=True, help="The log of the attempt before the newest.")
def logs(
    target: Target,
    run: str,
    follow: bool,
    tail: int | None,
    timestamps: bool,
    container: str,
    attempt: int | None,
    previous: bool,
) -> int:
    """Show what a run's program wrote.

    RUN is a name, as `-o name` prints it too, a uuid, or a prefix of either.
    """
    container = container_name(container)
    if follow and (
        timestamps
        or tail is not None
        or container != MAIN_CONTAINER
        or attempt is not None
        or previous
    ):
        raise CliError(
            "-f shows the whole log of the main container: leave out --tail, --timestamps, "
            "--container, --attempt and --previous"
        )
    if previous and attempt is not None:
        raise CliError("--previous and --attempt both name an attempt: leave one of them out")
    wish = _Wish(tail, timestamps, container, -1 if previous else attempt)
    if target.is_local:
        return _show_here(run, target, wish, follow=follow)
    return execute(_show(run, target, follow, wish))


def _show_here(run: str, target: Target, wish: _Wish, *, follow: bool) -> int:
    from opstrand.cli.local_logs import follow_record, show_record
    from opstrand.cli.local_runs import find_record

    if wish.container != MAIN_CONTAINER:
        raise CliError(
            f"--container {wish.container!r}: a local run is one process, and has the log of "
            f"{MAIN_CONTAINER!r} only"
        )
    body = find_record(run, target.project)
    if follow:
        return follow_record(body, target)
    show_record(body, target, attempt=wish.attempt, tail=wish.tail, timestamps=wish.timestamps)
    return ExitCode.SUCCEEDED


async def _show(run: str, target: Target, follow: bool, wish: _Wish) -> int:
    from opstrand.cli.cluster.connection import open_cluster

    async with open_cluster(target) as cluster:
        async with cluster.waiting():
            body = await cluster.find(run)
        if follow:
            return await _follow(cluster, body, target)
        await _read(cluster.api, body, wish, target)
        return ExitCode.SUCCEEDED


async def _follow(cluster: Any, body: Any, target: Target) -> int:
    from opstrand.cli.cluster.run_cluster import watch_run
    from opstrand.cli.cluster.waiting import Interrupted
    from opstrand.cli.output.progress import report_end

    try:
        final = await watch_run(cluster, body, target, logs=True, every_change=False, seconds=None)
        return report_end(final, target)
    except Interrupted as error:
        return error.code


async def _read(api: Any, body: Any, wish: _Wish, target: Target) -> None:
    """Show the log as it is now. Raises CliError if there is none yet, or if it is gone."""
    from opstrand.cli.cluster.missing_log import explain_no_log, explain_no_pod
    from opstrand.core.names import attempt_pod
    from opstrand.kube.errors import Invalid, NotFound

    name, status = body["metadata"]["name"], read_status(body)
    number = choose_attempt(body, wish.attempt)
    pod = attempt_pod(status, number)
    if not pod:
        raise explain_no_pod(body, target)
    query = {
        "tailLines": wish.tail,
        "timestamps": wish.timestamps or None,
        "container": wish.container,
    }
    try:
        await _print_lines(api, body["metadata"]["namespace"], pod, query)
    except NotFound:
        raise CliError(
            f"the Pod {pod} of {name} is gone, and its log with it", code=ExitCode.NOT_FOUND
        ) from None
    except Invalid as error:
        raise await explain_no_log(api, body, pod, wish.container, target, error.words) from None


async def _print_lines(api: Any, namespace: str, pod: str, query: dict[str, Any]) -> None:
    """Print the lines. Always ask for times, because the first one shows whether the log is cut."""
    from opstrand.cli.cluster.follow import split_line

    begins, size = "", 0
    async for line in api.read_log_lines(namespace, pod, **{**query, "timestamps": True}):
        at, text = split_line(line)
        begins, size = begins or at, size + len(line)
        show_bytes(line if query["timestamps"] else text)
    if size >= _LONG and query["tailLines"] is None:
        await _say_what_is_gone(api, namespace, pod, query["container"], begins)


async def _say_what_is_gone(
    api: Any, namespace: str, pod: str, container: str, begins: str
) -> None:
    """Report a cut log: a node keeps only the newest file of a long log and does not say so.

    The sign is the time between the start of the container and the first line.
    """
    from opstrand.cli.output.format import parse_time, show_seconds
    from opstrand.kube.resources import PODS

    statuses = ((await api.get(PODS, namespace, pod)).get("status") or {}).get(
        "containerStatuses"
    ) or ()
    state = next((one.get("state") or {} for one in statuses if one.get("name") == container), {})
    started = parse_time((state.get("running") or state.get("terminated") or {}).get("startedAt"))
    first = parse_time(begins[:19] + "Z" if begins else None)
    if (
        started is not None
        and first is not None
        and (silence := (first - started).total_seconds()) >= _SILENCE
    ):
        say(
            f"(this begins {show_seconds(silence)} after the container started: of a long log its "
            "node keeps the newest part only)",
            "dim",
        )
