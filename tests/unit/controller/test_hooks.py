"""The hooks of a run in the whole operator, over a cluster in memory: which fire, what their runs
get, and that each fires once wherever the operator dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.memory_cluster import NAMESPACE, MemoryCluster

from opstrand.controller.crash_record import DEATHS, CrashRecord
from opstrand.controller.reconcile import Outcome, reconcile
from opstrand.core import names
from opstrand.core.packed import LARGE
from opstrand.kube.errors import Invalid
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest

_TEXT = "{{ status }} {{ outputs.loss | default('none') }}"
CONTAINER = {"image": "busybox", "command": ["echo"], "args": [_TEXT]}
NOTIFIER = {"run": {"kind": "job", "container": CONTAINER}}
TRAIN = {
    "inputs": [{"name": "lr", "type": "float", "value": 0.5}],
    "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


async def start(cluster: MemoryCluster, *hooks: Mapping[str, Any], **spec: Any) -> None:
    """Apply the Component `slack` and the run `train` with these hooks."""
    await cluster.put_component("slack", NOTIFIER)
    given = [{"hubRef": "slack", **hook} for hook in hooks]
    await cluster.create("train", {"component": TRAIN, "hooks": given, **spec})
    await cluster.settle()


async def end(cluster: MemoryCluster, code: int = 0, **outputs: Any) -> None:
    """Let the Pod of `train` end."""
    await cluster.run_pod("train", **outputs)
    await cluster.settle()
    await cluster.end_pod("train", code)
    await cluster.settle()


async def list_hook_runs(cluster: MemoryCluster) -> list[Manifest]:
    found = (await cluster.kube.list(OPERATIONS))[0]
    return [one for one in found if names.find_hooked(one) is not None]


def read_params(run: Manifest) -> dict[str, Any]:
    return {name: param["value"] for name, param in run["spec"]["params"].items()}


async def test_a_hook_gets_the_facts_of_the_run_that_ended(cluster: MemoryCluster) -> None:
    await start(cluster, {})
    assert cluster.status("train")["hooks"] == {"states": "."}
    await end(cluster, loss=0.25)
    train, (hook,) = cluster.get("train"), await list_hook_runs(cluster)
    assert train["status"]["hooks"] == {"states": "r"}
    params = read_params(hook)
    assert params.pop("condition")["type"] == "succeeded"
    assert params.pop("wait_time") is not None
    assert params.pop("duration") is not None
    assert params == {
        "uuid": train["status"]["uuid"],
        "name": "train",
        "kind": "job",
        "runtime": "job",
        "status": "succeeded",
        "inputs": {"lr": 0.5},
        "outputs": {"loss": 0.25},
    }
    (pod,) = await cluster.pods_of(hook["metadata"]["name"])
    assert pod["spec"]["containers"][0]["args"] == ["succeeded 0.25"]


ENDS = ("succeeded", "failed", "stopped", "skipped", "upstream_failed", "done")


async def let_end(cluster: MemoryCluster, how: str) -> None:
    """Let `train` end in one of three ways."""
    if how == "stopped":
        await cluster.edit("train", "control", {"stop": True})
        await cluster.settle()
        await cluster.end_stopped_pods()
        await cluster.settle()
        await cluster.wait()
    else:
        await end(cluster, 0 if how == "succeeded" else 1)


@pytest.mark.parametrize("how", ["succeeded", "failed", "stopped"])
async def test_a_hook_fires_after_the_end_that_it_is_for(cluster: MemoryCluster, how: str) -> None:
    await start(cluster, *({"trigger": trigger} for trigger in ENDS))
    await let_end(cluster, how)
    status = cluster.status("train")
    assert status["phase"] == how.capitalize()
    letters = {trigger: "r" if trigger in (how, "done") else "k" for trigger in ENDS}
    assert status["hooks"] == {"states": "".join(letters.values())}
    assert len(await list_hook_runs(cluster)) == 2


@pytest.mark.parametrize(
    ("conditions", "letter"),
    [
        ("{{ outputs.loss < 0.5 }}", "r"),
        ("outputs.loss > 0.5", "k"),
        ("lr == 0.5", "r"),
        ("{{ globals.status == 'succeeded' and status == 'succeeded' }}", "r"),
        ("{{ globals.uuid == uuid }}", "r"),
    ],
)
async def test_a_hook_fires_where_its_conditions_hold(
    cluster: MemoryCluster, conditions: str, letter: str
) -> None:
    await start(cluster, {"conditions": conditions})
    await end(cluster, loss=0.25)
    assert cluster.status("train")["hooks"] == {"states": letter}
    assert len(await list_hook_runs(cluster)) == (letter == "r")


@pytest.mark.parametrize(
    ("hook", "reason", "piece"),
    [
        ({"conditions": "{{ outputs.lost }}"}, "TemplateError", "hooks[0].conditions"),
        ({"conditions": "{{ lr }}"}, "ConditionInvalid", "expected true or false"),
        ({"trigger": "{{ name }}"}, "InvalidSpec", "hooks[0].trigger: expected one of succeeded"),
        ({"params": {"a": "{{ nothing }}"}}, "TemplateError", "hooks[0].params.a"),
    ],
)
async def test_a_hook_that_cannot_run_says_why_and_leaves_the_others_alone(
    cluster: MemoryCluster, hook: Mapping[str, Any], reason: str, piece: str
) -> None:
    await start(cluster, hook, {})
    await end(cluster)
    status = cluster.status("train")
    assert (status["phase"], status["reason"]) == ("Succeeded", "Succeeded")
    assert status["hooks"]["states"] == "fr"
    (problem,) = status["hooks"]["problems"]
    assert (problem["hook"], problem["reason"]) == (0, reason)
    assert piece in problem["message"]


async def test_its_params_are_rendered_with_the_values_of_the_run_that_ended(
    cluster: MemoryCluster,
) -> None:
    given = {
        "text": "{{ globals.name }} has {{ outputs.loss }}",
        "lr": {"value": "{{ lr }}", "contextOnly": True},
        "status": "mine",
        "braces": "{% raw %}{{ kept }}{% endraw %}",
    }
    await cluster.put_component("plain", TRAIN)
    hook = {"hubRef": "plain", "params": given}
    await start(cluster, {**hook, "disableDefaults": True}, hook)
    await end(cluster, loss=1)
    bare, full = sorted(await list_hook_runs(cluster), key=lambda one: len(one["spec"]["params"]))
    uuid = cluster.status("train")["uuid"]
    assert bare["spec"]["params"]["lr"] == {"value": 0.5, "contextOnly": True}
    shared = {"text": "train has 1", "lr": 0.5, "status": "mine", "braces": "{{ kept }}"}
    assert bare["status"]["inputs"] == shared
    found = full["status"]["inputs"]
    assert {name: found[name] for name in shared} == shared
    assert (found["uuid"], found["outputs"]) == (uuid, {"loss": 1})


async def test_a_declared_input_gets_the_default_param_of_its_name(cluster: MemoryCluster) -> None:
    inputs = [{"name": "status", "type": "str"}, {"name": "uuid", "type": "uuid"}]
    await cluster.put_component("typed", {**NOTIFIER, "inputs": inputs, "strictParams": True})
    await start(cluster, {"hubRef": "typed"})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    assert hook["status"]["phase"] == "Starting", hook["status"]
    assert hook["status"]["inputs"]["status"] == "succeeded"


async def test_queue_and_connection_reach_the_run_of_the_hook(cluster: MemoryCluster) -> None:
    await start(cluster, {"queue": "q-{{ name }}", "connection": "slack-{{ lr }}"})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    assert hook["spec"]["queue"] == "q-train"
    assert hook["spec"]["runPatch"] == {"connections": ["slack-0.5"]}


async def test_a_hook_reads_other_runs_by_refs_of_its_params(cluster: MemoryCluster) -> None:
    await cluster.create("other", {"component": TRAIN})
    await start(cluster, {"params": {"lr": {"ref": "ops.other", "value": "inputs.lr"}}})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    assert hook["status"]["inputs"]["lr"] == 0.5
    assert [edge["kind"] for edge in hook["status"]["upstream"]] == ["run", "hook"]


async def test_the_edge_says_that_it_is_a_hook(cluster: MemoryCluster) -> None:
    await start(cluster, {})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    uuid = cluster.status("train")["uuid"]
    edge = {"uuid": uuid, "name": "train", "kind": "hook", "values": {}}
    assert hook["status"]["upstream"] == [edge]
    assert hook["metadata"]["labels"] == {names.HOOK: uuid, names.OP: "hook-0"}


async def test_the_hooks_of_a_run_that_is_resumed_fire_after_its_next_end_too(
    cluster: MemoryCluster,
) -> None:
    await start(cluster, {"trigger": "failed"}, {"trigger": "succeeded"})
    await end(cluster, 1)
    assert cluster.status("train")["hooks"] == {"states": "rk"}
    await cluster.edit("train", "control", {"resume": 1})
    await cluster.settle()
    assert cluster.status("train")["hooks"] == {"states": "..", "round": 1}
    await end(cluster)
    status = cluster.status("train")
    assert (status["phase"], status["hooks"]) == ("Succeeded", {"states": "kr", "round": 1})
    ended = sorted(read_params(one)["status"] for one in await list_hook_runs(cluster))
    assert ended == ["failed", "succeeded"]


async def test_the_failure_of_a_hook_changes_nothing_of_the_run(cluster: MemoryCluster) -> None:
    await start(cluster, {})
    await end(cluster)
    before = cluster.get("train")
    (hook,) = await list_hook_runs(cluster)
    await cluster.end_pod(hook["metadata"]["name"], 1)
    await cluster.settle()
    assert cluster.status(hook["metadata"]["name"])["phase"] == "Failed"
    assert cluster.get("train") == before


async def follow(cluster: MemoryCluster) -> Outcome:
    """Reconcile `train` as long as it asks for it itself, and return the last outcome.

    As in a cluster, where no event of the operator's own write wakes a run.
    """
    outcome = Outcome(again=0.0)
    while outcome.again == 0 or outcome.parked:
        outcome = await reconcile(
            (NAMESPACE, "train"),
            world=cluster.world,
            clock=lambda: datetime.now(UTC),
            is_parked=outcome.parked,
        )
    return outcome


@pytest.mark.parametrize(("trigger", "letter"), [("failed", "k"), ("done", "r"), ("{{ x }}", "f")])
async def test_the_pod_of_a_run_with_a_hook_expires(
    cluster: MemoryCluster, trigger: str, letter: str
) -> None:
    await start(cluster, {"trigger": trigger}, termination={"ttl": 60})
    await cluster.run_pod("train")
    await cluster.settle()
    await cluster.end_pod("train")
    outcome = await follow(cluster)
    assert cluster.status("train")["hooks"]["states"] == letter
    assert outcome.again is not None
    assert 0 < outcome.again <= 60


async def test_the_run_waits_for_the_component_of_its_hook(cluster: MemoryCluster) -> None:
    await cluster.create("train", {"component": TRAIN, "hooks": [{"hubRef": "slack"}]})
    await cluster.settle()
    status = cluster.status("train")
    assert (status["phase"], status["reason"]) == ("Waiting", "ComponentNotFound")
    assert status["message"] == "waiting for Component 'slack' of a hook in this namespace"
    assert await cluster.pods_of("train") == []
    await cluster.put_component("slack", NOTIFIER)
    await cluster.settle()
    assert cluster.status("train")["phase"] == "Starting"


async def test_a_run_stopped_before_its_file_was_read_has_its_hooks(cluster: MemoryCluster) -> None:
    await start(cluster, {"trigger": "stopped"}, {"trigger": "failed"}, control={"stop": True})
    status = cluster.status("train")
    assert (status["phase"], status["hooks"]) == ("Stopped", {"states": "rk"})


@pytest.mark.parametrize("given", [["slack"], [{"connections": 7}], 7, {"connections": ["a"]}])
@pytest.mark.parametrize("order", ["stop", "skip"])
async def test_a_run_whose_file_is_wrong_is_stopped_as_any(
    cluster: MemoryCluster, given: Any, order: str
) -> None:
    await start(cluster, plugins={"notifications": given}, control={order: True})
    expected = {"stop": "Stopped", "skip": "Skipped"}[order]
    status = cluster.status("train")
    assert (status["phase"], status["reason"]) == (expected, expected)
    assert status.get("hooks", {"states": ""}) == {"states": ""}


@pytest.mark.parametrize("place", ["file", "component"])
async def test_so_has_one_with_a_large_file(cluster: MemoryCluster, place: str) -> None:
    await cluster.put_component("slack", NOTIFIER)
    large = {**TRAIN, "description": "x" * (LARGE + 1)}
    hooks = [{"hubRef": "slack", "trigger": "stopped"}]
    spec = {"component": large, "hooks": hooks}
    if place == "component":
        spec = {"component": {**large, "hooks": hooks}}
    await cluster.create("train", {**spec, "control": {"stop": True}})
    await cluster.settle()
    status = cluster.status("train")
    assert (status["phase"], status.get("hooks")) == ("Stopped", {"states": "r"})


async def test_a_run_that_waited_and_was_stopped_has_its_hooks(cluster: MemoryCluster) -> None:
    params = {"x": {"ref": "ops.nowhere", "value": "outputs.x", "contextOnly": True}}
    await start(cluster, {"trigger": "stopped"}, params=params)
    assert cluster.status("train")["hooks"] == {"states": "."}
    await cluster.edit("train", "control", {"stop": True})
    await cluster.wait()
    assert cluster.status("train")["hooks"] == {"states": "r"}


async def test_a_run_whose_component_has_the_hook(cluster: MemoryCluster) -> None:
    await cluster.put_component("slack", NOTIFIER)
    await cluster.put_component("c", {**TRAIN, "hooks": [{"hubRef": "slack"}]})
    await cluster.create("train", {"hubRef": "c"})
    await cluster.settle()
    await cluster.put_component("c", TRAIN)
    await end(cluster)
    assert cluster.status("train")["hooks"] == {"states": "r"}


async def test_a_run_that_is_deleted_has_no_hooks(cluster: MemoryCluster) -> None:
    await start(cluster, {})
    await cluster.delete("train")
    await cluster.settle()
    assert await list_hook_runs(cluster) == []


# -- pipelines, matrices, schedules ----------------------------------------------------------------


async def end_children(cluster: MemoryCluster, name: str) -> None:
    for one in (await cluster.children(name)).values():
        await cluster.end_pod(one["metadata"]["name"])
    await cluster.settle()
    await cluster.wait()


async def test_the_hooks_of_a_matrix_fire_once_for_all_its_runs(cluster: MemoryCluster) -> None:
    grid = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2]}}}
    await start(cluster, {}, matrix=grid)
    await end_children(cluster, "train")
    (hook,) = await list_hook_runs(cluster)
    assert cluster.status("train")["hooks"] == {"states": "r"}
    assert read_params(hook)["kind"] == "matrix"


async def test_a_pipeline_and_its_operations_have_hooks_of_their_own(
    cluster: MemoryCluster,
) -> None:
    await cluster.put_component("slack", NOTIFIER)
    hooks = [{"hubRef": "slack"}]
    operations = [{"name": "hook-0", "component": TRAIN, "hooks": hooks}]
    dag = {"run": {"kind": "dag", "operations": operations}}
    await cluster.create("train", {"component": dag, "hooks": hooks})
    await cluster.settle()
    await end_children(cluster, "train")
    assert cluster.status("train")["phase"] == "Succeeded"
    named = {read_params(one)["name"] for one in await list_hook_runs(cluster)}
    assert named == {"train", "hook-0"}


async def test_each_run_of_a_schedule_has_the_hooks(cluster: MemoryCluster) -> None:
    once = {"kind": "datetime", "startAt": "2020-01-01T00:00:00Z"}
    await start(cluster, {}, schedule=once)
    found = [one for one in (await cluster.kube.list(OPERATIONS))[0] if names.find_controller(one)]
    (tick,) = found
    await cluster.end_pod(tick["metadata"]["name"])
    await cluster.settle()
    await cluster.wait()
    schedule = cluster.status("train")
    assert (schedule["phase"], schedule.get("hooks")) == ("Succeeded", None)
    assert len(await list_hook_runs(cluster)) == 1


# -- notifications ---------------------------------------------------------------------------------


def notify(trigger: str) -> dict[str, Any]:
    return {"notifications": [{"connections": ["team", "boss"], "trigger": trigger}]}


@pytest.mark.parametrize(("trigger", "count"), [("succeeded", 2), ("failed", 0)])
async def test_each_connection_of_a_notification_is_a_hook(
    cluster: MemoryCluster, trigger: str, count: int
) -> None:
    await cluster.put_component("notifier", NOTIFIER)
    await start(cluster, plugins=notify(trigger))
    await end(cluster)
    runs = await list_hook_runs(cluster)
    assert {one["spec"]["hubRef"] for one in runs} <= {"notifier"}
    found = [one["spec"]["runPatch"]["connections"] for one in runs]
    assert sorted(found) == [["boss"], ["team"]][:count]
    assert cluster.status("train")["hooks"]["states"] == ("rr" if count else "kk")


async def test_a_run_with_notifications_waits_for_their_component(cluster: MemoryCluster) -> None:
    await start(cluster, plugins=notify("done"))
    assert "Component 'notifier' of a hook" in cluster.status("train")["message"]


async def test_a_matrix_notifies_once_for_all_its_runs(cluster: MemoryCluster) -> None:
    await cluster.put_component("notifier", NOTIFIER)
    grid = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2]}}}
    await start(cluster, matrix=grid, plugins=notify("done"))
    await end_children(cluster, "train")
    assert len(await list_hook_runs(cluster)) == 2


async def test_a_pipeline_notifies_for_its_operations(cluster: MemoryCluster) -> None:
    await cluster.put_component("notifier", NOTIFIER)
    dag = {"run": {"kind": "dag", "operations": [{"name": "a", "component": TRAIN}]}}
    await cluster.create("train", {"component": dag, "plugins": notify("done")})
    await cluster.settle()
    await end_children(cluster, "train")
    assert len(await list_hook_runs(cluster)) == 2


async def test_notifications_that_a_template_gives_are_refused(cluster: MemoryCluster) -> None:
    inputs = [{"name": "p", "type": "dict", "value": notify("done")}]
    component = {**TRAIN, "inputs": inputs, "plugins": "{{ p }}"}
    await cluster.create("train", {"component": component})
    await cluster.settle()
    assert cluster.status("train")["message"].startswith("plugins.notifications: a template")


@pytest.mark.parametrize("control", [{}, {"stop": True}], ids=["started", "stopped"])
@pytest.mark.parametrize("component", [{"component": TRAIN}, {"hubRef": "train"}])
async def test_more_notifications_than_a_run_can_have_are_refused(
    cluster: MemoryCluster, component: Mapping[str, Any], control: Mapping[str, Any]
) -> None:
    plugins = {"notifications": [{"connections": ["team"] * 101}]}
    await cluster.create("train", {**component, "plugins": plugins, "control": control})
    await cluster.settle()
    status = cluster.status("train")
    assert status["phase"] == ("Stopped" if control else "Failed")
    assert status.get("hooks", {"states": ""})["states"] == ""
    if not control:
        assert status["reason"] == "TooLarge"
        assert "at most 20" in status["message"]


# -- what is refused -------------------------------------------------------------------------------


async def test_the_run_of_a_hook_has_no_hooks(cluster: MemoryCluster) -> None:
    hooked = {**NOTIFIER, "hooks": [{"hubRef": "slack"}]}
    await cluster.put_component("hooked", hooked)
    await start(cluster, {"hubRef": "hooked"})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    assert hook["status"]["phase"] == "Failed"
    assert hook["status"]["message"] == "hooks: the run of a hook cannot have hooks of its own"
    assert await cluster.pods_of(hook["metadata"]["name"]) == []


async def test_nor_has_an_operation_of_a_pipeline_that_a_hook_made(cluster: MemoryCluster) -> None:
    await cluster.put_component("hooked", {**NOTIFIER, "hooks": [{"hubRef": "slack"}]})
    dag = {"run": {"kind": "dag", "operations": [{"name": "a", "hubRef": "hooked"}]}}
    await cluster.put_component("dag", dag)
    await start(cluster, {"hubRef": "dag"})
    await end(cluster)
    (hook,) = await list_hook_runs(cluster)
    (child,) = (await cluster.children_of(hook)).values()
    assert child["status"]["message"] == "hooks: the run of a hook cannot have hooks of its own"


async def test_a_component_that_hooks_itself_is_refused(cluster: MemoryCluster) -> None:
    await cluster.put_component("slack", {**NOTIFIER, "hooks": [{"hubRef": "slack"}]})
    await cluster.create("train", {"hubRef": "slack"})
    await cluster.settle()
    status = cluster.status("train")
    assert (status["phase"], status["reason"]) == ("Failed", "RefToItself")
    assert status["message"].startswith("hooks[0].hubRef: the Component 'slack' would hook itself")


async def test_another_namespace_is_refused(cluster: MemoryCluster) -> None:
    await start(cluster, {"namespace": "other"})
    status = cluster.status("train")
    assert status["phase"] == "Failed"
    assert status["message"].startswith("hooks[0].namespace: expected the run's own namespace")


async def test_the_own_namespace_is_accepted(cluster: MemoryCluster) -> None:
    await start(cluster, {"namespace": NAMESPACE})
    await end(cluster)
    assert cluster.status("train")["hooks"] == {"states": "r"}


# -- deaths and refusals ---------------------------------------------------------------------------


async def set_aside(cluster: MemoryCluster, path: Path) -> None:
    """Let `train` be one that killed its operator too often."""
    uid = str(cluster.get("train")["metadata"]["uid"])
    for _ in range(DEATHS):
        async with CrashRecord(str(path)).flight(uid):
            left = await asyncio.to_thread(path.read_bytes)
        await asyncio.to_thread(path.write_bytes, left)
    cluster.world.crashes = CrashRecord(str(path))


async def break_decisions(cluster: MemoryCluster, path: Path) -> None:
    """Let every decision that reads a file meet a bug."""
    cluster.world.ledger = cast(Any, None)


@pytest.mark.parametrize(
    ("breaks", "reason"), [(set_aside, "SetAside"), (break_decisions, "InternalError")]
)
async def test_hooks_that_cannot_be_decided_are_given_up_and_the_end_stays(
    cluster: MemoryCluster,
    tmp_path: Path,
    breaks: Callable[[MemoryCluster, Path], Awaitable[None]],
    reason: str,
) -> None:
    await start(cluster, {}, {"trigger": "failed"})
    await cluster.run_pod("train")
    await cluster.settle()
    await cluster.end_pod("train")
    Dies(cluster, 2, after=False)
    with pytest.raises(Death):
        await cluster.settle()
    before = cluster.status("train")
    assert (before["phase"], before["hooks"]) == ("Succeeded", {"states": ".."})
    await cluster.restart()
    await breaks(cluster, tmp_path / "crashes")
    await cluster.settle()
    status = cluster.status("train")
    assert {**status, "hooks": before["hooks"]} == before
    assert status["hooks"]["states"] == "ff"
    assert [one["reason"] for one in status["hooks"]["problems"]] == [reason] * 2
    assert await list_hook_runs(cluster) == []


class Dies:
    """Lets the operator die before its N-th write to the cluster, or after it."""

    def __init__(self, cluster: MemoryCluster, at: int, *, after: bool) -> None:
        self.left, self.after, self.kube = at, after, cluster.kube
        for verb in ("create", "json_patch"):
            setattr(cluster.kube, verb, self._wrap(getattr(cluster.kube, verb)))

    def _wrap(self, method: Any) -> Any:
        async def counted(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Death
            answer = await method(*args, **options)
            if self.left == 0:
                raise Death
            return answer

        return counted


class Death(Exception):
    """The operator ends here."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_each_hook_fires_once_wherever_the_operator_dies(
    cluster: MemoryCluster, at: int, after: bool
) -> None:
    await start(cluster, {}, {"trigger": "failed"}, {"params": {"a": 1}})
    await cluster.run_pod("train")
    await cluster.settle()
    await cluster.end_pod("train")
    Dies(cluster, at, after=after)
    try:
        await cluster.settle()
    except Death:
        await cluster.restart()
        await cluster.settle()
    assert cluster.status("train")["hooks"] == {"states": "rkr"}
    assert len(await list_hook_runs(cluster)) == 2


