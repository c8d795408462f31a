"""One object harms only itself: 200 hostile Operations beside plain runs, under the limits and
probes of manifests/.

The same test measures before and after what a plain run takes alone, beside as many idle
computations as there are workers and at their priority: other load on the machine affects both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.settings import Settings
from opstrand.types import Manifest
from opstrand.workers.nursery import NICENESS
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    CHECKOUT,
    OPERATOR_USER,
    make_namespace,
    make_token,
    operation,
    run_kubectl,
)
from tests.support.hostile import KINDS, make_hostile
from tests.support.memory_limit import MemoryLimit
from tests.support.operator_process import OperatorProcess

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

SEED = int(os.environ.get("OPSTRAND_HOSTILE_SEED", "1"))
COUNT = POSTED = 200
#: Number of projects that send hostile files: one project alone has a single worker at a time, and
#: would take twice as long.
_SENDERS = 2
#: Seconds that hostile objects may add to the time of a plain run.
ADDED = 2.0
_UNITS = {"Mi": 2**20, "Gi": 2**30}


class Deployment:
    """The limits and probes of one of our Deployments in manifests/."""

    def __init__(self, name: str) -> None:
        documents = yaml.safe_load_all(
            (CHECKOUT / "manifests" / "base" / f"{name}.yaml").read_text()
        )
        spec = next(one for one in documents if one["kind"] == "Deployment")["spec"]["template"][
            "spec"
        ]
        self.container: Manifest = spec["containers"][0]

    @property
    def memory(self) -> int:
        text = self.container["resources"]["limits"]["memory"]
        return int(text[:-2]) * _UNITS[text[-2:]]

    async def probe_forever(self, url: str, failures: list[str]) -> None:
        """Probe as the kubelet does, with the stricter period and timeout of the two probes.
        Failures are recorded.
        """
        probes = [self.container[f"{kind}Probe"] for kind in ("liveness", "readiness")]
        period, seconds = (
            min(one[key] for one in probes) for key in ("periodSeconds", "timeoutSeconds")
        )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
            while True:
                began = time.monotonic()
                try:
                    async with session.get(url) as answer:
                        if answer.status != 200:
                            failures.append(f"{answer.status}: {await answer.text()}")
                except (aiohttp.ClientError, TimeoutError) as error:
                    failures.append(
                        f"{error or type(error).__name__} after {time.monotonic() - began:.1f} s"
                    )
                await asyncio.sleep(max(period - (time.monotonic() - began), 0))


@asynccontextmanager
async def under_limits(process: OperatorProcess, name: str, url: str) -> AsyncIterator[MemoryLimit]:
    """Run the process with the memory of its Deployment, and probe it as the kubelet does.

    It must not restart, and no probe may fail.
    """
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


async def measure(
    one: Callable[[int], Awaitable[float]], *, count: int = 0, until: asyncio.Event | None = None
) -> list[float]:
    """Return how long each of some plain runs takes, one every half a second: this many, or until
    the event.
    """
    found: list[float] = []
    while len(found) < count or not (until is None or until.is_set()):
        began = time.monotonic()
        found.append(await one(len(found)))
        await asyncio.sleep(max(0.5 - (time.monotonic() - began), 0))
    return found


@contextmanager
def busy_processors() -> Iterator[None]:
    """Run two processes that only compute, at the priority of workers: hostile objects must not
    harm more than these do.
    """
    command = [sys.executable, "-c", f"import os\nos.nice({NICENESS})\nwhile True: pass"]
    burners = [subprocess.Popen(command) for _ in range(Settings().decision_workers)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


async def measure_alone(one: Callable[[int], Awaitable[float]]) -> list[float]:
    with busy_processors():
        return await measure(one, count=10)


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[min(int(len(seconds) * 0.99), len(seconds) - 1)]


def compare(alone: list[float], beside: list[float]) -> None:
    print(
        f"alone p99 {p99(alone):.2f} s of {len(alone)}; beside hostile ones p99 {p99(beside):.2f} "
        f"s of {len(beside)}"
    )
    assert p99(beside) <= p99(alone) + ADDED, sorted(beside)[-10:]


class PlainRuns:
    """Plain runs in their own namespace, and when each has its Pod."""

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


def write_all() -> list[tuple[str, bytes]]:
    """Return (kind, JSON) of all hostile Operations. They are made before the measurement: making
    them would delay the plain runs in this same process.
    """
    return [(kind, json.dumps(body).encode()) for kind, body in make_hostile(SEED, COUNT)]


async def create_all(
    kube: KubeApi, namespaces: list[str], texts: list[tuple[str, bytes]]
) -> Counter[str]:
    """Create all hostile Operations, a few at a time; return how many of each kind exist.

    One that the API server refuses does no harm.
    """
    slots, kinds = asyncio.Semaphore(4), Counter[str]()

    async def create(kind: str, text: bytes, namespace: str) -> None:
        url, headers = (
            kube.session.server + OPERATIONS.path(namespace),
            {"Content-Type": "application/json"},
        )
        async with slots, kube.session.http.post(url, data=text, headers=headers) as answer:
            await answer.read()
            kinds[kind] += answer.status == 201

    places = itertools.cycle(namespaces)
    await asyncio.gather(*(create(kind, text, next(places)) for kind, text in texts))
    return kinds


async def count_open(kube: KubeApi, namespaces: list[str]) -> int:
    """Count the Operations without any status: it reads only metadata, from the server's memory, so
    that the count is no load.
    """
    query = {"fieldSelector": "status.phase=", "resourceVersion": "0"}
    headers = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    found = 0
    for namespace in namespaces:
        url = kube.session.server + OPERATIONS.path(namespace)
        async with kube.session.http.get(url, params=query, headers=headers) as answer:
            assert answer.status == 200
            found += len((await answer.json())["items"] or ())
    return found


async def wait_until_settled(kube: KubeApi, namespaces: list[str], process: OperatorProcess) -> int:
    """Wait until each has its end, its Pod or its wait. Return how many have none once no run has
    progressed for four minutes.
    """
    best, moved = COUNT + 1, time.monotonic()
    while time.monotonic() - moved < 240:
        process.check_alive()
        left = await count_open(kube, namespaces)
        if not left:
            return 0
        if left < best:
            best, moved = left, time.monotonic()
        await asyncio.sleep(5)
    return best


async def test_hostile_runs_delay_no_plain_run_of_another_namespace(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    port = free_port("127.0.0.1")
    hostile = [await make_namespace(quiet_kube, f"hostile-{number}") for number in range(3)]
    texts = write_all()
    plain = PlainRuns(quiet_kube, await make_namespace(quiet_kube, "plain"))
    settings: dict[str, Any] = {
        "namespaces": ",".join([*hostile, "plain"]),
        "crash_record": tmp_path / "crashes",
    }
    process = OperatorProcess(
        quiet_plane.user(OPERATOR_USER), tmp_path / "operator.log", health_port=port, **settings
    )
    process.start()
    process.wait_until_started(60)
    watching = asyncio.create_task(plain.watch())
    async with under_limits(process, "operator", f"http://127.0.0.1:{port}/healthz"):
        alone = await measure_alone(lambda number: plain.run("before", number))
        settled = asyncio.Event()
        beside = asyncio.create_task(
            measure(lambda number: plain.run("beside", number), until=settled)
        )
        kinds = await create_all(quiet_kube, hostile, texts)
        left = await wait_until_settled(quiet_kube, hostile, process)
        settled.set()
        found = await beside
        alone += await measure_alone(lambda number: plain.run("after", number))
    watching.cancel()
    reasons = await list_reasons(quiet_kube, hostile)
    assert left == 0
    assert len(+kinds) == len(KINDS)
    assert "InternalError" not in reasons
    assert reasons["TooExpensive"] > 0
    compare(alone, found)


async def list_reasons(kube: KubeApi, namespaces: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for namespace in namespaces:
        async for page in kube.pages(OPERATIONS, namespace):
            found.update(str((body.get("status") or {}).get("reason")) for body in page.items)
    print(found)
    return found


def to_content(body: Manifest) -> str:
    return json.dumps({"kind": "operation", "name": body["metadata"]["name"], **body["spec"]})


@pytest.fixture(scope="module")
def poster(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OperatorProcess, str]]:
    """Yield the API's process with the rights of manifests/, and its address."""
    kubectl = (
        control_plane.kubeconfig,
        "apply",
        "--server-side",
        "-n",
        "opstrand",
        "-f",
        str(CHECKOUT / "manifests/base/rbac-api.yaml"),
    )
    run_kubectl(control_plane.kubeconfig, "create", "namespace", "opstrand", check=False)
    run_kubectl(*kubectl)
    binding = (
        "create",
        "clusterrolebinding",
        "api-of-the-hostile",
        "--clusterrole=opstrand-api",
        "--user=opstrand-api",
    )
    run_kubectl(control_plane.kubeconfig, *binding)
    port, folder = free_port("127.0.0.1"), tmp_path_factory.mktemp("api")
    kubeconfig = control_plane.user("opstrand-api")
    process = OperatorProcess(
        kubeconfig, folder / "api.log", module="opstrand.api", api_listen_port=port
    )
    process.start()
    process.wait_until_started(60)
    yield process, f"http://127.0.0.1:{port}"
    process.kill()


