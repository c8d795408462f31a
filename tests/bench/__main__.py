"""`python -m tests.bench [--quick] [--part PART] [--column NAME] [--json FILE]`: measures
everything, or only these parts and columns, in one run, prints two tables, and writes all figures
into FILE.

On a machine that does other work at the same time, bytes, requests and CPU times are reliable, and
wall times are not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.alone import measure_alone
from tests.bench.budgets import render_budgets
from tests.bench.echo_writes import record_writes
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
from tests.bench.pipelines import measure_pipelines
from tests.bench.process import Subject
from tests.bench.stage import (
    KOPF,
    LOOP,
    OURS,
    PLAIN_JOBS,
    SMALLEST,
    Stage,
    open_stage,
    operation,
)
from tests.bench.write_loop import smallest_writes

PARTS = ("alone", "throughput", "latency", "pipelines", "standing")
COLUMNS = (LOOP, KOPF, OURS, SMALLEST, PLAIN_JOBS)

#: Row of the table -> figure, digits.
ROWS: tuple[tuple[str, str, int], ...] = (
    ("runs/s", "rate", 1),
    ("runs/s, of the asyncio loop's", "rate_ratio", 2),
    ("wall, of the smallest loop's", "wall_of_smallest", 2),
    ("operator CPU per run, ms", "cpu_ms", 1),
    ("API server CPU per run, ms", "server_cpu_ms", 1),
    ("API server CPU, of the smallest loop's", "server_of_smallest", 2),
    ("peak RSS, MiB", "peak_rss", 0),
    ("etcd traffic per run, KiB", "etcd_kib", 1),
    ("sent: Pod, bytes", "sent_pod", 0),
    ("sent: first status (freeze), bytes", "sent_freeze", 0),
    ("sent: second status (Running), bytes", "sent_running", 0),
    ("sent: third status (final), bytes", "sent_final", 0),
    ("stored at the end: Pod, bytes", "stored_pod", 0),
    ("stored at the end: Operation or Job, bytes", "stored_run", 0),
    ("create to Pod at 5 runs/s, p50, ms", "pod_p50", 1),
    ("create to Pod, p50, of the smallest loop's", "pod_of_smallest", 2),
    ("create to Pod at 5 runs/s, p99, ms", "pod_p99", 1),
    ("Pod done to final, p50, ms", "final_p50", 1),
    ("A to B hop, one chain, p50, ms", "hop_p50", 1),
    ("A to B hop, 30 chains at once, p50, ms", "crowd_p50", 0),
    ("A to B hop, 30 chains at once, of the loop's", "crowd_ratio", 2),
    ("runs/s of one pipeline's operations at once", "fan_out_rate", 1),
    ("runs/s of one pipeline, of the asyncio loop's", "fan_out_ratio", 2),
    ("operator CPU per run of a pipeline, ms", "fan_out_cpu_ms", 1),
    ("API server CPU per run of a pipeline, ms", "fan_out_server_cpu_ms", 1),
    ("hop in a pipeline, one chain, p50, ms", "chain_hop_p50", 1),
    ("hop in a pipeline, one chain, of the loop's", "chain_hop_ratio", 2),
    ("hop in a pipeline, 30 chains at once, p50, ms", "chains_hop_p50", 0),
    ("hop in a pipeline, 30 chains, of the loop's", "chains_hop_ratio", 2),
    ("start to first Pod, 1,000 finished, s", "restart_1000", 2),
    ("start to first Pod, 5,000 finished, s", "restart_5000", 2),
    ("start to first Pod, 10,000 finished, s", "restart_10000", 2),
    ("peak RSS with 5,000 finished, MiB", "finished_5000_rss", 0),
    ("RSS with 1,000 live runs, MiB", "live_rss", 0),
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Chosen:
    """What to measure: parts of the bench, and columns of its table."""

    parts: Sequence[str] = PARTS
    columns: Sequence[str] = COLUMNS


async def measure_all(sizes: Sizes, chosen: Chosen) -> dict[str, dict[str, Any]]:
    """Return the figures of each subject."""
    async with open_stage() as stage:
        subjects = [one for one in stage.subjects() if one.name in chosen.columns]
        found: dict[str, dict[str, Any]] = {subject.name: {} for subject in subjects}
        if "throughput" in chosen.parts:
            await _measure_throughputs(stage, subjects, sizes, found)
        if "latency" in chosen.parts:
            await _measure_latencies(stage, subjects, sizes, found)
        if "pipelines" in chosen.parts:
            for name, figures in (await measure_pipelines(stage, subjects, sizes)).items():
                found[name] |= figures
                say(f"pipelines: {name}: {figures['fan_out_rate']:.1f} runs/s")
        if "standing" in chosen.parts:
            compared = [one for one in subjects if one.name not in (SMALLEST, PLAIN_JOBS)]
            await _measure_standing(stage, compared, sizes, found)
    return found


async def _measure_throughputs(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes, found: dict[str, dict[str, Any]]
) -> None:
    say("warming up")
    await measure_throughput(stage, subjects[0], Sizes(runs=50))
    rounds: dict[str, list[Throughput]] = {subject.name: [] for subject in subjects}
    for subject in turns(list(subjects), sizes.rounds):
        rounds[subject.name].append(await measure_throughput(stage, subject, sizes))
        say(f"throughput: {subject.name}: {rounds[subject.name][-1].runs_per_second:.1f} runs/s")
    for name, own in rounds.items():
        found[name] |= _sum_up(own, rounds.get(LOOP), rounds.get(SMALLEST))
    for name, writes in (
        (OURS, record_writes(operation("any"))),
        (SMALLEST, smallest_writes()),
    ):
        if name in found:
            found[name] |= {f"sent_{what}": len(text) for what, text in writes.items()}


def _sum_up(
    own: Sequence[Throughput],
    loop: Sequence[Throughput] | None,
    smallest: Sequence[Throughput] | None,
) -> dict[str, Any]:
    """Return the medians of the rounds, in which the subjects took turns; of memory, return the
    peak.
    """
    rates = [one.runs_per_second for one in own]
    serving = [one.server_cpu_ms for one in own]
    figures = {
        "rates": rates,
        "rate": median(rates),
        "cpu_ms": median(one.cpu_ms for one in own),
        "server_cpu_ms": median(serving),
        "peak_rss": max(one.peak_rss for one in own),
        "etcd_kib": median(one.etcd_bytes for one in own) / 1024,
        "requests": own[-1].requests,
        **own[-1].stored,
    }
    if loop is not None:
        figures["rate_ratio"] = median_ratio(rates, [one.runs_per_second for one in loop])
    if smallest is not None:
        theirs = [one.runs_per_second for one in smallest]
        figures["wall_of_smallest"] = median_ratio(theirs, rates)
        figures["server_of_smallest"] = median_ratio(
            serving, [one.server_cpu_ms for one in smallest]
        )
    return figures


async def _measure_latencies(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes, found: dict[str, dict[str, Any]]
) -> None:
    """Measure all but Jobs: the log does not say of which run a Job's Pod is."""
    compared = [subject for subject in subjects if subject.name != PLAIN_JOBS]
    samples: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in compared}
    for subject in turns(list(compared), sizes.latency_rounds):
        samples[subject.name].append(await measure_latency(stage, subject, sizes))
        say(f"latency: {subject.name}: {samples[subject.name][-1]['pod_p50']:.1f} ms to the Pod")
    for name, own in samples.items():
        found[name] |= {key: median(one[key] for one in own) for key in own[0]}
        found[name]["latencies"] = own
        for ratio, figure, other in (
            ("crowd_ratio", "crowd_p50", LOOP),
            ("pod_of_smallest", "pod_p50", SMALLEST),
        ):
            if other in samples:
                pairs = [[one[figure] for one in samples[which]] for which in (name, other)]
                found[name][ratio] = median_ratio(*pairs)


