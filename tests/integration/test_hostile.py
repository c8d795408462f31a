"""One object harms only itself: 200 hostile ones beside a plain run now and then, under the limits and probes of manifests/.

What a plain run takes alone is measured in the same test, on the same machine, so that how busy it is counts in both.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from opstrand.core.phase import parse_phase
from opstrand.kube.api import OPERATIONS, PODS, ApiError, KubeApi, Manifest
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import CHECKOUT, OPERATOR_USER, make_namespace, operation
from tests.support.hostile import make_hostile
from tests.support.memory_limit import MemoryLimit
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")]

SEED = int(os.environ.get("OPSTRAND_HOSTILE_SEED", "1"))
COUNT = 200
#: Seconds: what hostile objects may add to what a plain run takes.
ADDED = 2.0
_UNITS = {"Mi": 2**20, "Gi": 2**30}


class Deployment:
    """What manifests/ says of one of ours."""

    def __init__(self, name: str) -> None:
        documents = yaml.safe_load_all((CHECKOUT / "manifests" / "base" / f"{name}.yaml").read_text())
        spec = next(one for one in documents if one["kind"] == "Deployment")["spec"]["template"]["spec"]
        self.container: Manifest = spec["containers"][0]

    @property
    def memory(self) -> int:
        text = self.container["resources"]["limits"]["memory"]
        return int(text[:-2]) * _UNITS[text[-2:]]

    async def probe_forever(self, url: str, failures: list[str]) -> None:
        """As the kubelet: the strictest period and timeout of the two. What failed is noted."""
        probes = [self.container[f"{kind}Probe"] for kind in ("liveness", "readiness")]
        period, seconds = (min(one[key] for one in probes) for key in ("periodSeconds", "timeoutSeconds"))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
            while True:
                began = time.monotonic()
                try:
                    async with session.get(url) as answer:
                        if answer.status != 200:
                            failures.append(f"{answer.status}: {await answer.text()}")
                except (aiohttp.ClientError, TimeoutError) as error:
                    failures.append(f"{error or type(error).__name__} after {time.monotonic() - began:.1f} s")
                await asyncio.sleep(max(period - (time.monotonic() - began), 0))


@asynccontextmanager
async def under_limits(process: OperatorProcess, name: str, url: str) -> AsyncIterator[MemoryLimit]:
    """The process with the memory that its Deployment has, probed as the kubelet does. No restart and no failed probe."""
    deployment, failures = Deployment(name), list[str]()
    assert process.process is not None
    with MemoryLimit(process.process.pid, deployment.memory) as limit:
        probing = asyncio.create_task(deployment.probe_forever(url, failures))
        try:
            yield limit
        finally:
            probing.cancel()
            limit.read()
            process.kill() if process.process.poll() is not None else process.stop()
    print(f"{name}: at most {limit.peak / 2**20:.0f} MiB")
    assert failures == []
    assert limit.kills == 0


async def measure(one: Callable[[int], Awaitable[float]], *, count: int = 0, until: asyncio.Event | None = None) -> list[float]:
    """How long each of some plain ones takes, one every half a second: so many, or until the event."""
    found: list[float] = []
    while len(found) < count or not (until is None or until.is_set()):
        began = time.monotonic()
        found.append(await one(len(found)))
        await asyncio.sleep(max(0.5 - (time.monotonic() - began), 0))
    return found


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[min(int(len(seconds) * 0.99), len(seconds) - 1)]


def compare(alone: list[float], beside: list[float]) -> None:
    print(f"alone p99 {p99(alone):.2f} s of {len(alone)}; beside hostile ones p99 {p99(beside):.2f} s of {len(beside)}")
    assert p99(beside) <= p99(alone) + ADDED, sorted(beside)[-10:]


class PlainRuns:
    """Plain runs in a namespace of their own, and when each has its Pod."""

    def __init__(self, kube: KubeApi, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._seen: dict[str, asyncio.Future[None]] = {}

    async def watch(self) -> None:
        since = ""
        while True:
            async for kind, pod in self._kube.watch(PODS, self._namespace, since=since):
                since = pod["metadata"]["resourceVersion"]
                owner = (pod["metadata"].get("ownerReferences") or [{}])[0].get("name", "")
                if kind == "ADDED" and owner in self._seen and not self._seen[owner].done():
                    self._seen[owner].set_result(None)

    async def run(self, prefix: str, number: int) -> float:
        name = f"{prefix}-{number}"
        self._seen[name] = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        await self._kube.create(OPERATIONS, self._namespace, operation(name))
        async with asyncio.timeout(120):
            await self._seen[name]
        return time.monotonic() - began


async def create_all(kube: KubeApi, namespaces: list[str], kinds: dict[tuple[str, str], str]) -> None:
    """All hostile ones, a few at a time. What the API server itself refuses harms nobody."""
    slots = asyncio.Semaphore(8)

    async def create(number: int, kind: str, body: Manifest) -> None:
        namespace = namespaces[number % len(namespaces)]
        async with slots:
            try:
                await kube.create(OPERATIONS, namespace, body)
                kinds[namespace, body["metadata"]["name"]] = kind
            except ApiError:
                return

    await asyncio.gather(*(create(number, kind, body) for number, (kind, body) in enumerate(make_hostile(SEED, COUNT))))


async def list_open(kube: KubeApi, kinds: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Of the hostile ones, those about which nothing has been said yet: neither an end nor a Pod nor what is waited for."""
    found = dict(kinds)
    for namespace in {namespace for namespace, _ in kinds}:
        async for page in kube.pages(OPERATIONS, namespace):
            for body in page.items:
                status = body.get("status") or {}
                is_settled = parse_phase(status).is_final or status.get("reason")
                if is_settled:
                    found.pop((namespace, body["metadata"]["name"]), None)
    return found


