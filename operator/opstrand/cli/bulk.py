"""Commands on several runs: execute and report each; the worst result is the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from opstrand.cli.cluster.connection import Cluster, open_cluster
from opstrand.cli.errors import CliError, ExitCode, explain
from opstrand.cli.options import Target
from opstrand.cli.output.console import say, show_explanation
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.types import JsonPatch, Manifest


def control(key: str) -> Callable[[Mapping[str, Any]], JsonPatch]:
    """Return the patch that sets one switch of `spec.control` and keeps the others."""

    def make_ops(body: Mapping[str, Any]) -> JsonPatch:
        if isinstance((body.get("spec") or {}).get("control"), dict):
            return [{"op": "add", "path": f"/spec/control/{key}", "value": True}]
        return [{"op": "add", "path": "/spec/control", "value": {key: True}}]

    return make_ops


def order_all(
    target: Target,
    runs: Sequence[str],
    make_ops: Callable[[Mapping[str, Any]], JsonPatch],
    done: str,
) -> int:
    """Patch every run that has not ended; `done` is the message for each.

    A run that has ended is reported and left alone.
    """
    if target.is_local:
        return for_all_here(target, runs, lambda body: _order_here(body, make_ops, done))

    async def order(cluster: Cluster, body: Manifest) -> str:
        if ended := _describe_end(body):
            return ended
        await cluster.order(body, make_ops)
        return done

    return asyncio.run(for_all(target, runs, order))


def _order_here(
    body: Manifest, make_ops: Callable[[Mapping[str, Any]], JsonPatch], done: str
) -> str:
    from opstrand.cli.local_runs import order_record

    if ended := _describe_end(body):
        return ended
    order_record(body, make_ops)
    return done


def _describe_end(body: Manifest) -> str:
    phase = parse_phase(read_status(body))
    return f"has ended already ({phase.value})" if phase.is_final else ""


def for_all_here(target: Target, runs: Sequence[str], act: Callable[[Manifest], str]) -> int:
    """`for_all` over local runs."""
    from opstrand.cli.local_runs import find_record

    worst: int = ExitCode.SUCCEEDED
    for run in runs:
        try:
            body = find_record(run, target.project)
            say(f"{body['metadata']['name']}: {act(body)}")
        except CliError as error:
            worst = max(worst, _report(error))
    return worst


def _report(error: CliError | PlatformError) -> int:
    return show_explanation(explain(error))


async def for_all(
    target: Target, runs: Sequence[str], act: Callable[[Cluster, Manifest], Awaitable[str]]
) -> int:
    """Do it to each run in turn, and print what was done.

    If one fails, the others are still done.
    """
    worst: int = ExitCode.SUCCEEDED
    async with open_cluster(target) as cluster:
        for run in runs:
            try:
                async with cluster.waiting():
                    body = await cluster.find(run)
                    done = await act(cluster, body)
                say(f"{body['metadata']['name']}: {done}")
            except (CliError, PlatformError) as error:
                worst = max(worst, _report(error))
    return worst