async def _measure_standing(
    stage: Stage, subjects: Sequence[Subject], sizes: Sizes, found: dict[str, dict[str, Any]]
) -> None:
    for subject in subjects:
        own = sizes.finished_of_ours if subject.name == OURS else ()
        for present in (*sizes.finished, *own):
            seconds, peak = await measure_restart(stage, subject, present, sizes.restarts)
            found[subject.name] |= {f"restart_{present}": seconds, f"finished_{present}_rss": peak}
            say(f"start with {present} finished: {subject.name}: {seconds:.2f} s, {peak:.0f} MiB")
        if sizes.live:
            found[subject.name]["live_rss"] = await measure_live(stage, subject, sizes.live)
            say(f"{sizes.live} live: {subject.name}: {found[subject.name]['live_rss']:.0f} MiB")


def render(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of subjects, and the table of their requests."""
    order = [name for name in COLUMNS if name in found]
    rows = [
        [title, *(show(found[name].get(figure), digits) for name in order)]
        for title, figure, digits in ROWS
        if any(figure in found[name] for name in order)
    ]
    verbs = sorted(
        {
            what
            for name in order
            for what, number in found[name].get("requests", {}).items()
            if number >= 0.05
        }
    )
    rows += [
        [
            f"requests per run: {what}",
            *(show(found[name].get("requests", {}).get(what, 0.0), 2) for name in order),
        ]
        for what in verbs
    ]
    return render_table(["", *order], rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run of about a minute")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--part", action="append", choices=PARTS, help="measure only this part")
    parser.add_argument("--column", action="append", choices=COLUMNS, help="only this column")
    given = parser.parse_args()
    sizes, began = (QUICK if given.quick else Sizes()), time.monotonic()
    chosen = Chosen(given.part or PARTS, given.column or COLUMNS)
    alone = measure_alone(rounds=1 if given.quick else 3) if "alone" in chosen.parts else {}
    found: dict[str, dict[str, Any]] = {}
    if set(chosen.parts) != {"alone"}:
        found = asyncio.run(asyncio.wait_for(measure_all(sizes, chosen), timeout=3600))
        print(render(found), end="\n\n")
    print(render_budgets({**alone, **_budgeted(found)}))
    say(f"took {time.monotonic() - began:.0f} s")
    if given.json:
        given.json.write_text(
            json.dumps({"sizes": vars(sizes), "subjects": found, "alone": alone}, indent=1) + "\n"
        )
    return 0


def _budgeted(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return our figures, and how we stand beside plain Jobs."""
    ours, jobs = found.get(OURS, {}), found.get(PLAIN_JOBS, {})
    figures = {key: value for key, value in ours.items() if isinstance(value, float)}
    if "rate" in ours and "rate" in jobs:
        figures["rate_of_jobs"] = ours["rate"] / jobs["rate"]
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