@pytest.mark.parametrize("spread", [1, 3])
async def test_hostile_runs_delay_no_plain_run_of_another_namespace(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path, spread: int
) -> None:
    port = free_port("127.0.0.1")
    hostile = [await make_namespace(quiet_kube, f"hostile-{spread}-{number}") for number in range(spread)]
    plain = PlainRuns(quiet_kube, await make_namespace(quiet_kube, f"plain-{spread}"))
    settings: dict[str, Any] = {"namespaces": ",".join([*hostile, f"plain-{spread}"]), "crash_record": tmp_path / "crashes"}
    process = OperatorProcess(quiet_plane.user(OPERATOR_USER), tmp_path / "operator.log", health_port=port, **settings)
    process.start()
    process.wait_until_started(60)
    watching = asyncio.create_task(plain.watch())
    kinds: dict[tuple[str, str], str] = {}
    async with under_limits(process, "operator", f"http://127.0.0.1:{port}/healthz"):
        alone = await measure(lambda number: plain.run("alone", number), count=16)
        settled = asyncio.Event()
        beside = asyncio.create_task(measure(lambda number: plain.run("beside", number), until=settled))
        await create_all(quiet_kube, hostile, kinds)
        began = time.monotonic()
        while (left := await list_open(quiet_kube, kinds)) and time.monotonic() - began < 300:
            process.check_alive()
            await asyncio.sleep(1)
        settled.set()
        found = await beside
        print(f"settled after {time.monotonic() - began:.0f} s")
    watching.cancel()
    reasons = await list_reasons(quiet_kube, hostile)
    compare(alone, found)
    assert Counter(left.values()) == Counter()
    assert len(kinds) > COUNT * 0.8, Counter(kinds.values())
    assert "InternalError" not in reasons


async def list_reasons(kube: KubeApi, namespaces: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for namespace in namespaces:
        async for page in kube.pages(OPERATIONS, namespace):
            found.update(str((body.get("status") or {}).get("reason")) for body in page.items)
    print(found)
    return found
