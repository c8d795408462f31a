"""`opstrand logs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Duration, Target, container_option, local_or_cluster_options
from opstrand.cli.output.console import say
from opstrand.cli.output.log_lines import LineSink, LineSinks
from opstrand.core.names import MAIN_CONTAINER, container_name
from opstrand.core.recorded import read_status


@dataclass(frozen=True)
class _Wish:
    """The requested lines. `attempt`: None for the newest, -1 for the one before it."""

    tail: int | None
    timestamps: bool
    container: str
    every_container: bool
    attempt: int | None
    #: Seconds.
    since: float | None
    pattern: re.Pattern[bytes] | None
    has_prefix: bool

    @property
    def names_log(self) -> bool:
        """Whether another log than that of the main container, attempt after attempt, is meant."""
        return self.container != MAIN_CONTAINER or self.every_container or self.attempt is not None

    def part(self) -> Any:
        """Return the part of a log that is followed."""
        from opstrand.cli.cluster.log_cursor import Part

        return Part(self.tail, self.since_time, self.timestamps)

    @property
    def since_time(self) -> str:
        """The time in UTC from which on lines are wanted; empty: from the first."""
        if self.since is None:
            return ""
        return f"{datetime.now(UTC) - timedelta(seconds=self.since):%Y-%m-%dT%H:%M:%S.%f}000Z"

    def query(self) -> dict[str, Any]:
        """Return the parameters of the request for a log."""
        return {
            "tailLines": self.tail,
            "timestamps": self.timestamps or None,
            "sinceSeconds": None if self.since is None else max(round(self.since), 1),
        }

    def sinks(self, body: Any, number: int = 0) -> LineSinks:
        name = body["metadata"]["name"]
        return LineSinks(name if self.has_prefix else "", self.pattern, number)


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on to the run's end, through all attempts; the exit code is then the run's. With "
    "--tail or --since, from there on in the newest attempt.",
)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--since", type=Duration(), metavar="TIME", help="Only lines of this time (5m).")
@click.option(
    "--grep", metavar="TEXT", help="Only lines in which this regular expression is found."
)
@click.option("--timestamps", is_flag=True, help="The time of each line before it.")
@click.option(
    "--prefix", is_flag=True, help="The run before each line. [default: for several runs]"
)
@container_option
@click.option(
    "--all-containers", "every_container", is_flag=True, help="Every container, init steps too."
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
    runs: tuple[str, ...],
    follow: bool,
    tail: int | None,
    since: float | None,
    grep: str | None,
    timestamps: bool,
    prefix: bool,
    container: str,
    every_container: bool,
    attempt: int | None,
    previous: bool,
) -> int:
    """Show what a run's program wrote.

    RUN is a name, as `-o name` prints it too, a uuid, a prefix of either, or @latest. Lines of
    several runs have their run before them, and those of a pipeline its operation.
    """
    if previous and attempt is not None:
        raise CliError("--previous and --attempt both name an attempt: leave one of them out")
    wish = _Wish(
        tail,
        timestamps,
        container_name(container),
        every_container,
        -1 if previous else attempt,
        since,
        _parse_pattern(grep),
        prefix or len(runs) > 1,
    )
    _check(target, wish, follow=follow)
    return execute((_follow if follow else _show)(target, runs, wish))


def _parse_pattern(text: str | None) -> re.Pattern[bytes] | None:
    try:
        return None if text is None else re.compile(text.encode())
    except re.error as error:
        raise CliError(f"--grep {text!r} is no regular expression: {error}") from None


def _check(target: Target, wish: _Wish, *, follow: bool) -> None:
    if follow and wish.names_log:
        raise CliError(
            "-f follows the main container through all attempts: leave out --container, "
            "--all-containers, --attempt and --previous"
        )
    if wish.every_container and wish.container != MAIN_CONTAINER:
        raise CliError("--container and --all-containers contradict each other")
    if target.is_local and wish.container != MAIN_CONTAINER:
        raise CliError(
            f"--container {wish.container!r}: a local run is one process, and has the log of "
            f"{MAIN_CONTAINER!r} only"
        )


async def _show(target: Target, names: tuple[str, ...], wish: _Wish) -> int:
    from opstrand.cli.bulk import find_all
    from opstrand.cli.cluster.kept_runs import is_kept
    from opstrand.cli.errors import explain
    from opstrand.cli.output.console import show_explanation
    from opstrand.cli.runs import open_runs
    from opstrand.errors import PlatformError
    from opstrand.runs.members import is_pipeline

    async with open_runs(target) as runs:
        found, worst = await find_all(runs, names, with_gone=True)
        for number, (_, body) in enumerate(found):
            sinks = wish.sinks(body, number)
            try:
                if is_pipeline(body) and not is_kept(body):
                    await _show_made(runs, body, target, wish, sinks)
                else:
                    await _show_one(runs, body, target, wish, sinks.of())
            except (CliError, PlatformError) as error:
                worst = max(worst, show_explanation(explain(error)))
    return worst


async def _show_one(runs: Any, body: Any, target: Target, wish: _Wish, sink: LineSink) -> None:
    from opstrand.cli.cluster.kept_runs import is_kept, show_kept_log

    if target.is_local:
        _show_here(body, target, wish, sink)
    elif is_kept(body):
        _check_kept(body, wish)
        query = {**wish.query(), "attempt": choose_attempt(body, wish.attempt)}
        await show_kept_log(runs.api, body, query, sink)
    else:
        await _read(runs.api, body, wish, target, sink)


def _check_kept(body: Any, wish: _Wish) -> None:
    """Raise CliError if the log of another container is wanted of a run whose Pod is gone."""
    if wish.container == MAIN_CONTAINER and not wish.every_container:
        return
    option = "--all-containers" if wish.every_container else f"--container {wish.container!r}"
    name = body["metadata"]["name"]
    raise CliError(
        f"{option}: the Pod of {name} is gone, and only the log of {MAIN_CONTAINER!r} is kept",
        code=ExitCode.NOT_FOUND,
    )


async def _show_made(
    runs: Any, pipeline: Any, target: Target, wish: _Wish, sinks: LineSinks
) -> None:
    """Show the logs of a pipeline's runs, one after the other as they started.

    A run that has none is left out. Raises CliError if none has one.
    """
    from opstrand.core.names import CONTROLLER
    from opstrand.core.pipelines.children import find_outermost
    from opstrand.runs.members import is_pipeline, iter_made

    labels = f"{CONTROLLER}={find_outermost(pipeline)}"
    listed = list(iter_made(pipeline, await runs.list_runs(labels=labels)))
    listed.sort(key=lambda one: (str(read_status(one[1]).get("startedAt") or "~"), one[0]))
    shown = 0
    for path, body in listed:
        if is_pipeline(body) or not read_status(body).get("startedAt"):
            continue
        try:
            await _show_one(runs, body, target, wish, sinks.of(path))
            shown += 1
        except CliError as error:
            say(f"({'/'.join(path)}: {error.message})", "dim")
    if not shown:
        name = pipeline["metadata"]["name"]
        raise CliError(
            f"no run of the pipeline {name} has a log",
            hint=f"{target.command('get', name, project=runs.project)} says why.",
            code=ExitCode.NOT_FOUND,
        )


def _show_here(body: Any, target: Target, wish: _Wish, sink: LineSink) -> None:
    from opstrand.cli.local_logs import show_record

    show_record(
        body,
        target,
        sink,
        attempt=wish.attempt,
        tail=wish.tail,
        timestamps=wish.timestamps,
        since=wish.since_time,
    )


async def _follow(target: Target, names: tuple[str, ...], wish: _Wish) -> int:
    """Follow all runs at once to their ends; return the worst exit code."""
    from opstrand.cli.bulk import find_all
    from opstrand.cli.cluster.kept_runs import is_kept
    from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
    from opstrand.cli.output.progress import report_end, worst_of
    from opstrand.cli.runs import open_runs

    async with open_runs(target) as runs:
        found, worst = await find_all(runs, names, with_gone=True)
        for _, body in (one for one in found if is_kept(one[1])):
            await _show_one(runs, body, target, wish, wish.sinks(body).of())
            worst = max(worst, report_end(body, target))
        bodies = [body for _, body in found if not is_kept(body)]
        if not bodies:
            return worst
        if len(bodies) == 1 and not target.is_local:
            code = await _follow_one(runs, bodies[0], target, wish)
            return max(worst, code)
        try:
            finals = await wait_bounded(_follow_all(runs, bodies, target, wish), seconds=None)
        except Interrupted as error:
            line = target.command("logs", "-f", *names, project=runs.project)
            runs_go_on = "the run goes on" if len(bodies) == 1 else "the runs go on"
            say(f"{error.message}; {runs_go_on}. To come back to it:")
            say(f"  {line}")
            return error.code
    codes = [report_end(final, target) for final in finals]
    return max(worst, worst_of(codes)) if codes else worst


async def _follow_one(cluster: Any, body: Any, target: Target, wish: _Wish) -> int:
    from opstrand.cli.cluster.run_cluster import watch_run
    from opstrand.cli.cluster.waiting import Interrupted
    from opstrand.cli.output.progress import report_end

    try:
        final = await watch_run(
            cluster,
            body,
            target,
            logs=True,
            every_change=False,
            seconds=None,
            sinks=wish.sinks(body),
            part=wish.part(),
        )
        return report_end(final, target)
    except Interrupted as error:
        return error.code


async def _follow_all(
    runs: Any, bodies: Sequence[Any], target: Target, wish: _Wish
) -> Sequence[Any]:
    import asyncio

    from opstrand.cli.cluster.follow_pipeline import follow_whole_run
    from opstrand.cli.local_logs import follow_record

    pairs = [(body, wish.sinks(body, number)) for number, body in enumerate(bodies)]
    part = wish.part()
    if target.is_local:
        work = [follow_record(body, sinks, part) for body, sinks in pairs]
    else:
        work = [
            follow_whole_run(
                runs.api,
                body,
                on_change=lambda _: None,
                lines_of=lambda path, sinks=sinks: sinks.of(path).show,  # type: ignore[misc]
                part=part,
            )
            for body, sinks in pairs
        ]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(api: Any, body: Any, wish: _Wish, target: Target, sink: LineSink) -> None:
    """Show the log as it is now. Raises CliError if there is none yet, or if it is gone."""
    from opstrand.cli.cluster.kept_runs import explain_lost_log, read_instead
    from opstrand.cli.cluster.missing_log import explain_no_log, explain_no_pod, list_containers
    from opstrand.cli.cluster.pod_lines import print_lines
    from opstrand.core.names import attempt_pod
    from opstrand.kube.errors import Invalid, NotFound

    name, status = body["metadata"]["name"], read_status(body)
    namespace = body["metadata"]["namespace"]
    attempt = choose_attempt(body, wish.attempt)
    pod = attempt_pod(status, attempt)
    if not pod:
        raise explain_no_pod(body, target)
    query = wish.query()

    async def read_kept() -> bool:
        return await read_instead(api, body, {**wish.query(), "attempt": attempt}, sink.show)

    try:
        if wish.every_container:
            containers = await list_containers(api, namespace, pod, in_order=True)
            if not containers:
                _check_kept(body, wish)
            for container in containers:
                named = replace(
                    sink, prefix="/".join(filter(None, (sink.prefix or name, container)))
                )
                await _read_if_there(api, namespace, pod, {**query, "container": container}, named)
            return
        query["container"] = wish.container
        is_main = wish.container == MAIN_CONTAINER
        await print_lines(api, namespace, pod, query, sink, read_kept if is_main else None)
    except NotFound:
        _check_kept(body, wish)
        if await read_kept():
            return
        raise await explain_lost_log(api, body, pod) from None
    except Invalid as error:
        raise await explain_no_log(
            api, body, pod, wish.container, target, error.server_message
        ) from None


async def _read_if_there(
    api: Any, namespace: str, pod: str, query: dict[str, Any], sink: LineSink
) -> None:
    """Print the log of one of several containers; one that has not started has none."""
    from opstrand.cli.cluster.pod_lines import print_lines
    from opstrand.kube.errors import Invalid

    try:
        await print_lines(api, namespace, pod, query, sink)
    except Invalid as error:
        say(f"({query['container']}: {error.server_message})", "dim")
