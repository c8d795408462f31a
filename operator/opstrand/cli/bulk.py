"""Commands on several runs: execute and report each; the worst result is the exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from opstrand.cli.command import execute
from opstrand.cli.errors import CliError, ExitCode, explain
from opstrand.cli.options import Target
from opstrand.cli.output.console import say, show_explanation
from opstrand.cli.runs import Runs, open_runs
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.runs.members import is_schedule
from opstrand.types import JsonPatch, Manifest


def control(key: str, *, value: bool = True) -> Callable[[Mapping[str, Any]], JsonPatch]:
    """Return the patch that sets one switch of `spec.control` and keeps the others."""

    def make_ops(body: Mapping[str, Any]) -> JsonPatch:
        if isinstance((body.get("spec") or {}).get("control"), dict):
            return [{"op": "add", "path": f"/spec/control/{key}", "value": value}]
        return [{"op": "add", "path": "/spec/control", "value": {key: value}}]

    return make_ops


def order_all(
    target: Target,
    names: Sequence[str],
    make_ops: Callable[[Mapping[str, Any]], JsonPatch],
    done: str,
) -> int:
    """Patch every run that has not ended; `done` is the message for each.

    A run that has ended is reported and left alone.
    """

    async def order(runs: Runs, body: Manifest) -> str:
        if ended := _describe_end(body):
            return ended
        await runs.order(body, make_ops)
        return done

    return execute(for_all(target, names, order))


def suspend_all(target: Target, names: Sequence[str]) -> int:
    """Suspend every schedule that has not ended."""

    async def order(runs: Runs, body: Manifest) -> str:
        if ended := _describe_end(body):
            return ended
        if not is_schedule(body):
            kind = read_status(body).get("kind") or "job"
            name = body["metadata"]["name"]
            raise CliError(f"'{name}' is a run of kind {kind}: only a schedule can be suspended")
        await runs.order(body, control("suspend"))
        return "suspended"

    return execute(for_all(target, names, order))


def _describe_end(body: Manifest) -> str:
    phase = parse_phase(read_status(body))
    return f"has ended already ({phase.value})" if phase.is_final else ""


async def for_all(
    target: Target,
    names: Sequence[str],
    act: Callable[[Runs, Manifest], Awaitable[str]],
    *,
    with_gone: bool = False,
) -> int:
    """Do it to each run in turn, and print what was done.

    `with_gone`: the runs may be records of runs whose Operation is gone.

    If one fails, the others are still done.
    """
    worst: int = ExitCode.SUCCEEDED
    async with open_runs(target) as runs:
        for name in names:

            async def find(name: str = name) -> Manifest:
                return await runs.find(name, with_gone=with_gone)

            worst = max(worst, await _do(runs, find, act))
    return worst


async def find_all(
    runs: Runs, names: Sequence[str], *, with_gone: bool = False
) -> tuple[list[tuple[str, Manifest]], int]:
    """Return each name with the run that it names, and the worst exit code of those without one."""
    found: list[tuple[str, Manifest]] = []
    worst: int = ExitCode.SUCCEEDED
    for name in dict.fromkeys(names):
        try:
            async with runs.waiting():
                found.append((name, await runs.find(name, with_gone=with_gone)))
        except (CliError, PlatformError) as error:
            worst = max(worst, show_explanation(explain(error)))
    return found, worst


async def for_each(
    runs: Runs, bodies: Sequence[Manifest], act: Callable[[Runs, Manifest], Awaitable[str]]
) -> int:
    """Do it to runs that were found already."""

    async def give(body: Manifest) -> Manifest:
        return body

    worst: int = ExitCode.SUCCEEDED
    for body in bodies:
        worst = max(worst, await _do(runs, lambda body=body: give(body), act))  # type: ignore[misc]
    return worst


async def _do(
    runs: Runs,
    find: Callable[[], Awaitable[Manifest]],
    act: Callable[[Runs, Manifest], Awaitable[str]],
) -> int:
    try:
        async with runs.waiting():
            body = await find()
            done = await act(runs, body)
        say(f"{body['metadata']['name']}: {done}")
    except (CliError, PlatformError) as error:
        return show_explanation(explain(error))
    return ExitCode.SUCCEEDED
