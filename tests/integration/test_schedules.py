"""Schedules on a real API server: a run for each tick, and how a schedule is changed and ends.

The clock is the machine's own; test_schedule_clock.py moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import Invalid, NotFound
from opstrand.kube.resources import COMPONENTS, OPERATIONS
from opstrand.types import Manifest
from tests.integration.conftest import in_phase, operation, wait_for
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")

#: Generous: other tests run beside this one.
PATIENCE = 90
EVERY_SECOND = {"kind": "interval", "frequency": 1}
LONG_AGO = "2026-01-01T00:00:00Z"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def job(**test: str) -> dict[str, Any]:
    """Return a component whose input has the tick. `test`: what becomes of its Pod."""
    script = {f"test/{key}": value for key, value in {"until": "Running", **test}.items()}
    return {
        "inputs": [{"name": "at", "type": "str", "value": "{{ globals.schedule_at }}"}],
        "run": {
            "kind": "job",
            "environment": {"annotations": script},
            "container": {"image": "busybox", "command": ["true"]},
        },
    }


def schedule(
    name: str, section: Mapping[str, Any], component: Mapping[str, Any] | None = None, **more: Any
) -> Manifest:
    return operation(name, {"schedule": section, "component": component or job(), **more})


def is_over(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


def facts(body: Manifest) -> dict[str, Any]:
    return dict((body.get("status") or {}).get("schedule") or {})


async def create(kube: KubeApi, namespace: str, body: Manifest) -> str:
    made = await kube.create(OPERATIONS, namespace, body)
    return str(made["metadata"]["name"])


async def run_to_the_end(kube: KubeApi, namespace: str, body: Manifest) -> Manifest:
    name = await create(kube, namespace, body)
    return await wait_for(kube, namespace, name, is_over, PATIENCE)


async def runs_of(kube: KubeApi, namespace: str, body: Manifest) -> list[Manifest]:
    """Return the runs of a schedule by their ticks."""
    uuid = names.run_uuid(body["metadata"]["uid"])
    found, _ = await kube.list(OPERATIONS, namespace, labels=f"{names.PIPELINE}={uuid}")
    return sorted(found, key=lambda one: one["metadata"]["annotations"][names.SCHEDULE_AT])


async def patch(kube: KubeApi, namespace: str, name: str, path: str, value: Any) -> None:
    await kube.json_patch(
        OPERATIONS, namespace, name, [{"op": "add", "path": path, "value": value}]
    )


async def test_an_interval_runs_as_often_as_it_may(kube: KubeApi, namespace: str) -> None:
    body = await run_to_the_end(
        kube, namespace, schedule("every-second", {**EVERY_SECOND, "maxRuns": 3})
    )
    status = body["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "ScheduleFinished"), status
    assert (status["kind"], facts(body)["runs"], facts(body)["succeeded"]) == ("schedule", 3, 3)
    runs = await runs_of(kube, namespace, body)
    ticks = [one["status"]["inputs"]["at"] for one in runs]
    assert len(set(ticks)) == 3
    assert ticks == [one["metadata"]["annotations"][names.SCHEDULE_AT] for one in runs]
    assert sorted(one["at"] for one in facts(body)["results"]) == ticks
    assert all("schedule" not in one["spec"] for one in runs)


async def test_cron_runs_at_its_times(kube: KubeApi, namespace: str) -> None:
    section = {"kind": "cron", "cron": "* * * * * */2", "maxRuns": 2}
    body = await run_to_the_end(kube, namespace, schedule("cron", section))
    runs = await runs_of(kube, namespace, body)
    ticks = [datetime.fromisoformat(one["status"]["inputs"]["at"]) for one in runs]
    assert [tick.second % 2 for tick in ticks] == [0, 0]


async def test_a_date_that_is_over_runs_once_at_once(kube: KubeApi, namespace: str) -> None:
    body = await run_to_the_end(
        kube, namespace, schedule("once", {"kind": "datetime", "startAt": LONG_AGO})
    )
    (run,) = await runs_of(kube, namespace, body)
    assert (run["status"]["inputs"]["at"], facts(body)["missed"]) == (LONG_AGO, 0)


async def test_nothing_runs_before_start_and_after_end(kube: KubeApi, namespace: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = now + timedelta(seconds=4), now + timedelta(seconds=6)
    section = {**EVERY_SECOND, "startAt": start.isoformat(), "endAt": end.isoformat()}
    body = await run_to_the_end(kube, namespace, schedule("between", section))
    runs = await runs_of(kube, namespace, body)
    ticks = [datetime.fromisoformat(one["status"]["inputs"]["at"]) for one in runs]
    assert ticks
    assert start <= min(ticks)
    assert max(ticks) <= end


async def test_runs_overlap_unless_each_depends_on_the_one_before(
    kube: KubeApi, namespace: str
) -> None:
    slow = job(until="stopped")
    await create(kube, namespace, schedule("overlap", EVERY_SECOND, slow))
    await create(
        kube, namespace, schedule("in-turn", {**EVERY_SECOND, "dependsOnPast": True}, slow)
    )
    await wait_for(
        kube, namespace, "overlap", lambda one: len(facts(one).get("active", ())) >= 3, PATIENCE
    )
    body = await wait_for(
        kube, namespace, "in-turn", lambda one: "waits for" in str(one["status"]["message"])
    )
    (first,) = facts(body)["active"]
    assert first["name"] in body["status"]["message"]
    # Once it has ended, the newest time that is due gets its run; those before it are missed.
    await patch(kube, namespace, first["name"], "/spec/control", {"stop": True})
    body = await wait_for(kube, namespace, "in-turn", lambda one: facts(one)["runs"] == 2, PATIENCE)
    assert facts(body)["missed"] >= 1
    assert facts(body)["results"][0]["phase"] == "Stopped"
    for name in ("overlap", "in-turn"):
        await patch(kube, namespace, name, "/spec/control", {"stop": True})
        body = await wait_for(kube, namespace, name, is_over, PATIENCE)
        assert body["status"]["phase"] == "Stopped"
        runs = await runs_of(kube, namespace, body)
        assert all(one["status"]["phase"] == "Stopped" for one in runs)


async def test_a_matrix_and_a_pipeline_run_on_a_schedule(kube: KubeApi, namespace: str) -> None:
    once = {"kind": "datetime", "startAt": LONG_AGO}
    values = {"kind": "mapping", "values": [{"n": 1}, {"n": 2}]}
    component = {**job(), "inputs": [{"name": "n", "type": "int"}]}
    body = await run_to_the_end(kube, namespace, schedule("search", once, component, matrix=values))
    (search,) = await runs_of(kube, namespace, body)
    assert (search["status"]["kind"], search["status"]["children"]["states"]) == ("matrix", "ss")
    at = {"at": {"ref": "dag", "value": "globals.schedule_at", "contextOnly": True}}
    dag = {"kind": "dag", "operations": [{"name": "a", "params": at, "component": job()}]}
    body = await run_to_the_end(kube, namespace, schedule("pipeline", once, {"run": dag}))
    assert facts(body)["succeeded"] == 1, body["status"]
    (pipeline,) = await runs_of(kube, namespace, body)
    assert (pipeline["status"]["kind"], pipeline["status"]["phase"]) == ("dag", "Succeeded")


async def test_a_suspended_schedule_starts_no_run_and_makes_up_for_none(
    kube: KubeApi, namespace: str
) -> None:
    await create(kube, namespace, schedule("paused", EVERY_SECOND, control={"suspend": True}))
    body = await wait_for(
        kube, namespace, "paused", lambda one: one.get("status", {}).get("reason") == "Suspended"
    )
    await asyncio.sleep(3)
    again = await kube.get(OPERATIONS, namespace, "paused")
    assert again["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]
    resumed = datetime.now(UTC)
    await patch(kube, namespace, "paused", "/spec/control/suspend", False)
    body = await wait_for(kube, namespace, "paused", lambda one: facts(one)["runs"] > 0, PATIENCE)
    runs = await runs_of(kube, namespace, body)
    first = datetime.fromisoformat(runs[0]["metadata"]["annotations"][names.SCHEDULE_AT])
    assert first >= resumed - timedelta(seconds=1)
    await kube.delete(OPERATIONS, namespace, "paused")
    for run in runs:
        await wait_until_gone(kube, namespace, run["metadata"]["name"])


async def wait_until_gone(kube: KubeApi, namespace: str, name: str) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        try:
            await kube.get(OPERATIONS, namespace, name)
        except NotFound:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} is still there")


async def test_an_edited_schedule_counts_from_its_edit(kube: KubeApi, namespace: str) -> None:
    await create(kube, namespace, schedule("edited", {"kind": "cron", "cron": "@yearly"}))
    await wait_for(kube, namespace, "edited", in_phase("Running"))
    gone = [{"op": "remove", "path": "/spec/schedule"}]
    with pytest.raises(Invalid, match="schedule cannot change"):
        await kube.json_patch(OPERATIONS, namespace, "edited", gone)
    await patch(kube, namespace, "edited", "/spec/schedule/cron", "* * *")
    body = await wait_for(
        kube, namespace, "edited", lambda one: one["status"]["reason"] == "InvalidSpec"
    )
    assert "schedule.cron: expected minute" in body["status"]["message"]
    await patch(kube, namespace, "edited", "/spec/schedule", {**EVERY_SECOND, "maxRuns": 1})
    body = await wait_for(kube, namespace, "edited", is_over, PATIENCE)
    assert (body["status"]["phase"], facts(body)["missed"]) == ("Succeeded", 0)


async def test_a_component_of_the_hub_may_have_the_schedule(kube: KubeApi, namespace: str) -> None:
    spec = {**job(), "schedule": {**EVERY_SECOND, "maxRuns": 1}}
    component = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Component",
        "metadata": {"name": "nightly"},
        "spec": spec,
    }
    await kube.create(COMPONENTS, namespace, component)
    body = operation("hub")
    body["spec"] = {"hubRef": "nightly"}
    body = await run_to_the_end(kube, namespace, body)
    (run,) = await runs_of(kube, namespace, body)
    assert (run["status"]["kind"], run["status"]["phase"]) == ("job", "Succeeded")


async def test_values_of_the_schedule_may_be_params(kube: KubeApi, namespace: str) -> None:
    section = {"kind": "interval", "frequency": "{{ every }}", "maxRuns": "{{ most }}"}
    component = job()
    component["inputs"] += [{"name": "every", "type": "int"}, {"name": "most", "type": "int"}]
    params = {"every": {"value": 1}, "most": {"value": 2}}
    body = await run_to_the_end(
        kube, namespace, schedule("params", section, component, params=params)
    )
    assert facts(body)["runs"] == 2
    assert facts(body)["written"]["frequency"] == 1


async def test_each_run_reads_of_other_runs_what_they_have_then(
    kube: KubeApi, namespace: str
) -> None:
    component = job()
    component["inputs"] += [{"name": "loss", "type": "float"}]
    params = {"loss": {"ref": "ops.train", "value": "outputs.loss"}}
    once = {"kind": "datetime", "startAt": LONG_AGO}
    await create(kube, namespace, schedule("reads", once, component, params=params))
    body = await wait_for(
        kube, namespace, "reads", lambda one: bool(facts(one).get("active")), PATIENCE
    )
    train = operation("train", {"component": job(outputs='{"loss": 0.25}')})
    await create(kube, namespace, train)
    body = await wait_for(kube, namespace, "reads", is_over, PATIENCE)
    assert facts(body)["succeeded"] == 1, body["status"]
    (run,) = await runs_of(kube, namespace, body)
    assert run["status"]["inputs"]["loss"] == 0.25
    (edge,) = run["status"]["upstream"]
    assert (edge["name"], edge["kind"]) == ("train", "run")


async def test_each_run_waits_for_its_own_approval(kube: KubeApi, namespace: str) -> None:
    once = {"kind": "datetime", "startAt": LONG_AGO}
    await create(kube, namespace, schedule("approved", once, isApproved=False))
    body = await wait_for(
        kube, namespace, "approved", lambda one: bool(facts(one).get("active")), PATIENCE
    )
    name = facts(body)["active"][0]["name"]
    await wait_for(
        kube, namespace, name, lambda one: one["status"]["reason"] == "AwaitingApproval", PATIENCE
    )
    await patch(kube, namespace, name, "/spec/isApproved", True)
    body = await wait_for(kube, namespace, "approved", is_over, PATIENCE)
    assert facts(body)["succeeded"] == 1


async def test_a_failed_run_is_told_and_the_schedule_goes_on(kube: KubeApi, namespace: str) -> None:
    section = {**EVERY_SECOND, "dependsOnPast": True, "maxRuns": 2}
    body = await run_to_the_end(
        kube, namespace, schedule("fails", section, job(**{"exit-codes": "3"}))
    )
    assert (body["status"]["phase"], facts(body)["failed"]) == ("Succeeded", 2)
    assert "2 failed" in body["status"]["message"]
    assert {one["reason"] for one in facts(body)["results"]} == {"ContainerFailed"}


async def test_a_run_that_someone_deletes_counts_as_stopped(kube: KubeApi, namespace: str) -> None:
    once = {"kind": "datetime", "startAt": LONG_AGO}
    await create(kube, namespace, schedule("deleted", once, job(until="stopped")))
    body = await wait_for(
        kube, namespace, "deleted", lambda one: bool(facts(one).get("active")), PATIENCE
    )
    await kube.delete(OPERATIONS, namespace, facts(body)["active"][0]["name"])
    body = await wait_for(kube, namespace, "deleted", is_over, PATIENCE)
    (result,) = facts(body)["results"]
    assert (result["phase"], result["reason"]) == ("Stopped", "ChildDeleted")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "cron", "cron": "61 * * * *"}, "schedule.cron: its minute is not valid"),
        ({**EVERY_SECOND, "maxRuns": 0}, "schedule.maxRuns: expected a number of at least 1"),
        (
            {**EVERY_SECOND, "startAt": "2027-01-02T00:00:00Z", "endAt": "2027-01-01T00:00:00Z"},
            "schedule.endAt: expected a time after startAt",
        ),
    ],
)
async def test_a_schedule_that_is_none_ends_with_the_reason(
    kube: KubeApi, namespace: str, section: Mapping[str, Any], message: str
) -> None:
    body = await run_to_the_end(kube, namespace, schedule("wrong", section))
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", "InvalidSpec")
    assert message in body["status"]["message"]


async def test_a_wrong_param_is_reported_before_the_first_run(
    kube: KubeApi, namespace: str
) -> None:
    component = {**job(), "inputs": [{"name": "n", "type": "int"}]}
    section = {"kind": "cron", "cron": "@yearly"}
    body = await run_to_the_end(
        kube, namespace, schedule("params", section, component, params={"n": {"value": "many"}})
    )
    assert (body["status"]["phase"], "params.n" in body["status"]["message"]) == ("Failed", True)
