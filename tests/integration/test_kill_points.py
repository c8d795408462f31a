"""The operator and the API die between any two of their requests to the cluster; what they began
comes to the same end.

For every point of every scenario, in its own namespace: the operator dies before, or after, its
N-th request, is started again, and each run ends once, with one Pod for each attempt, the same
result as without a death, and at most twice the writes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from opstrand.client.connection import Connection
from opstrand.client.errors import ClientError
from opstrand.client.run import RunClient
from opstrand.core import names
from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import COMPONENTS, CONFIG_MAPS, OPERATIONS, PODS, Resource
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    OPERATOR_USER,
    in_phase,
    make_api_user,
    make_namespace,
    wait_for,
)
from tests.support.audit import read_audit
from tests.support.killing_operator import DEATH, KILLED, Child, Nursery, count_effects
from tests.support.scripted_kubelet import ScriptedKubelet

#: Points that are tried at once: each has one or two processes.
AT_ONCE = 12
#: Seconds for one life of an operator; a busy machine needs many of them to start a dozen.
PATIENCE = 90
#: Tenths of a second without a line in an operator's log after which it has nothing more to do.
_QUIET = 100
#: By how many effects two lives of one scenario may differ: a parent writes what happened to its
#: runs meanwhile in one patch, so that a quicker life has fewer of them.
_FEWER = 3
#: So many times longer may take who dies after each change.
_LIVES = 5
_numbers = itertools.count(1)
STARTED = '"message": "started"'


def service(name: str) -> Manifest:
    container = {"image": "busybox", "command": ["httpd", "-f"]}
    run = {
        "kind": "service",
        "ports": [80],
        "environment": {"annotations": {"test/serves": name}},
        "container": container,
    }
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {"name": name},
        "spec": {"component": {"run": run}},
    }


def job(
    name: str, annotations: Mapping[str, str], *, init: list[Any] | None = None, **spec: Any
) -> Manifest:
    run = {
        "kind": "job",
        "environment": {"annotations": dict(annotations)},
        "container": {"image": "busybox", "command": ["true"]},
    }
    component = {"run": {**run, **({"init": init} if init else {})}}
    metadata = {"name": name}
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": metadata,
        "spec": {"component": component, **spec},
    }


def child(name: str, annotations: Mapping[str, str], **own: Any) -> dict[str, Any]:
    """Return an operation of a pipeline."""
    return {"name": name, **job(name, annotations)["spec"], **own}


def pipeline(name: str, *operations: Mapping[str, Any]) -> Manifest:
    made = job(name, {})
    return {**made, "spec": {"component": {"run": {"kind": "dag", "operations": operations}}}}


def matrix(name: str, annotations: Mapping[str, str]) -> Manifest:
    """Return a grid of two runs, one after the other, whose better result is kept."""
    made = job(name, annotations)
    made["spec"]["component"]["inputs"] = [{"name": "lr", "type": "float"}]
    made["spec"]["matrix"] = {
        "kind": "grid",
        "concurrency": 1,
        "params": {"lr": {"kind": "choice", "value": [0.1, 0.2]}},
        "earlyStopping": [
            {
                "kind": "metric_early_stopping",
                "metric": "x",
                "value": -1,
                "optimization": "minimize",
            }
        ],
    }
    return made


def hyperband(name: str, annotations: Mapping[str, str]) -> Manifest:
    """Return a search of five runs, one of which continues the better one of the first two."""
    made = matrix(name, annotations)
    made["spec"]["component"]["inputs"] += [{"name": "epochs", "type": "int"}]
    made["spec"]["matrix"] = {
        "kind": "hyperband",
        "maxIterations": 2,
        "eta": 2,
        "seed": 7,
        "resource": {"name": "epochs", "type": "int"},
        "metric": {"name": "x", "optimization": "minimize"},
        "params": {"lr": {"kind": "uniform", "value": [0, 1]}},
    }
    return made


@dataclass(frozen=True)
class Scenario:
    """What is applied, in this order.

    `writes`: the status patches and Pods that it costs without a death. `stop`: the run that is
    stopped once its phase is the second item.
    """

    operations: tuple[Manifest, ...]
    writes: int
    ends: tuple[str, ...] = ("Succeeded",)
    stop: tuple[str, str] | None = None
    #: The run that must be in that phase first, if it is another one.
    stopped_after: str = ""
    has_config_map: bool = False
    #: The runs that are resumed once after their first end, and the others that run again then.
    resumed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    #: Whether it takes the same steps whenever the operator died: a stop may come before the Pod or
    #: after it.
    has_one_story: bool = True
    #: The Components in the hub until the first run is frozen, and those that stay.
    components: tuple[Manifest, ...] = ()
    kept_components: tuple[Manifest, ...] = ()


UNTIL_RUNNING = {"test/until": "Running"}
TWO_ATTEMPTS = {**UNTIL_RUNNING, "test/exit-codes": "1,0"}
HUB = {
    "apiVersion": "opstrand.dev/v1",
    "kind": "Component",
    "metadata": {"name": "c"},
    "spec": job("c", TWO_ATTEMPTS)["spec"]["component"],
}
_X_OF_A = {"x": {"ref": "ops.a", "value": "outputs.x", "contextOnly": True}}
_WITH_X = {**UNTIL_RUNNING, "test/outputs": '{"x": 0.5}'}
WITH_OUTPUT = job("a", _WITH_X)
#: The result of any run of the component is taken.
_ANY_VALUES = {"disable": False, "io": []}
SCENARIOS = {
    "plain": Scenario((job("a", UNTIL_RUNNING),), 4),
    "chain": Scenario(
        (
            job(
                "b",
                UNTIL_RUNNING,
                params={"p": {"ref": "ops.a", "value": "outputs.x", "contextOnly": True}},
            ),
            WITH_OUTPUT,
        ),
        9,
        ("Succeeded", "Succeeded"),
    ),
    "hub": Scenario(
        ({**job("a", {}), "spec": {"hubRef": "c", "termination": {"maxRetries": 2}}},),
        8,
        components=(HUB,),
    ),
    "join": Scenario(
        (
            job(
                "b",
                UNTIL_RUNNING,
                params={"p": {"ref": "ops.a", "value": "globals.status", "contextOnly": True}},
                joins=[
                    {
                        "query": "name: a",
                        "params": {"xs": {"value": "outputs.x", "contextOnly": True}},
                    }
                ],
            ),
            WITH_OUTPUT,
        ),
        9,
        ("Succeeded", "Succeeded"),
    ),
    "event": Scenario(
        (
            job(
                "b",
                UNTIL_RUNNING,
                events=[{"ref": "ops.a", "kinds": ["run_status_succeeded"]}],
            ),
            WITH_OUTPUT,
        ),
        9,
        ("Succeeded", "Succeeded"),
    ),
    # The second run waits for the first one and takes its result: two writes, and no Pod.
    "result": Scenario(
        (
            job("b", _WITH_X, params=_X_OF_A, cache=_ANY_VALUES),
            job("a", _WITH_X, cache=_ANY_VALUES),
        ),
        6,
        ("Succeeded", "Succeeded"),
    ),
    "config-map": Scenario(
        (
            job(
                "a",
                UNTIL_RUNNING,
                init=[{"file": {"filename": "big.txt", "content": "line of text\n" * 20_000}}],
            ),
        ),
        4,
        has_config_map=True,
    ),
    "stop": Scenario((job("a", {"test/until": "stopped"}),), 5, ("Stopped",), ("a", "Running")),
    "stop-pending": Scenario(
        (job("a", {"test/pending": ""}),), 4, ("Stopped",), ("a", "Starting"), has_one_story=False
    ),
    "service": Scenario((service("a"),), 5, ("Stopped",), ("a", "Running")),
    "pipeline": Scenario(
        (
            pipeline(
                "p",
                child("a", {**UNTIL_RUNNING, "test/outputs": '{"x": 0.5}'}),
                child("b", {**UNTIL_RUNNING, "test/exit-codes": "1"}, params=_X_OF_A),
                child("c", {}, dependencies=["b"]),
            ),
        ),
        13,
        ("Failed", "Succeeded", "Failed"),
        # Letters are written when they have waited for long enough, and with each death.
        has_one_story=False,
    ),
    "stop-pipeline": Scenario(
        (pipeline("p", child("a", {"test/until": "stopped"}), child("b", {}, dependencies=["a"])),),
        9,
        ("Stopped", "Stopped"),
        ("p", "Running"),
        has_one_story=False,
        stopped_after="p/a",
    ),
    "matrix": Scenario(
        (matrix("m", {**UNTIL_RUNNING, "test/outputs": '{"x": {{ lr }}}'}),),
        11,
        ("Succeeded",) * 3,
        has_one_story=False,
    ),
    "hyperband": Scenario(
        (hyperband("h", {**UNTIL_RUNNING, "test/outputs": '{"x": {{ lr }}}'}),),
        26,
        ("Succeeded",) * 6,
        has_one_story=False,
    ),
    "schedule": Scenario(
        (
            job(
                "s",
                UNTIL_RUNNING,
                schedule={"kind": "datetime", "startAt": "2026-01-31T10:00:00Z"},
            ),
        ),
        7,
        ("Succeeded", "Succeeded"),
    ),
    "stop-schedule": Scenario(
        (
            job(
                "s",
                {"test/until": "stopped"},
                schedule={"kind": "datetime", "startAt": "2026-01-31T10:00:00Z"},
            ),
        ),
        9,
        ("Stopped", "Stopped"),
        ("s", "Running"),
        has_one_story=False,
        stopped_after="s/20260131t100000z",
    ),
    # Three writes of the run and its Pod, one of the letters, and two hooks that are runs.
    "hooks": Scenario(
        (
            job(
                "a",
                UNTIL_RUNNING,
                hooks=[
                    {"hubRef": "told", "trigger": "succeeded", "disableDefaults": True},
                    {"hubRef": "told", "trigger": "failed"},
                    {"hubRef": "told", "params": {"x": "{{ name }}"}, "disableDefaults": True},
                ],
            ),
        ),
        14,
        ("Succeeded",) * 3,
        kept_components=(
            {
                **HUB,
                "metadata": {"name": "told"},
                "spec": job("c", UNTIL_RUNNING)["spec"]["component"],
            },
        ),
    ),
    "retry": Scenario((job("a", TWO_ATTEMPTS, termination={"maxRetries": 2}),), 8),
    "resume": Scenario((job("a", TWO_ATTEMPTS),), 9, resumed=("a",)),
    "resume-pipeline": Scenario(
        (pipeline("p", child("a", UNTIL_RUNNING), child("b", TWO_ATTEMPTS, dependencies=["a"])),),
        22,
        ("Succeeded",) * 3,
        has_one_story=False,
        resumed=("p",),
        again=("p/b",),
    ),
}


class Ground:
    """What all points use: the cluster, the nursery, a folder for logs."""

    def __init__(self, plane: ControlPlane, kube: KubeApi, nursery: Nursery, folder: Path) -> None:
        self.plane, self.kube, self.nursery, self.folder = plane, kube, nursery, folder
        self.kubeconfig = str(plane.user(OPERATOR_USER))

    async def start(self, namespace: str, **kill: object) -> Child:
        environment = {
            "KUBECONFIG": self.kubeconfig,
            "OPSTRAND_NAMESPACES": namespace,
            "OPSTRAND_HEALTH_PORT": "0",
            "OPSTRAND_RETRY_BACKOFF": "1",
            **{name: str(value) for name, value in kill.items()},
        }
        return await self.nursery.start(
            "opstrand.handlers", self.folder / f"{namespace}.log", environment
        )


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def ground(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with Nursery() as nursery, ScriptedKubelet(quiet_kube):
        yield Ground(quiet_plane, quiet_kube, nursery, tmp_path_factory.mktemp("kill-points"))


class Point:
    """One life, or two, of a scenario's runs in their own namespace."""

    def __init__(self, ground: Ground, scenario: Scenario, name: str) -> None:
        self.ground, self.scenario, self.name, self.kube = ground, scenario, name, ground.kube
        self.namespace = f"kill-{next(_numbers)}-{name}"

    async def live(self, deaths: int = 1, **kill: object) -> dict[str, Any]:
        """Apply, die as asked, start again, and check the end. Return the results of the runs."""
        await make_namespace(self.kube, self.namespace)
        for component in (*self.scenario.components, *self.scenario.kept_components):
            await self.kube.create(COMPONENTS, self.namespace, component)
        for body in self.scenario.operations:
            await self.kube.create(OPERATIONS, self.namespace, body)
        child = await self.ground.start(self.namespace, **kill)
        changes = asyncio.gather(
            self._stop_when_due(), self._forget_when_due(), self._resume_when_due()
        )
        try:
            async with asyncio.timeout(PATIENCE if deaths == 1 else PATIENCE * _LIVES):
                for _ in range(deaths):
                    await self._end_or_death(child, must_die=deaths == 1 and bool(kill))
                    if child.is_running:
                        break
                    assert child.ended.result() == KILLED
                    # Sometimes the cluster changes while no operator watches.
                    await asyncio.sleep(0.15 * (next(_numbers) % 2))
                    child = await self.ground.start(self.namespace, **(kill if deaths > 1 else {}))
                child = await self._all_ended(child)
        except (TimeoutError, AssertionError) as error:
            raise AssertionError(
                f"{self.namespace} {kill}: "
                f"{error}\n{await self._picture()}\n{child.read_log()[-6000:]}"
            ) from error
        finally:
            changes.cancel()
            await child.end(9)
        assert "Traceback" not in child.read_log(), child.read_log()[-6000:]
        return await self._validate()

    async def _bodies(self) -> list[Manifest]:
        return sorted(
            (await self.kube.list(OPERATIONS, self.namespace))[0],
            key=lambda one: str(one["metadata"]["name"]),
        )

    async def _end_or_death(self, child: Child, *, must_die: bool) -> None:
        """Wait until the operator is dead or all runs are over. One that must die is waited for
        until it has also done nothing for a while: its life has no such point.
        """
        size, quiet, enough = -1, 0, _QUIET if must_die else 0
        while child.is_running and not (quiet >= enough and await self._is_over()):
            await asyncio.wait({child.ended}, timeout=0.1)
            grown = len(child.read_log())
            size, quiet = grown, quiet + 1 if grown == size else 0

    async def _all_ended(self, child: Child) -> Child:
        """Wait until every run is over and the last operator has seen it: this one, or a later one
        that is not to die.
        """
        while not await self._is_over() or not _starts(child.read_log()):
            if not child.is_running:
                assert child.ended.result() == KILLED, "the operator ended"
                child = await self.ground.start(self.namespace)
            await asyncio.sleep(0.1)
        return child

    async def _is_over(self) -> bool:
        return all(
            parse_phase(body.get("status")).is_final
            and not has_open_hooks(body.get("status"))
            and (
                body["metadata"]["name"] not in self.scenario.resumed or "resume" in body["status"]
            )
            for body in await self._bodies()
        )

    async def _stop_when_due(self) -> None:
        if self.scenario.stop is None:
            return
        name, phase = self.scenario.stop
        wanted, is_there = self.scenario.stopped_after or name, in_phase(phase)
        while True:
            if any(_name_of(one) == wanted and is_there(one) for one in await self._bodies()):
                break
            await asyncio.sleep(0.05)
        await self.kube.json_patch(
            OPERATIONS,
            self.namespace,
            name,
            [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
        )

    async def _resume_when_due(self) -> None:
        for name in self.scenario.resumed:
            await wait_for(
                self.kube,
                self.namespace,
                name,
                lambda one: parse_phase(one.get("status")).is_final,
                seconds=PATIENCE,
            )
            ops = [{"op": "add", "path": "/spec/control", "value": {"resume": 1}}]
            await self.kube.json_patch(OPERATIONS, self.namespace, name, ops)

    async def _forget_when_due(self) -> None:
        """Delete the Components: what is frozen does not need the hub any more."""
        name = self.scenario.operations[0]["metadata"]["name"]
        for component in self.scenario.components:
            await wait_for(
                self.kube,
                self.namespace,
                name,
                lambda one: "pod" in (one.get("status") or {}),
                seconds=PATIENCE,
            )
            await self.kube.delete(COMPONENTS, self.namespace, component["metadata"]["name"])

    async def _validate(self) -> dict[str, Any]:
        """Fail if a run ended twice or has a Pod too many."""
        result, uuids = {}, {}
        pods = (await self.kube.list(PODS, self.namespace))[0]
        for body in await self._bodies():
            name, status = _name_of(body), body["status"]
            uuids[run_uuid(body["metadata"]["uid"])] = name
            ends = [
                entry["status"]
                for entry in status["history"]
                if entry["status"] in ("succeeded", "failed", "stopped")
            ]
            is_again = name in (*self.scenario.resumed, *self.scenario.again)
            assert len(ends) == 1 + is_again, status["history"]
            assert ("resumedAt" in status) == is_again, status
            own = [
                pod["metadata"]["name"]
                for pod in pods
                if pod["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]
            ]
            kept = {
                key: status.get(key)
                for key in (
                    "phase",
                    "reason",
                    "inputs",
                    "outputs",
                    "artifacts",
                    "attempt",
                    "retries",
                    "upstream",
                    "component",
                )
            }
            for key in ("search", "best"):
                # The seed and a run's name are made of uids.
                found = status.get(key) or {}
                kept[key] = {k: found.get(k) for k in ("results", "promotions", "value")}
            if "schedule" in status:
                ticks = status["schedule"]
                kept["ticks"] = {k: ticks[k] for k in ("runs", "succeeded", "failed", "missed")}
            kept["hooks"] = status.get("hooks")
            if "children" in status:
                kept["children"] = {k: v for k, v in status["children"].items() if k != "at"}
            kept["pods"] = sorted(pod.rpartition("-")[2] for pod in own)
            # It is chance whether a run was seen to wait for an existing one, or looked after its
            # end.
            story = [
                (entry["status"], entry["reason"])
                for entry in status["history"]
                if entry["reason"] != "UpstreamPending"
            ]
            kept["history"] = story if self.scenario.has_one_story else []
            result[name] = kept
        if self.scenario.has_config_map:
            maps = [
                one
                for one in (await self.kube.list(CONFIG_MAPS, self.namespace))[0]
                if one["metadata"].get("ownerReferences")
            ]
            assert len(maps) == 1
        return json.loads(_replace_all(json.dumps(result), uuids))  # type: ignore[no-any-return]

    async def _picture(self) -> str:
        bodies = [{one["metadata"]["name"]: one.get("status")} for one in await self._bodies()]
        pods = [
            {one["metadata"]["name"]: one.get("status", {}).get("phase")}
            for one in (await self.kube.list(PODS, self.namespace))[0]
        ]
        return yaml.safe_dump([*bodies, *pods])


def _name_of(body: Manifest) -> str:
    """Return the name of a run; of a pipeline's child, that is its operation's, with the parent's.

    The name of its object depends on the uid of the pipeline.
    """
    controller = names.find_controller(body) or names.find_hooked(body)
    name = str(body["metadata"]["name"])
    if controller is None:
        return name
    op = body["spec"].get("name") or body["metadata"]["labels"][names.OP]
    return f"{controller['name']}/{op}"


def _starts(log: str) -> bool:
    """Return whether the last process of this log completed its start."""
    return log.rpartition(DEATH)[2].count(STARTED) == 1


def _replace_all(text: str, words: Mapping[str, str]) -> str:
    for word, by in words.items():
        text = text.replace(word, by)
    return text


def count_writes(plane: ControlPlane) -> Counter[str]:
    """Return namespace -> status patches and Pod creations of operators, refused ones included."""
    counted: Counter[str] = Counter()
    for entry in read_audit(plane.audit_log, OPERATOR_USER):
        reference = entry.get("objectRef") or {}
        what = (entry["verb"], reference.get("resource"), reference.get("subresource"))
        if what in (("patch", "operations", "status"), ("create", "pods", None)):
            counted[reference["namespace"]] += 1
    return counted


async def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Run all of it, some at a time; report every failure."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: Callable[[], Any]) -> Any:
        async with slots:
            return await item()

    results = await asyncio.gather(*(one(item) for item in work), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise AssertionError(
            f"{len(failures)} of {len(results)} points failed; the first:\n{failures[0]}"
        ) from failures[0]
    return results


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_operator_dies_at_every_point_and_nothing_is_lost_or_doubled(
    ground: Ground, name: str
) -> None:
    scenario = SCENARIOS[name]
    undisturbed = Point(ground, scenario, name)
    expected = await undisturbed.live()
    assert tuple(expected[one]["phase"] for one in sorted(expected)) == scenario.ends, expected
    effects = count_effects((ground.folder / f"{undisturbed.namespace}.log").read_text())
    points = [
        (Point(ground, scenario, name), n, when)
        for n in range(1, effects + 1)
        for when in ("before", "after")
    ]
    # One more point has an operator that does only one thing in each of its lives.
    once = Point(ground, scenario, name)
    lives = [lambda p=p, n=n, when=when: p.live(KILL_AT=n, KILL_WHEN=when) for p, n, when in points]
    results = await at_once(
        *lives, lambda: once.live(deaths=4 * effects, KILL_AT=1, KILL_WHEN="change")
    )
    for (point, n, when), result in zip(
        [*points, (once, 0, "after each change")], results, strict=True
    ):
        assert result == expected, f"{point.namespace}: died {when} {n}"
    written = count_writes(ground.plane)
    assert written[undisturbed.namespace] <= scenario.writes
    too_many = {
        point.namespace: written[point.namespace]
        for point, _, _ in points
        if written[point.namespace] > 2 * scenario.writes
    }
    assert not too_many
    # Each point was real: the operator started, died and started again.
    logs = {
        (n, when): (ground.folder / f"{point.namespace}.log").read_text()
        for point, n, when in points
    }
    missed = [(n, when) for (n, when), log in logs.items() if log.count(STARTED) != 2]
    assert [
        (n, when)
        for n, when in missed
        if n <= effects - _FEWER or count_effects(logs[n, when]) >= n
    ] == []


# --- the API --------------------------------------------------------------------------------------

KEYS = 4


class BearerToken:
    """Gives `Connection` the header of one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def header(self) -> str:
        return f"Bearer {self._token}"

    def forget(self) -> None:
        """Do nothing: there is no other token."""


@pytest.fixture(scope="module")
def api_kubeconfig(quiet_plane: ControlPlane) -> str:
    return make_api_user(quiet_plane)


class Report:
    """A run in progress, and a client in its Pod that reports on it while the API dies and
    restarts.
    """

    def __init__(self, ground: Ground, kubeconfig: str) -> None:
        self.ground, self.kube, self.kubeconfig = ground, ground.kube, kubeconfig
        self.namespace = f"report-{next(_numbers)}"
        self.port = free_port("127.0.0.1")
        self.log = ground.folder / f"{self.namespace}.log"
        self.tried: dict[str, int] = {}
        self.stored: dict[str, int] = {}
        self.has_died = False

    async def make_run(self, *, patience: float) -> RunClient:
        """Create a run as the operator leaves it once its Pod runs."""
        await make_namespace(self.kube, self.namespace)
        pod = {
            "metadata": {"name": "a-0"},
            "spec": {
                "serviceAccountName": "default",
                "containers": [{"name": "main", "image": "x"}],
            },
        }
        pod = await self.kube.create(PODS, self.namespace, pod)
        body = await self.kube.create(OPERATIONS, self.namespace, job("a", {}))
        uuid = run_uuid(body["metadata"]["uid"])
        frozen = {
            "uuid": uuid,
            "kind": "job",
            "phase": "Running",
            "inputs": {},
            "outputs": {},
            "artifacts": [],
            "tags": [],
            "meta": {},
        }
        status = {**frozen, "pod": {"name": "a-0", "uid": pod["metadata"]["uid"]}}
        await self.kube.json_patch(
            OPERATIONS,
            self.namespace,
            "a",
            [{"op": "add", "path": "/status", "value": status}],
            subresource="status",
        )
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "a-0", "uid": pod["metadata"]["uid"]}
        tokens = Resource("", "v1", "serviceaccounts/default/token", "TokenRequest")
        request = {"spec": {"audiences": ["opstrand"], "boundObjectRef": bound}}
        token = (await self.kube.create(tokens, self.namespace, request))["status"]["token"]
        connection = Connection(
            f"http://127.0.0.1:{self.port}", BearerToken(token), patience=patience
        )  # type: ignore[arg-type]
        return RunClient(project=self.namespace, run_uuid=uuid, client=connection)

    async def start(self, **kill: object) -> Child:
        environment = {"KUBECONFIG": self.kubeconfig, "OPSTRAND_API_LISTEN_PORT": str(self.port)}
        return await self.ground.nursery.start(
            "opstrand.api", self.log, {**environment, **{k: str(v) for k, v in kill.items()}}
        )

    def report(self, client: RunClient) -> None:
        """Report one thing after the other, outputs and artifacts in turn; what was not stored in
        time is not retried.
        """
        for number in range(KEYS):
            name = f"k{number}"
            self.tried[name] = number
            try:
                if number % 2:
                    client.log_artifact_lineage(
                        {"name": name, "summary": {"number": number}}, async_req=False
                    )
                else:
                    client.log_outputs(async_req=False, **{name: number})
            except ClientError:
                continue
            self.stored[name] = number

    async def live(self, *, patience: float, **kill: object) -> bool:
        """Return whether the API died as asked."""
        client = await self.make_run(patience=patience)
        child = await self.start(**kill)
        while STARTED not in child.read_log():
            assert child.is_running, child.read_log()[-4000:]
            await asyncio.sleep(0.05)
        reporting = asyncio.create_task(asyncio.to_thread(self.report, client))
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({reporting, child.ended}, return_when=asyncio.FIRST_COMPLETED)
            if not child.is_running:
                assert child.ended.result() == KILLED, child.read_log()[-4000:]
                self.has_died = True
                child = await self.start()
            await reporting
        await child.end(9)
        status = (await self.kube.get(OPERATIONS, self.namespace, "a"))["status"]
        kept = status["outputs"] | {
            item["name"]: item["summary"]["number"] for item in status["artifacts"]
        }
        log = child.read_log()[-4000:]
        assert self.stored.items() <= kept.items() <= self.tried.items(), log
        if patience > 5:
            assert kept == self.tried == self.stored, log
        return self.has_died


async def test_the_api_dies_at_every_point_and_what_it_acknowledged_is_there(
    ground: Ground, api_kubeconfig: str
) -> None:
    undisturbed = Report(ground, api_kubeconfig)
    await undisturbed.live(patience=20)
    effects = count_effects(undisturbed.log.read_text())
    assert effects > KEYS
    points = [
        (n, when, patience)
        for n in range(1, effects + 1)
        for when in ("before", "after")
        for patience in (20.0, 0.1)
    ]
    reports = [
        lambda n=n, when=when, patience=patience: Report(ground, api_kubeconfig).live(
            patience=patience, KILL_AT=n, KILL_WHEN=when
        )
        for n, when, patience in points
    ]
    died = await at_once(*reports)
    assert [
        point for point, has_died in zip(points, died, strict=True) if not has_died and point[2] > 5
    ] == []
