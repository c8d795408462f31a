"""Pipelines beside the asyncio loop, which creates the same runs in the same order: many at once,
one chain, and 30 chains at once.

Must not know how a pipeline is decided.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core.pipelines.children import name_children
from tests.bench.figures import median, median_ratio
from tests.bench.load import Sizes, acting, make_names, turns
from tests.bench.process import Subject
from tests.bench.stage import ECHO, LOOP, OURS, Stage

#: Every round runs: no result of an earlier one is taken.
_STEP = {
    "component": ECHO,
    "params": {"message": {"value": "test 1"}},
    "cache": {"disable": True},
}


@dataclass(frozen=True)
class Round:
    """One round: runs in a second, milliseconds of the subject's and the API server's CPU and the
    subject's requests for each run, and milliseconds of each hop: a child's Pod has ended -> the
    next one's is created.
    """

    rate: float
    cpu: float
    server_cpu: float
    requests: Mapping[str, float]
    hops: Sequence[float] = ()


async def measure_pipelines(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes
) -> dict[str, dict[str, Any]]:
    """Return the figures of our operator and of the loop."""
    compared = [one for one in subjects if one.name in (LOOP, OURS)]
    shapes = {
        "fan_out": (sizes.fan_out, 1),
        "chain": (1, sizes.chain),
        "chains": (sizes.chains_at_once, sizes.crowd_chain),
    }
    figures: dict[str, dict[str, Any]] = {one.name: {} for one in compared}
    for what, (count, length) in shapes.items():
        rounds: dict[str, list[Round]] = {one.name: [] for one in compared}
        for subject in turns(compared, sizes.fan_outs):
            rounds[subject.name].append(await _measure(stage, subject, count, length))
        for name, own in rounds.items():
            figures[name] |= _sum_up(what, own, rounds.get(LOOP))
    return figures


def _sum_up(what: str, own: Sequence[Round], loop: Sequence[Round] | None) -> dict[str, Any]:
    hops = [median(one.hops) for one in own if one.hops]
    if hops:
        figures: dict[str, Any] = {f"{what}_hop_p50": median(hops)}
        if loop is not None:
            theirs = [median(one.hops) for one in loop]
            figures[f"{what}_hop_ratio"] = median_ratio(hops, theirs)
        return figures
    rates = [one.rate for one in own]
    figures = {
        f"{what}_rate": median(rates),
        f"{what}_cpu_ms": median(one.cpu for one in own),
        f"{what}_server_cpu_ms": median(one.server_cpu for one in own),
        "per_child": own[-1].requests,
    }
    if loop is not None:
        figures[f"{what}_ratio"] = median_ratio(rates, [one.rate for one in loop])
    return figures


async def _measure(stage: Stage, subject: Subject, count: int, length: int) -> Round:
    """Run so many chains of operations at once, all of one pipeline."""
    chains = [[f"o{chain:04d}-{link:02d}" for link in range(length)] for chain in range(count)]
    operations = [
        {"name": name, **({"dependencies": [before]} if before else {}), **_STEP}
        for chain in chains
        for before, name in zip(["", *chain], chain, strict=False)
    ]
    async with acting(stage, subject):
        start, cpu, server = stage.mark(), subject.cpu_seconds(), stage.server_cpu_seconds()
        (pipeline,) = make_names("pipeline", 1)
        run = {"kind": "dag", "concurrency": len(operations), "operations": operations}
        await stage.run_to_end([pipeline], {"params": {}, "component": {"run": run}})
        spent, serving = subject.cpu_seconds() - cpu, stage.server_cpu_seconds() - server
        await asyncio.sleep(0.2)
        trail = stage.trail(start, subject)
        named = _name_runs(stage, subject, pipeline, [name for one in chains for name in one])
    links = [pair for chain in chains for pair in itertools.pairwise(chain)]
    total = len(operations)
    return Round(
        total / trail.seconds_for([pipeline, *named.values()]),
        1000 * spent / total,
        1000 * serving / total,
        {what: number / total for what, number in sorted(trail.count().items())},
        trail.hops((named[before], named[after]) for before, after in links),
    )


def _name_runs(
    stage: Stage, subject: Subject, pipeline: str, names: Sequence[str]
) -> dict[str, str]:
    """Return the names of the runs' objects by those of their operations."""
    if subject.name == LOOP:
        return {name: f"{pipeline}-{name}" for name in names}
    return name_children(stage.bodies[pipeline], names)