async def test_hostile_files_by_post_delay_no_plain_one_of_another_project(
    poster: tuple[OperatorProcess, str], control_plane: ControlPlane, kube: KubeApi
) -> None:
    process, address = poster
    hostile = [await make_namespace(kube, f"posted-hostile-{number}") for number in range(_SENDERS)]
    plain = await make_namespace(kube, "posted-plain")
    headers = {}
    for place in (*hostile, plain):
        run_kubectl(control_plane.kubeconfig, "-n", place, "create", "serviceaccount", "person")
        binding = (
            "create",
            "rolebinding",
            "edit",
            "--clusterrole=edit",
            f"--serviceaccount={place}:person",
        )
        run_kubectl(control_plane.kubeconfig, "-n", place, *binding)
        headers[place] = {"Authorization": f"Bearer {await make_token(kube, place, 'person')}"}
    answers: Counter[int] = Counter()
    slots = asyncio.Semaphore(12)
    contents = [to_content(body) for _, body in make_hostile(SEED + 1, POSTED)]
    small = json.dumps({"kind": "operation", "name": "plain", **operation("plain")["spec"]})
    async with aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(total=900)) as http:

        async def post(place: str, content: str) -> int:
            async with http.post(
                f"/api/v1/default/{place}/runs", json={"content": content}, headers=headers[place]
            ) as answer:
                await answer.read()
                return answer.status

        async def post_plain(_: int) -> float:
            began = time.monotonic()
            assert await post(plain, small) == 201
            return time.monotonic() - began

        async def post_hostile(place: str, content: str) -> None:
            async with slots:
                answers[await post(place, content)] += 1

        async with under_limits(process, "api", f"{address}/healthz"):
            alone = await measure_alone(post_plain)
            done = asyncio.Event()
            beside = asyncio.create_task(measure(post_plain, until=done))
            await asyncio.gather(*map(post_hostile, itertools.cycle(hostile), contents))
            done.set()
            found = await beside
            alone += await measure_alone(post_plain)
    print(answers)
    assert set(answers) <= {201, 400, 413, 429}
    assert answers[400] > POSTED / 10
    compare(alone, found)
