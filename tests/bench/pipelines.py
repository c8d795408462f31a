"""Pipelines beside the asyncio loop: many runs at once, and a chain.

The loop makes the same writes for each run, and the client creates its runs: it knows of no
pipeline. Must not know how a pipeline is decided.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core.pipelines.children import name_children
from tests.bench.figures import median, median_ratio
from tests.bench.load import acting, make_names, turns
from tests.bench.process import Subject
from tests.bench.stage import ECHO, LOOP, OURS, Stage

_STEP = {"component": ECHO, "params": {"message": {"value": "test 1"}}}


@dataclass(frozen=True)
class FanOut:
    """One round: runs in a second, and the subject's requests for each run."""

    rate: float
    requests: Mapping[str, float]


async def measure_pipelines(
    stage: Stage, subjects: Sequence[Subject], *, count: int, length: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Return the figures of our operator and of the loop."""
    compared = [one for one in subjects if one.name in (LOOP, OURS)]
    found: dict[str, list[FanOut]] = {one.name: [] for one in compared}
    for subject in turns(compared, rounds):
        found[subject.name].append(await _measure_fan_out(stage, subject, count))
    figures: dict[str, dict[str, Any]] = {
        name: {"fan_out_rate": median(one.rate for one in own), "per_child": own[-1].requests}
        for name, own in found.items()
    }
    ours = next((one for one in compared if one.name == OURS), None)
    if ours is None:
        return figures
    figures[OURS]["chain_hop_p50"] = median(await _measure_chain(stage, ours, length))
    if LOOP in found:
        rates = [[one.rate for one in found[name]] for name in (OURS, LOOP)]
        figures[OURS]["fan_out_ratio"] = median_ratio(*rates)
    return figures


async def _measure_fan_out(stage: Stage, subject: Subject, count: int) -> FanOut:
    """Run `count` operations that do not depend on each other."""
    async with acting(stage, subject):
        start = stage.mark()
        if subject.name == LOOP:
            wanted = make_names("many", count)
            await stage.run_to_end(wanted)
        else:
            wanted = await _run_pipeline(
                stage, [{"name": f"o{at:04d}", **_STEP} for at in range(count)], concurrency=count
            )
        await asyncio.sleep(0.2)
        trail = stage.trail(start, subject)
        requests = {what: number / count for what, number in sorted(trail.count().items())}
        return FanOut(count / trail.seconds_for(wanted), requests)


async def _measure_chain(stage: Stage, subject: Subject, length: int) -> list[float]:
    """Return the milliseconds of each hop: a child's Pod has ended -> the next one's is created."""
    async with acting(stage, subject):
        start = stage.mark()
        operations: list[dict[str, Any]] = [
            {
                "name": f"o{at:04d}",
                **({"dependencies": [f"o{at - 1:04d}"]} if at else {}),
                **_STEP,
            }
            for at in range(length)
        ]
        names = await _run_pipeline(stage, operations, concurrency=1)
        await asyncio.sleep(0.2)
        return stage.trail(start, subject).hops(itertools.pairwise(names[1:]))


async def _run_pipeline(
    stage: Stage, operations: list[dict[str, Any]], *, concurrency: int
) -> list[str]:
    """Run a pipeline to its end; return its name and those of its children, in their order."""
    (name,) = make_names("pipeline", 1)
    run = {"kind": "dag", "concurrency": concurrency, "operations": operations}
    await stage.run_to_end([name], {"params": {}, "component": {"run": run}})
    keys = [str(one["name"]) for one in operations]
    named = name_children(stage.bodies[name], keys)
    return [name, *(named[key] for key in keys)]
