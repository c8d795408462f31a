"""What all subjects share: a control plane, the client that creates runs, and a stand-in for the
kubelet that waits for both sides.

Owns making Operations, tracking them, and when a Pod may end: only once its run was seen Running,
so that every subject makes the same writes. Must not measure.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import yaml

from opstrand.core import names
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, NotFound
from opstrand.kube.resources import CRDS, NAMESPACES, OPERATIONS, PODS, Resource
from opstrand.kube.session import open_session
from opstrand.types import Manifest
from tests.bench.echo_writes import record_writes
from tests.bench.etcd import Etcd
from tests.bench.process import CHECKOUT, Subject, cpu_seconds
from tests.bench.trail import Trail
from tests.cluster.control_plane import METADATA_POLICY, ControlPlane
from tests.cluster.programs import program
from tests.support.kubelet_stand_in import KubeletStandIn, ended, mark, running

NAMESPACE = "bench"
LOOP, KOPF, SMALLEST, OURS = "asyncio loop", "kopf on.event", "loop, smallest", "opstrand"
PLAIN_JOBS = "plain Jobs"
#: The controller of Jobs alone, without its limits.
_JOB_CONTROLLER = (
    "--controllers=job-controller",
    "--leader-elect=false",
    "--secure-port=0",
    "--kube-api-qps=2000",
    "--kube-api-burst=4000",
    "--concurrent-job-syncs=32",
)
PATIENCE = 180.0
#: Seconds without an event after which a watch is opened again.
SILENCE = 90.0
_CLUSTER_ROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
JOBS = Resource("batch", "v1", "jobs", "Job")
_ROLE = "opstrand-operator"
ECHO: Manifest = yaml.safe_load((CHECKOUT / "tests/samples/echo.yaml").read_text())
# Named here because no controller runs that would make the default account, and no admission that
# would fill in its name.
ECHO["run"]["environment"] = {"serviceAccountName": "default"}


def operation(name: str, spec: Mapping[str, Any] | None = None) -> Manifest:
    """Return an Operation of the echo; `spec` is merged over it."""
    asked = {"params": {"message": {"value": "test 1"}}, "component": ECHO, **(spec or {})}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Operation",
        "metadata": {"name": name},
        "spec": asked,
    }


def job(name: str) -> Manifest:
    """Return a Job of the smallest Pod. The stand-in for the kubelet finds the Pod by its label."""
    key, _, value = names.MANAGED_SELECTOR.partition("=")
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    template = {
        "metadata": {"labels": {key: value}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


class Stage:
    """One open bench. `phases`: run -> the phase that the watch reported.

    `creates_jobs`: runs are created as Jobs.
    """

    creates_jobs = False

    def __init__(self, plane: ControlPlane, kube: KubeApi, etcd: Etcd) -> None:
        self.plane, self.kube, self.etcd = plane, kube, etcd
        self.phases: dict[str, str] = {}
        self.bodies: dict[str, Manifest] = {}
        #: Prefixes of runs whose Pods do not end until `release`.
        self.held: set[str] = set()
        self._waiters: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._slots = asyncio.Semaphore(32)

    def subjects(self) -> list[Subject]:
        """Return our operator and the loops that it is compared with.

        The last one writes as little as possible, the others write what ours does.
        """
        writes = self.plane.folder / "writes.json"
        writes.write_text(json.dumps(record_writes(operation("any"))))
        commands = {
            LOOP: ["-m", "tests.bench.write_loop", "asyncio", str(writes)],
            OURS: ["-m", "opstrand.handlers"],
            KOPF: ["-m", "tests.bench.write_loop", "kopf", str(writes)],
            SMALLEST: ["-m", "tests.bench.write_loop", "asyncio"],
        }
        ours = [self._subject(name, command) for name, command in commands.items()]
        return [*ours, self._job_controller()]

    def _job_controller(self) -> Subject:
        """Return Kubernetes' own controller of Jobs.

        It may do everything: each of its controllers would need an account of its own.
        """
        user = "bench-jobs"
        kubeconfig = self.plane.user(user, ["system:masters"])
        return Subject(
            PLAIN_JOBS,
            user,
            [f"--kubeconfig={kubeconfig}", *_JOB_CONTROLLER],
            kubeconfig,
            self.plane.folder / f"{user}.log",
            program=str(program("kube-controller-manager")),
            started=b"Caches are synced",
            asks_for_jobs=True,
        )

    def _subject(self, name: str, command: list[str]) -> Subject:
        user = "bench-" + re.sub("[^a-z]+", "-", name)
        settings = {"OPSTRAND_HEALTH_PORT": "0"}
        return Subject(
            name, user, command, self.plane.user(user), self.plane.folder / f"{user}.log", settings
        )

    # -- creating runs

    async def create(self, name: str, spec: Mapping[str, Any] | None = None) -> None:
        async with self._slots:
            if self.creates_jobs:
                await self.kube.create(JOBS, NAMESPACE, job(name))
            else:
                await self.kube.create(OPERATIONS, NAMESPACE, operation(name, spec))

    async def create_all(
        self, wanted: Iterable[str], spec: Mapping[str, Any] | None = None
    ) -> None:
        await asyncio.gather(*(self.create(name, spec) for name in wanted))

    async def wait_for(self, wanted: Iterable[str], phase: str) -> None:
        listed = list(wanted)
        try:
            async with asyncio.timeout(PATIENCE):
                for name in listed:
                    await self._until(name, phase)
        except TimeoutError:
            late = {
                name: self.phases.get(name, "absent")
                for name in listed
                if self.phases.get(name) != phase
            }
            raise RuntimeError(
                f"{len(late)} runs are not {phase} after {PATIENCE:.0f} s: "
                f"{dict(list(late.items())[:5])}"
            ) from None

    async def _until(self, name: str, phase: str) -> None:
        while self.phases.get(name) != phase:
            if self.phases.get(name) == "Failed":
                raise RuntimeError(f"{name} failed: {self.bodies[name]['status']}")
            await self._change(name)

    async def run_to_end(self, wanted: list[str], spec: Mapping[str, Any] | None = None) -> None:
        await asyncio.gather(self.create_all(wanted, spec), self.wait_for(wanted, "Succeeded"))

    # -- watching runs

    async def watch(self, resource: Resource) -> None:
        async for kind, body in follow(self.kube, resource):
            self._see(kind, body)

    def _see(self, kind: str, body: Manifest) -> None:
        name = body["metadata"]["name"]
        if kind == "DELETED":
            self.phases.pop(name, None)
            self.bodies.pop(name, None)
        else:
            self.bodies[name] = body
            self.phases[name] = _phase_of(body)
        self._wake(name)

    def release(self, prefix: str) -> None:
        """Let the Pods of these runs end now, all at once."""
        self.held.discard(prefix)
        for name in [name for name in self.phases if name.startswith(prefix)]:
            self._wake(name)

    async def may_end(self, name: str) -> None:
        """Wait until this run was seen Running and is not held any more."""
        while self.phases.get(name) != "Running" or any(
            name.startswith(prefix) for prefix in self.held
        ):
            await self._change(name)

    async def _change(self, name: str) -> None:
        news = asyncio.get_running_loop().create_future()
        self._waiters[name].append(news)
        await news

    def _wake(self, name: str) -> None:
        for news in self._waiters.pop(name, ()):
            if not news.done():
                news.set_result(None)

    # -- what was recorded

    def server_cpu_seconds(self) -> float:
        """Return the API server's CPU seconds so far."""
        pid = self.plane.processes["kube-apiserver"].pid()
        assert pid is not None
        return cpu_seconds(pid)

    def mark(self) -> int:
        """Return the present end of the audit log."""
        return self.plane.audit_log.stat().st_size

    def trail(self, start: int, subject: Subject) -> Trail:
        return Trail.read(self.plane.audit_log, start, subject.user)


