"""The measurements themselves, each for one subject on a cleared stage.

Must not know which subject it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opstrand.kube.resources import PODS as POD
from tests.bench.etcd import JOBS, OPERATIONS, PODS, copy_run
from tests.bench.figures import median, percentile
from tests.bench.process import Subject
from tests.bench.stage import ECHO, NAMESPACE, PATIENCE, Stage

_serial = itertools.count()
_OUTPUT = {"outputs": [{"name": "acc", "type": "float", "value": 0.5}]}


@dataclass(frozen=True)
class Sizes:
    """How much to measure. `rounds` repeat the throughput of all subjects in turn, `latency_rounds`
    their latencies.

    There are many short rounds instead of few long ones, and the subjects take turns: other work on
    the machine comes and goes, and affects all of them. The median of the rounds counts for every
    figure, and the median of each round's own ratio for every ratio.
    """

    rounds: int = 5
    runs: int = 200
    latency_rounds: int = 3
    paced: int = 50
    chains: int = 15
    chains_at_once: int = 30
    bursts: int = 5
    fan_out: int = 1000
    fan_outs: int = 3
    chain: int = 30
    crowd_chain: int = 5
    live: int = 1000
    finished: tuple[int, ...] = (1000, 5000)
    finished_of_ours: tuple[int, ...] = (10_000,)
    restarts: int = 3


QUICK = Sizes(
    rounds=3,
    runs=100,
    latency_rounds=1,
    paced=20,
    chains=5,
    fan_out=200,
    fan_outs=1,
    chain=10,
    crowd_chain=2,
    live=0,
    finished=(1000,),
    finished_of_ours=(),
    restarts=1,
)


@dataclass
class Throughput:
    """One round of one subject. All but `runs_per_second` and `peak_rss` are per run."""

    runs_per_second: float
    cpu_ms: float
    server_cpu_ms: float
    peak_rss: float
    etcd_bytes: float
    stored: dict[str, float]
    requests: dict[str, float] = field(default_factory=dict)


def make_names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{next(_serial):05d}" for _ in range(count)]


@asynccontextmanager
async def acting(stage: Stage, subject: Subject) -> AsyncIterator[None]:
    """Run the subject on an empty stage, after a few runs that warm it up."""
    await stage.etcd.sweep()
    stage.creates_jobs = subject.asks_for_jobs
    await asyncio.to_thread(subject.start)
    try:
        await stage.run_to_end(make_names("warm", 5))
        yield
        subject.check_alive()
    except Exception as error:
        raise RuntimeError(f"{subject.name}: {error}\n{subject.log.read_text()[-3000:]}") from error
    finally:
        await asyncio.to_thread(subject.stop)


async def measure_throughput(stage: Stage, subject: Subject, sizes: Sizes) -> Throughput:
    """Create all runs at once."""
    async with acting(stage, subject):
        wanted = make_names("many", sizes.runs)
        start, cpu, server, stored = (
            stage.mark(),
            subject.cpu_seconds(),
            stage.server_cpu_seconds(),
            await stage.etcd.bytes_taken(),
        )
        await stage.run_to_end(wanted)
        await asyncio.sleep(0.5)
        spent, serving = subject.cpu_seconds() - cpu, stage.server_cpu_seconds() - server
        taken = await stage.etcd.bytes_taken() - stored
        trail, count = stage.trail(start, subject), len(wanted)
        requests = {what: number / count for what, number in sorted(trail.count().items())}
        rate = count / trail.seconds_for(wanted)
        peak = subject.rss(peak=True)
        return Throughput(
            rate,
            1000 * spent / count,
            1000 * serving / count,
            peak,
            taken / count,
            await _measure_stored(stage),
            requests,
        )


async def _measure_stored(stage: Stage) -> dict[str, float]:
    """Return the bytes that etcd holds of one ended run, with what tracks who owns each field."""
    asked = (("stored_run", JOBS if stage.creates_jobs else OPERATIONS), ("stored_pod", PODS))
    return {
        figure: median([float(size) for size in await stage.etcd.sizes(f"{prefix}{NAMESPACE}/")])
        for figure, prefix in asked
    }


async def measure_latency(stage: Stage, subject: Subject, sizes: Sizes) -> dict[str, float]:
    """Create runs one by one, five in a second; then chains of two."""
    async with acting(stage, subject):
        paced = await _pace(stage, subject, sizes.paced)
        single = await _chain_alone(stage, subject, sizes.chains)
        # All chains of a burst wait for the same two cores: together they are one sample.
        crowds = [
            median(await _chain_at_once(stage, subject, sizes.chains_at_once))
            for _ in range(sizes.bursts)
        ]
    return {**paced, "hop_p50": median(single), "crowd_p50": median(crowds)}


async def _pace(stage: Stage, subject: Subject, count: int) -> dict[str, float]:
    wanted, start = make_names("paced", count), stage.mark()
    asking = []
    for name in wanted:
        asking.append(asyncio.create_task(stage.create(name)))
        await asyncio.sleep(0.2)
    await asyncio.gather(*asking, stage.wait_for(wanted, "Succeeded"))
    await asyncio.sleep(0.1)
    trail = stage.trail(start, subject)
    to_pod, to_final = trail.create_to_pod(wanted), trail.done_to_final(wanted)
    return {
        "pod_p50": median(to_pod),
        "pod_p99": percentile(to_pod, 0.99),
        "final_p50": median(to_final),
    }


def _pairs(count: int) -> list[tuple[str, str]]:
    return list(zip(make_names("up", count), make_names("down", count), strict=True))


async def _ask_for_chain(stage: Stage, up: str, down: str) -> None:
    component = {**ECHO, **_OUTPUT}
    await stage.create(up, {"component": component})
    await stage.wait_for([up], "Running")
    await stage.create(down, {"params": {"message": {"ref": f"ops.{up}", "value": "outputs.acc"}}})
    await stage.wait_for([down], "Waiting")


async def _chain_alone(stage: Stage, subject: Subject, count: int) -> list[float]:
    pairs, start = _pairs(count), stage.mark()
    for up, down in pairs:
        stage.held.add(up)
        await _ask_for_chain(stage, up, down)
        stage.release(up)
        await stage.wait_for([down], "Succeeded")
    await asyncio.sleep(0.1)
    return stage.trail(start, subject).hops(pairs)


async def _chain_at_once(stage: Stage, subject: Subject, count: int) -> list[float]:
    pairs, start = _pairs(count), stage.mark()
    stage.held.add("up-")
    await asyncio.gather(*(_ask_for_chain(stage, up, down) for up, down in pairs))
    await asyncio.sleep(0.5)
    stage.release("up-")
    await stage.wait_for([down for _, down in pairs], "Succeeded")
    await asyncio.sleep(0.1)
    return stage.trail(start, subject).hops(pairs)


async def measure_live(stage: Stage, subject: Subject, count: int) -> float:
    """Return the resident MiB while this many runs are Running."""
    async with acting(stage, subject):
        stage.held.add("live-")
        wanted = make_names("live", count)
        await stage.create_all(wanted)
        await stage.wait_for(wanted, "Running")
        await asyncio.sleep(3)
        return subject.rss()


async def measure_restart(
    stage: Stage, subject: Subject, present: int, times: int
) -> tuple[float, float]:
    """Return the median of the seconds from the process's start to the first Pod's POST, with this
    many finished runs and their Pods present, and the peak of resident MiB.
    """
    async with acting(stage, subject):
        await stage.run_to_end(["finished-00000"])
    await _copy_finished(stage, present)
    starts = [await _restart(stage, subject) for _ in range(times)]
    return median(seconds for seconds, _ in starts), max(peak for _, peak in starts)


async def _copy_finished(stage: Stage, count: int) -> None:
    """Copy the first finished run until there are `count`."""
    name = "finished-00000"
    body = stage.bodies[name]
    uid = body["metadata"]["uid"]
    pod_name = f"{name}-{uid[:8]}-0"
    pod = await stage.kube.get(POD, NAMESPACE, pod_name)
    stored = await stage.etcd.get(f"{OPERATIONS}{NAMESPACE}/{name}")
    stored_pod = await stage.etcd.get(f"{PODS}{NAMESPACE}/{pod_name}")
    values: dict[str, bytes] = {}
    for number in range(1, count):
        other, operation, copied = copy_run(
            stored, stored_pod, name=name, uid=uid, pod_uid=pod["metadata"]["uid"], number=number
        )
        values[f"{OPERATIONS}{NAMESPACE}/{other}"] = operation
        values[f"{PODS}{NAMESPACE}/{other}-{0xA0000000 + number:08x}-0"] = copied
    await stage.etcd.put_all(values)
    async with asyncio.timeout(PATIENCE):
        while sum(one.startswith("finished-") for one in stage.phases) < count:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.1)


async def _restart(stage: Stage, subject: Subject) -> tuple[float, float]:
    (wanted,), start = make_names("first", 1), stage.mark()
    await stage.create(wanted)
    began = time.time()
    await asyncio.to_thread(subject.start, wait=False)
    try:
        await stage.wait_for([wanted], "Succeeded")
        peak = subject.rss(peak=True)
    finally:
        await asyncio.to_thread(subject.stop)
    return stage.trail(start, subject).pod_posted[wanted].answered - began, peak


def turns(subjects: list[Subject], rounds: int) -> Iterator[Subject]:
    """Yield A B C, again and again, so that drift affects all of them."""
    for _ in range(rounds):
        yield from subjects
