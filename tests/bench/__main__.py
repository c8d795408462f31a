"""`python -m tests.bench [--quick] [--json FILE]`: measures everything in one run, prints two
tables, and writes all figures into FILE.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.alone import measure_alone
from tests.bench.budgets import render_budgets
from tests.bench.figures import median, median_ratio, render_table, show
from tests.bench.load import (
    QUICK,
    Sizes,
    Throughput,
    measure_latency,
    measure_live,
    measure_restart,
    measure_throughput,
    turns,
)
from tests.bench.process import Subject
from tests.bench.stage import KOPF, LOOP, OURS, SMALLEST, Stage, open_stage

#: Row of the table -> figure, digits.
ROWS: tuple[tuple[str, str, int], ...] = (
    ("runs/s", "rate", 1),
    ("runs/s, of the asyncio loop's", "rate_ratio", 2),
    ("operator CPU per run, ms", "cpu_ms", 1),
    ("API server CPU per run, ms", "server_cpu_ms", 1),
    ("peak RSS, MiB", "peak_rss", 0),
    ("etcd traffic per run, KiB", "etcd_kib", 1),
    ("create to Pod at 5 runs/s, p50, ms", "pod_p50", 1),
    ("create to Pod at 5 runs/s, p99, ms", "pod_p99", 1),
    ("Pod done to final, p50, ms", "final_p50", 1),
    ("A to B hop, one chain, p50, ms", "hop_p50", 1),
    ("A to B hop, 30 chains at once, p50, ms", "crowd_p50", 0),
    ("A to B hop, 30 chains at once, of the loop's", "crowd_ratio", 2),
    ("start to first Pod, 1,000 finished, s", "restart_1000", 2),
    ("start to first Pod, 5,000 finished, s", "restart_5000", 2),
    ("peak RSS with 5,000 finished, MiB", "finished_5000_rss", 0),
    ("RSS with 1,000 live runs, MiB", "live_rss", 0),
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure_all(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Return the figures of each subject."""
    async with open_stage() as stage:
        subjects = stage.subjects()
        say("warming up")
        await measure_throughput(stage, subjects[0], Sizes(runs=50))
        rounds: dict[str, list[Throughput]] = {subject.name: [] for subject in subjects}
        for subject in turns(subjects, sizes.rounds):
            rounds[subject.name].append(await measure_throughput(stage, subject, sizes))
            say(
                f"throughput: {subject.name}: {rounds[subject.name][-1].runs_per_second:.1f} runs/s"
            )
        found = {name: _sum_up(own, rounds[LOOP]) for name, own in rounds.items()}
        compared = [subject for subject in subjects if subject.name != SMALLEST]
        await _measure_latencies(stage, compared, sizes, found)
        await _measure_standing(stage, compared, sizes, found)
    return found


def _sum_up(own: Sequence[Throughput], loop: Sequence[Throughput]) -> dict[str, Any]:
    """Return the medians of the rounds, in which the subjects took turns; of memory, return the
    peak.
    """
    rates = [one.runs_per_second for one in own]
    return {
        "rates": rates,
        "rate": median(rates),
        "rate_ratio": median_ratio(rates, [one.runs_per_second for one in loop]),
        "cpu_ms": median(one.cpu_ms for one in own),
        "server_cpu_ms": median(one.server_cpu_ms for one in own),
        "peak_rss": max(one.peak_rss for one in own),
        "etcd_kib": median(one.etcd_bytes for one in own) / 1024,
        "requests": own[-1].requests,
    }


async def _measure_latencies(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes, found: dict[str, dict[str, Any]]
) -> None:
    samples: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in subjects}
    for subject in turns(list(subjects), sizes.latency_rounds):
        samples[subject.name].append(await measure_latency(stage, subject, sizes))
        say(f"latency: {subject.name}: {samples[subject.name][-1]['pod_p50']:.1f} ms to the Pod")
    for name, own in samples.items():
        found[name] |= {key: median(one[key] for one in own) for key in own[0]}
        found[name]["latencies"] = own
        crowds = [[one["crowd_p50"] for one in samples[which]] for which in (name, LOOP)]
        found[name]["crowd_ratio"] = median_ratio(*crowds)


async def _measure_standing(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes, found: dict[str, dict[str, Any]]
) -> None:
    for subject in subjects:
        for present in sizes.finished:
            seconds, peak = await measure_restart(stage, subject, present, sizes.restarts)
            found[subject.name] |= {f"restart_{present}": seconds, f"finished_{present}_rss": peak}
            say(f"start with {present} finished: {subject.name}: {seconds:.2f} s, {peak:.0f} MiB")
        if sizes.live:
            found[subject.name]["live_rss"] = await measure_live(stage, subject, sizes.live)
            say(f"{sizes.live} live: {subject.name}: {found[subject.name]['live_rss']:.0f} MiB")


def render(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of subjects, and the table of their requests."""
    order = [name for name in (LOOP, KOPF, OURS, SMALLEST) if name in found]
    rows = [
        [title, *(show(found[name].get(figure), digits) for name in order)]
        for title, figure, digits in ROWS
        if any(figure in found[name] for name in order)
    ]
    verbs = sorted(
        {
            what
            for name in order
            for what in found[name]["requests"]
            if found[name]["requests"][what] >= 0.05
        }
    )
    rows += [
        [
            f"requests per run: {what}",
            *(show(found[name]["requests"].get(what, 0.0), 2) for name in order),
        ]
        for what in verbs
    ]
    return render_table(["", *order], rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run of about a minute")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args()
    sizes, began = (QUICK if given.quick else Sizes()), time.monotonic()
    alone = measure_alone(rounds=1 if given.quick else 3)
    found = asyncio.run(asyncio.wait_for(measure_all(sizes), timeout=3600))
    figures = {
        **alone,
        **{key: value for key, value in found[OURS].items() if isinstance(value, float)},
    }
    figures["throughput_ratio"] = found[OURS]["rate_ratio"]
    print(f"{render(found)}\n\n{render_budgets(figures)}")
    say(f"took {time.monotonic() - began:.0f} s")
    if given.json:
        given.json.write_text(
            json.dumps({"sizes": vars(sizes), "subjects": found, "alone": alone}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