def _phase_of(body: Manifest) -> str:
    """Return the phase of an Operation; of a Job, the phase in which an Operation would be."""
    status = body.get("status") or {}
    if body.get("kind") != "Job":
        return str(status.get("phase", "Created"))
    held = {one["type"] for one in status.get("conditions") or () if one["status"] == "True"}
    if held & {"Complete", "Failed"}:
        return "Succeeded" if "Complete" in held else "Failed"
    return "Running" if status.get("active") else "Created"


async def follow(
    kube: KubeApi, resource: Resource, labels: str = ""
) -> AsyncIterator[tuple[str, Manifest]]:
    """Yield every object as ADDED, then every event; list again when the watch ends or is silent
    for long.

    A server whose store was cleared reads it again, and refuses lists during that time.
    """
    while True:
        with suppress(ApiError, TimeoutError, StopAsyncIteration):
            items, version = await kube.list(resource, labels=labels)
            for body in items:
                yield "ADDED", body
            events = kube.watch(resource, since=version, labels=labels)
            while True:
                kind, body = await asyncio.wait_for(anext(events), SILENCE)
                if kind != "BOOKMARK":
                    yield kind, body
        await asyncio.sleep(0.05)


class PatientKubelet(KubeletStandIn):
    """Ends a Pod as soon as its run may end."""

    def __init__(self, kube: KubeApi, may_end: Callable[[str], Any]) -> None:
        super().__init__(kube)
        self._may_end = may_end

    async def _watch(self) -> None:
        async for kind, pod in follow(self._kube, PODS, names.MANAGED_SELECTOR):
            self._see(kind, pod)

    async def _live(self, pod: Manifest) -> None:
        started = pod["metadata"]["creationTimestamp"]
        with suppress(NotFound):
            await self._mark(pod, running(started))
            await self._may_end(pod["metadata"]["ownerReferences"][0]["name"])
            await self._mark(pod, ended(0, started))

    async def _mark(self, pod: Manifest, status: dict[str, Any]) -> None:
        while True:
            try:
                await mark(self._kube, pod, status)
                return
            except NotFound:
                raise
            except ApiError:
                await asyncio.sleep(0.5)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Open a control plane on the loopback with everything that the subjects need, and remove all
    of it afterwards.
    """
    async with AsyncExitStack() as stack:
        plane = stack.enter_context(ControlPlane(audit_policy=METADATA_POLICY))
        session = await stack.enter_async_context(
            await open_session(kubeconfig=str(plane.kubeconfig), connections=128)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(plane, KubeApi(session), Etcd(plane.etcd_url, http))
        await _prepare(stage)
        for resource in (OPERATIONS, JOBS):
            watching = asyncio.create_task(stage.watch(resource))
            stack.callback(watching.cancel)
        await stack.enter_async_context(PatientKubelet(stage.kube, stage.may_end))
        yield stage


async def _prepare(stage: Stage) -> None:
    kube = stage.kube
    for name in ("operation", "component"):
        await kube.create(CRDS, None, _read(f"crds/{name}.yaml")[0])
    await kube.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
    role = next(
        one
        for one in _read("manifests/base/rbac-operator.yaml")
        if one["kind"] == _CLUSTER_ROLES.kind
    )
    await kube.create(_CLUSTER_ROLES, None, role)
    people = [
        {"kind": "User", "name": subject.user, "apiGroup": "rbac.authorization.k8s.io"}
        for subject in stage.subjects()
    ]
    binding = {
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": _CLUSTER_ROLES.group, "kind": "ClusterRole", "name": _ROLE},
        "subjects": people,
    }
    await kube.create(_BINDINGS, None, binding)
    async with asyncio.timeout(PATIENCE):
        while not await _is_served(kube):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.1)


def _read(path: str) -> list[Manifest]:
    return list(yaml.safe_load_all((CHECKOUT / path).read_text()))


async def _is_served(kube: KubeApi) -> bool:
    try:
        await kube.list(OPERATIONS)
    except ApiError:
        return False
    return True
