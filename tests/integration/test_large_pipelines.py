"""Large pipelines on a real API server: every run is made once, and each costs few writes.

With OPSTRAND_LARGE=1 the sizes are those that the documentation promises (2,000 operations, a grid
of 1,000, twice 500), which takes several minutes; without it they are a tenth.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import name_children
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, operation, run_kubectl, wait_for
from tests.support.audit import read_audit
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")

IS_LARGE = bool(os.environ.get("OPSTRAND_LARGE"))
SCALE = 10 if IS_LARGE else 1
#: Seconds for one pipeline, on a machine that does other work.
PATIENCE = 1800 if IS_LARGE else 240
TRIGGERS = ("all_succeeded", "all_failed", "all_done", "one_succeeded", "one_failed", "one_done")
#: Letter of an end -> its published status.
ENDS = {"s": "succeeded", "f": "failed", "x": "stopped", "k": "skipped", "u": "upstream_failed"}
VECTORS = Path(__file__).resolve().parents[1] / "conformance" / "dag.json"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def op(name: str, *dependencies: str, code: int = 0, **own: Any) -> dict[str, Any]:
    """Return an operation whose container ends with this code."""
    annotations = {"environment": {"annotations": {"test/exit-codes": str(code)}}} if code else {}
    container = {"image": "busybox", "command": ["true"]}
    run = {"kind": "job", **annotations, "container": container}
    named = {"dependencies": list(dependencies)} if dependencies else {}
    return {"name": name, "component": {"run": run}, **named, **own}


def pipeline(name: str, operations: Iterable[Mapping[str, Any]], **run: Any) -> Manifest:
    made = {"kind": "dag", "operations": list(operations), **run}
    return operation(name, {"component": {"run": made}})


def is_over(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


@dataclass(frozen=True)
class Request:
    """A successful write of the operator; `sent` and `answered` sort as text."""

    verb: str
    resource: str
    run: str
    sent: str
    answered: str


@dataclass(frozen=True)
class Project:
    """A namespace of its own, and what the operator wrote there."""

    kube: KubeApi
    name: str
    plane: ControlPlane
    start: int

    async def create(self, body: Manifest) -> None:
        await self.kube.create(OPERATIONS, self.name, body)

    async def see_end(self, name: str) -> Manifest:
        return await wait_for(self.kube, self.name, name, is_over, seconds=PATIENCE)

    async def run(self, body: Manifest) -> Manifest:
        await self.create(body)
        return await self.see_end(body["metadata"]["name"])

    async def runs_of(self, body: Manifest) -> dict[str, Manifest]:
        """Return the runs that this one made, by the names of their objects."""
        uuid = names.run_uuid(body["metadata"]["uid"])
        found, _ = await self.kube.list(OPERATIONS, self.name, labels=f"{names.PIPELINE}={uuid}")
        return {one["metadata"]["name"]: one for one in found}

    def list_roots(self) -> set[str]:
        """Return what kubectl shows of runs that no pipeline made."""
        selector = f"!{names.PIPELINE}"
        listed = ("get", "op", "-n", self.name, "-l", selector, "-o", "name")
        lines = run_kubectl(self.plane.kubeconfig, *listed).stdout.split()
        return {line.partition("/")[2] for line in lines}

    def read_writes(self) -> list[Request]:
        found = []
        for entry in read_audit(self.plane.audit_log, OPERATOR_USER, after=self.start):
            about = entry.get("objectRef") or {}
            is_write = entry["verb"] in ("create", "patch") and about["resource"] != "events"
            if is_write and about.get("namespace") == self.name:
                if entry["responseStatus"]["code"] >= 300:
                    continue
                is_pod = about["resource"] == "pods"
                run = about["name"].rsplit("-", 2)[0] if is_pod else about["name"]
                sent, answered = entry["requestReceivedTimestamp"], entry["stageTimestamp"]
                found.append(Request(entry["verb"], about["resource"], run, sent, answered))
        return found

    async def check(self, *parents: Manifest, with_pods: bool = True) -> None:
        """Check that each run was made once with few writes, and that only the parents are roots.

        A parent is written for its freeze, its phases, and at most once in 5 s.
        """
        writes = self.read_writes()
        counted = Counter((one.verb, one.resource, one.run) for one in writes)
        for parent in parents:
            name = parent["metadata"]["name"]
            for run in await self.runs_of(parent):
                assert counted["create", "operations", run] == 1, run
                assert counted["create", "pods", run] <= 1, run
                assert counted["patch", "operations", run] <= 3, run
                if with_pods:
                    assert counted["create", "pods", run] == 1, run
            seconds = float(parent["status"]["duration"])
            assert counted["patch", "operations", name] <= 4 + seconds / 5
        assert self.list_roots() == {one["metadata"]["name"] for one in parents}


@pytest.fixture
def project(kube: KubeApi, namespace: str, control_plane: ControlPlane) -> Project:
    return Project(kube, namespace, control_plane, control_plane.audit_log.stat().st_size)


async def test_a_chain_of_thirty(project: Project) -> None:
    links = [f"link-{n}" for n in range(30)]
    body = await project.run(
        pipeline("chain", [op(links[0]), *(op(b, a) for a, b in pairwise(links))])
    )
    assert body["status"]["children"]["states"] == "s" * 30, body["status"]
    named = name_children(body, links)
    sent = {one.run: one.sent for one in project.read_writes() if one.verb == "create"}
    ended = {one.run: one.answered for one in project.read_writes() if one.verb == "patch"}
    for before, after in pairwise(links):
        assert ended[named[before]] <= sent[named[after]]
    await project.check(body)


async def test_one_then_a_hundred_then_one(project: Project) -> None:
    middle = [f"middle-{n}" for n in range(100)]
    body = await project.run(
        pipeline("fan", [op("first"), *(op(one, "first") for one in middle), op("last", *middle)])
    )
    assert body["status"]["children"]["states"] == "s" * 102, body["status"]
    named = name_children(body, ["first", *middle, "last"])
    sent = {one.run: one.sent for one in project.read_writes() if one.verb == "create"}
    ended = {one.run: one.answered for one in project.read_writes() if one.verb == "patch"}
    assert max(ended[named[one]] for one in middle) <= sent[named["last"]]
    await project.check(body)


async def test_a_diamond_for_every_trigger_and_every_pair_of_ends(project: Project) -> None:
    """One pipeline: an operation for each end on both sides, and one for each trigger and pair."""
    sides = [_make_side(side) for side in ("left", "right")]
    cases = list(product(TRIGGERS, ENDS, ENDS))
    joins = [
        op(_name_join(trigger, a, b), f"left-{a}", f"right-{b}", trigger=trigger)
        for trigger, a, b in cases
    ]
    await project.create(pipeline("diamonds", [op("top"), *sides[0], *sides[1], *joins]))
    body = await wait_for(
        project.kube, project.name, "diamonds", lambda one: "children" in (one.get("status") or {})
    )
    ops = ["top", *(one["name"] for side in sides for one in side), *(one["name"] for one in joins)]
    named = name_children(body, ops)
    for side in ("left", "right"):
        # It waits for an approval; a stop ends it.
        run = named[f"{side}-x"]
        await _wait_until_there(project, run)
        control = [{"op": "add", "path": "/spec/control", "value": {"stop": True}}]
        await project.kube.json_patch(OPERATIONS, project.name, run, control)
    body = await project.see_end("diamonds")
    letters = dict(zip(ops, body["status"]["children"]["states"], strict=True))
    for side, end in product(("left", "right"), ENDS):
        assert letters[f"{side}-{end}"] == end
    expected = _read_expected()
    for trigger, a, b in cases:
        found, may = letters[_name_join(trigger, a, b)], expected[trigger, a, b]
        assert found in may, f"{trigger} after {ENDS[a]} and {ENDS[b]}: {found}, expected {may}"
    runs = await project.runs_of(body)
    assert set(runs) == {named[one] for one in ops if letters[one] != "u"} | {
        named[one] for one in ops if one in ("left-k", "right-k")
    }
    await project.check(body, with_pods=False)


def _make_side(side: str) -> list[dict[str, Any]]:
    """Return an operation for each end, which all depend on the top."""
    return [
        op(f"{side}-s", "top"),
        op(f"{side}-f", "top", code=3),
        op(f"{side}-x", "top", isApproved=False),
        op(f"{side}-k", "top", conditions="{{ 1 > 2 }}"),
        op(f"{side}-u", f"{side}-f"),
    ]


def _name_join(trigger: str, left: str, right: str) -> str:
    return f"{trigger.replace('_', '-')}-{left}-{right}"


def _read_expected() -> dict[tuple[str, str, str], set[str]]:
    """Return the letters that an operation may get by its trigger and the ends of its upstreams.

    The two may end in either order.
    """
    letter_of = {status: letter for letter, status in ENDS.items()}
    found: dict[tuple[str, str, str], set[str]] = {}
    for one in json.loads(VECTORS.read_text())["vectors"]:
        if "first" not in one or one["skipOnUpstreamSkip"]:
            continue
        verdict = next(what for what in one["expect"] if what != "wait")
        letter = "s" if verdict == "start" else letter_of[verdict]
        a, b = letter_of[one["first"]], letter_of[one["second"]]
        for key in ((one["trigger"], a, b), (one["trigger"], b, a)):
            found.setdefault(key, set()).add(letter)
    return found


async def _wait_until_there(project: Project, run: str) -> None:
    await wait_for(
        project.kube,
        project.name,
        "diamonds",
        lambda one: _letter_of(one, run) != ".",
        seconds=PATIENCE,
    )


def _letter_of(body: Manifest, run: str) -> str:
    written = [one["name"] for one in body["spec"]["component"]["run"]["operations"]]
    at = list(name_children(body, written).values()).index(run)
    return str(body["status"]["children"]["states"][at])


async def test_two_thousand_operations_in_one_file(project: Project) -> None:
    """Without OPSTRAND_LARGE, all but a few never run, since the first one fails."""
    total, alive = 2000, 2000 if IS_LARGE else 40
    first = op("first", code=0 if IS_LARGE else 3)
    rest = [op(f"op-{n}", *(["first"] if n >= alive else [])) for n in range(1, total)]
    body = await project.run(pipeline("large", [first, *rest]))
    children = body["status"]["children"]
    expected = "s" * total if IS_LARGE else "f" + "s" * (alive - 1) + "u" * (total - alive)
    assert children["states"] == expected, children["summary"]
    assert (children["total"], children["summary"]) == (total, f"{total}/{total}")
    assert len(await project.runs_of(body)) == alive
    await project.check(body)


async def test_three_levels(project: Project) -> None:
    leaves = [op("a"), op("b", "a")]
    inner = {"component": {"run": {"kind": "dag", "operations": leaves}}}
    middle = {"kind": "dag", "operations": [{"name": f"inner-{n}", **inner} for n in range(3)]}
    body = await project.run(
        pipeline("outer", ({"name": f"middle-{n}", "component": {"run": middle}} for n in range(2)))
    )
    assert body["status"]["children"]["states"] == "ss"
    outermost = names.run_uuid(body["metadata"]["uid"])
    found, _ = await project.kube.list(
        OPERATIONS, project.name, labels=f"{names.CONTROLLER}={outermost}"
    )
    assert len(found) == 2 + 2 * 3 + 2 * 3 * 2
    assert {one["status"]["phase"] for one in found} == {"Succeeded"}
    created = Counter(
        one.run
        for one in project.read_writes()
        if (one.verb, one.resource) == ("create", "operations")
    )
    assert created == Counter({one["metadata"]["name"]: 1 for one in found})
    assert project.list_roots() == {"outer"}


async def test_a_grid(project: Project) -> None:
    values = {"kind": "choice", "value": list(range(10))}
    params = dict.fromkeys(("a", "b", *(["c"] if IS_LARGE else [])), values)
    inputs = [{"name": key, "type": "int"} for key in params]
    container = {"image": "busybox", "args": ["{{ a }}"]}
    component = {"inputs": inputs, "run": {"kind": "job", "container": container}}
    made = {"matrix": {"kind": "grid", "params": params}, "component": component}
    body = await project.run(operation("grid", made))
    total = 100 * SCALE
    assert body["status"]["children"]["states"] == "s" * total, body["status"]
    runs = await project.runs_of(body)
    tried = {tuple(one["status"]["inputs"].items()) for one in runs.values()}
    assert len(tried) == len(runs) == total
    await project.check(body)


async def test_two_pipelines_side_by_side_take_turns(project: Project) -> None:
    total = 50 * SCALE
    parents = ("left", "right")
    # Neither takes the results of the other one.
    ops = [op(f"op-{n}", cache={"disable": True}) for n in range(total)]
    for name in parents:
        await project.create(pipeline(name, ops, concurrency=10))
    bodies = [await project.see_end(name) for name in parents]
    for body in bodies:
        assert body["status"]["children"]["states"] == "s" * total, body["status"]
    writes = project.read_writes()
    ends: list[list[str]] = []
    for body in bodies:
        runs = set(await project.runs_of(body))
        own = [one for one in writes if one.run in runs]
        assert _count_most_alive(own) <= 10
        last = {one.run: one.answered for one in own if one.verb == "patch"}
        ends.append(sorted(last.values()))
    # When the first half of one has ended, at least a quarter of the other one has.
    for own, other in (ends, ends[::-1]):
        assert sum(end <= own[total // 2] for end in other) >= total // 4
    await project.check(*bodies)


def _count_most_alive(writes: Iterable[Request]) -> int:
    """Return how many runs existed at most that had not ended."""
    begun = [(w.sent, 1) for w in writes if (w.verb, w.resource) == ("create", "operations")]
    last = {w.run: w.answered for w in writes if w.verb == "patch"}
    alive = most = 0
    for _, change in sorted([*begun, *((end, -1) for end in last.values())]):
        alive += change
        most = max(most, alive)
    return most