async def test_a_hook_that_fired_is_known_although_outputs_came_later(
    cluster: MemoryCluster,
) -> None:
    await start(cluster, {})
    await cluster.run_pod("train")
    await cluster.settle()
    await cluster.end_pod("train")
    Dies(cluster, 2, after=True)
    with pytest.raises(Death):
        await cluster.settle()
    assert cluster.status("train")["hooks"] == {"states": "."}
    ops = [{"op": "add", "path": "/status/outputs/late", "value": 1}]
    await cluster.kube.json_patch(OPERATIONS, NAMESPACE, "train", ops)
    await cluster.restart()
    await cluster.settle()
    assert cluster.status("train")["hooks"] == {"states": "r"}


async def test_letters_that_are_not_stored_do_not_change_the_end(cluster: MemoryCluster) -> None:
    await start(cluster, {"trigger": "failed"})
    await cluster.run_pod("train")
    await cluster.settle()
    await cluster.end_pod("train")
    write = cluster.kube.json_patch

    async def refuse(resource: Any, namespace: str, name: str, ops: Any, **options: Any) -> Any:
        if any(one["value"] == "k" or one["value"] == {"states": "k"} for one in ops):
            raise Invalid("status.hooks is invalid", status=422)
        return await write(resource, namespace, name, ops, **options)

    cluster.kube.json_patch = refuse  # type: ignore[method-assign]
    with pytest.raises(Invalid):
        await cluster.settle()
    status = cluster.status("train")
    assert (status["phase"], status["hooks"]) == ("Succeeded", {"states": "."})
    cluster.kube.json_patch = write  # type: ignore[method-assign]
    await cluster.wait()
    assert cluster.status("train")["hooks"] == {"states": "k"}


async def test_a_foreign_run_of_that_name_is_not_adopted(cluster: MemoryCluster) -> None:
    await start(cluster, {})
    uuid = cluster.status("train")["uuid"]
    taken = names.child_name("train", uuid, "hook:0")
    await cluster.create(taken, {"component": TRAIN})
    await end(cluster)
    status = cluster.status("train")
    assert (status["phase"], status["hooks"]["states"]) == ("Succeeded", "f")
    assert status["hooks"]["problems"][0]["reason"] == "NameConflict"
