"""The CRDs on a real API server: what it refuses, what it keeps, what may change, and what kubectl
shows.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from opstrand.core.limits import EDGES
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import Invalid
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import run_kubectl

COMPONENT = {"run": {"kind": "job", "container": {"image": "busybox"}}}
#: Two values for every key of an Operation.
MADE: dict[str, tuple[Any, Any]] = {
    "version": (1.1, 1.2),
    "kind": ("operation", None),
    "name": ("echo", "other"),
    "description": ("a", "b"),
    "tags": (["a"], "a,b"),
    "presets": ("a", ["b"]),
    "strictParams": (True, False),
    "queue": ("a/b", "a/c"),
    "namespace": ("a", "b"),
    "cache": ({"ttl": 1}, {"ttl": "{{ n }}"}),
    "plugins": ({"shm": True}, {"shm": False}),
    "build": ({"hubRef": "a"}, {"hubRef": "b"}),
    "hooks": ([{"hubRef": "a"}], [{"hubRef": "b"}]),
    "cost": (1.5, 2),
    "mount": (["a:b"], [{"from": "a", "to": "c"}]),
    "inputs": ([{"name": "a"}], [{"name": "b"}]),
    "outputs": ([{"name": "a"}], [{"name": "a", "type": "int"}]),
    "run": ({"kind": "job"}, {"kind": "service"}),
    "template": ({"enabled": False}, {"enabled": True}),
    "params": ({"lr": 1, "x": {"value": None}}, {"lr": 1, "x": {"value": 2}}),
    "events": ([{"ref": "ops.a", "kinds": []}], [{"ref": "ops.b", "kinds": []}]),
    "matrix": ({"kind": "grid", "params": {"x": 1}}, {"kind": "grid", "params": {"x": 2}}),
    "joins": ([{"query": "a"}], [{"query": "b"}]),
    "dependencies": (["a"], ["b"]),
    "trigger": ("all_done", "one_done"),
    "conditions": ("{{ a }}", "{{ b }}"),
    "skipOnUpstreamSkip": (True, False),
    "runPatch": ({"container": {"image": "a"}}, {"container": {"image": "b"}}),
    "patchStrategy": ("replace", "isnull"),
    "isPreset": (False, True),
    "container": ({"image": "a"}, {"imagee": "a"}),
    "cmd": ("a", ["a", "b"]),
    "env": ({"A": "1"}, {"B": "1"}),
    "resources": ({"cpu": 0.5}, {"cpu": "1..2"}),
    "ports": ([80], [81]),
    "environment": ({"labels": {"a": "1"}}, {"labels": {"b": "1"}}),
    "init": ([{"path": "a"}], [{"path": "b"}]),
    "connections": (["a"], ["b"]),
    "sidecars": ([{"image": "a"}], [{"image": "b"}]),
    "volumes": ([{"name": "a"}], [{"name": "b"}]),
    "component": (COMPONENT, {"run": {"kind": "job", "container": {"imag": "busybox"}}}),
    "inherited": ({"queue": "a"}, {"queue": "b"}),
    "hubRef": ("a", "b"),
    "pathRef": ("a", "b"),
    "urlRef": ("a", "b"),
    "dagRef": ("a", "b"),
}
REFERENCES = ("component", "hubRef", "pathRef", "urlRef", "dagRef")
EDITABLE: dict[str, tuple[Any, Any]] = {
    "control": ({"stop": True}, {"stop": False, "skip": True}),
    "isApproved": (False, True),
    "termination": ({"timeout": 1}, {"timeout": "{{ t }}", "maxRetries": 2}),
}
_numbers = itertools.count(1)
Try = Callable[..., str]


@pytest.fixture(scope="module")
def attempt(control_plane: ControlPlane) -> Try:
    """Run kubectl and return its output, or its error."""

    def run(*arguments: str, body: dict[str, Any] | None = None) -> str:
        stdin = json.dumps(body) if body is not None else None
        done = run_kubectl(
            control_plane.kubeconfig, "-n", "default", *arguments, stdin=stdin, check=False
        )
        return done.stdout if done.returncode == 0 else f"refused: {done.stderr}"

    return run


def operation(spec: dict[str, Any], name: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {"name": name or f"crd-{next(_numbers)}", "labels": {"suite": "crds"}},
        "spec": spec,
    }


async def make(kube: KubeApi, spec: dict[str, Any]) -> str:
    """Create an Operation that does not run, since its component is not found, and return its
    name.
    """
    body = await kube.create(OPERATIONS, "default", operation(spec))
    return str(body["metadata"]["name"])


async def change(kube: KubeApi, name: str, *ops: dict[str, Any]) -> str:
    """Return the server's answer to a JSON Patch: its message if it refuses, else `patched`."""
    try:
        await kube.json_patch(OPERATIONS, "default", name, list(ops))
    except Invalid as error:
        return error.server_message
    return "patched"


@pytest.fixture(scope="module", autouse=True)
def _swept(attempt: Try) -> Any:
    yield
    attempt("delete", "operations", "-l", "suite=crds", "--wait=false")


def test_the_made_operation_has_every_key() -> None:
    from opstrand.spec.operation import Operation
    from opstrand.spec.shape import fields_of

    assert {*MADE, *EDITABLE, "schedule"} == set(fields_of(Operation))


async def test_what_was_asked_can_neither_be_changed_removed_nor_added_to(kube: KubeApi) -> None:
    plain = {key: values[0] for key, values in MADE.items() if key not in REFERENCES}
    name = await make(kube, {**plain, "hubRef": "nobody"})
    for key, (_, other) in MADE.items():
        if key not in (*REFERENCES, "kind"):
            assert "cannot change" in await change(
                kube, name, {"op": "replace", "path": f"/spec/{key}", "value": other}
            ), key
    for key in plain:
        assert "cannot change" in await change(
            kube, name, {"op": "remove", "path": f"/spec/{key}"}
        ), key
    empty = await make(kube, {"hubRef": "nobody"})
    for key, value in plain.items():
        assert "cannot change" in await change(
            kube, empty, {"op": "add", "path": f"/spec/{key}", "value": value}
        ), key


@pytest.mark.parametrize("key", REFERENCES)
async def test_what_runs_cannot_be_changed_or_removed(kube: KubeApi, key: str) -> None:
    value, other = MADE[key]
    name = await make(kube, {key: value})
    assert "cannot change" in await change(
        kube, name, {"op": "replace", "path": f"/spec/{key}", "value": other}
    )
    assert "cannot change" in await change(kube, name, {"op": "remove", "path": f"/spec/{key}"})


async def test_an_edit_beside_an_allowed_one_is_seen(kube: KubeApi) -> None:
    name = await make(kube, {"hubRef": "nobody", "params": {"lr": 1}})
    both = [
        {"op": "add", "path": "/spec/isApproved", "value": True},
        {"op": "replace", "path": "/spec/params/lr", "value": 2},
    ]
    assert "params cannot change" in await change(kube, name, *both)


@pytest.mark.parametrize("phase", [None, "Waiting"])
async def test_an_edit_beside_one_of_the_status_is_seen(kube: KubeApi, phase: str | None) -> None:
    """A longer history excuses a write from the comparison, so it must be one of the status."""
    name = await make(kube, {"hubRef": "nobody", "params": {"lr": 1}})
    entry = {"status": "created", "reason": "Created", "at": "2026-01-01T00:00:00Z"}
    if phase is not None:
        status = {"phase": phase, "history": [entry]}
        first = [{"op": "add", "path": "/status", "value": status}]
        await kube.json_patch(OPERATIONS, "default", name, first, subresource="status")
    both = [
        {"op": "add", "path": "/status", "value": {"phase": "Waiting", "history": [entry] * 3}},
        {"op": "replace", "path": "/spec/params/lr", "value": 2},
    ]
    assert "params cannot change" in await change(kube, name, *both)
    stored = await kube.json_patch(OPERATIONS, "default", name, both, subresource="status")
    assert len(stored["status"]["history"]) == 3
    assert stored["spec"]["params"] == {"lr": 1}


@pytest.mark.parametrize("key", EDITABLE)
async def test_what_steers_a_run_can_be_added_changed_and_removed(kube: KubeApi, key: str) -> None:
    name = await make(kube, {"hubRef": "nobody"})
    first, second = EDITABLE[key]
    for op in ({"op": "add", "value": first}, {"op": "replace", "value": second}):
        assert "patched" in await change(kube, name, {**op, "path": f"/spec/{key}"})
    assert "patched" in await change(kube, name, {"op": "remove", "path": f"/spec/{key}"})


async def test_a_status_holds_an_edge_of_every_run_that_a_join_can_find(kube: KubeApi) -> None:
    """A freeze that the server refuses would be retried for ever."""
    name = await make(kube, {"hubRef": "nobody"})
    edge = {"name": "a" * 52, "kind": "join", "values": {"losses": "outputs.loss"}}
    edges = [{"uuid": f"{number:032x}", **edge} for number in range(EDGES)]
    status = {"op": "add", "path": "/status", "value": {"upstream": edges}}
    stored = await kube.json_patch(OPERATIONS, "default", name, [status], subresource="status")
    assert stored["status"]["upstream"] == edges


async def test_a_schedule_may_change_but_not_come_or_go(kube: KubeApi) -> None:
    daily, hourly = ({"kind": "cron", "cron": text} for text in ("@daily", "@hourly"))
    name = await make(kube, {"hubRef": "nobody", "schedule": daily})
    path = "/spec/schedule"
    assert "patched" in await change(kube, name, {"op": "replace", "path": path, "value": hourly})
    removed = await change(kube, name, {"op": "remove", "path": path})
    assert "schedule cannot change" in removed
    name = await make(kube, {"hubRef": "nobody"})
    added = await change(kube, name, {"op": "add", "path": path, "value": daily})
    assert "schedule cannot change" in added


async def test_resume_only_grows(kube: KubeApi) -> None:
    name = await make(kube, {"hubRef": "nobody", "control": {"resume": 2}})
    for value in ({"resume": 1}, {}, {"stop": True}):
        assert "resume only grows" in await change(
            kube, name, {"op": "replace", "path": "/spec/control", "value": value}
        )
    larger = {"op": "replace", "path": "/spec/control/resume", "value": 3}
    assert "has not ended" in await change(kube, name, larger)
    # The number was acted on: an operator of another test would resume the run otherwise.
    ended = [{"op": "add", "path": "/status", "value": {"phase": "Failed", "resume": 2}}]
    await kube.json_patch(OPERATIONS, "default", name, ended, subresource="status")
    assert "patched" in await change(kube, name, larger)


def test_nothing_that_was_written_is_dropped(attempt: Try) -> None:
    spec = {
        "hubRef": "nobody",
        "termination": {"maxRetry": 3},
        "runPatch": {
            "container": {
                "resourcess": {"limit": {"cpu": 1}},
                "securityContext": {"x": {"y": None}},
            }
        },
        "params": {"a": {"vlaue": {"deep": {"er": None}}}, "b": None, "c": 1.5, "d": "{{ x }}"},
        "hooks": [{"hubRef": "a", "parms": {"x": [1, None]}}],
        "cache": None,
        "unheardOf": {"a": {"b": {"c": [None]}}},
    }
    body = operation(copy.deepcopy(spec))
    assert "created" in attempt("create", "--validate=false", "-f", "-", body=body)
    name = body["metadata"]["name"]
    assert json.loads(attempt("get", "operation", name, "-o", "json"))["spec"] == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"hubRef": "a", "params": [1]}, "spec.params"),
        ({"hubRef": "a", "component": "a"}, "spec.component"),
        ({"hubRef": 1}, "spec.hubRef"),
        ({"hubRef": "a", "dependencies": "b"}, "spec.dependencies"),
        ({"hubRef": "a", "isApproved": "yes"}, "spec.isApproved"),
        ({"hubRef": "a", "trigger": 1}, "spec.trigger"),
        ({"hubRef": "a", "env": {"A": 1}}, "spec.env"),
        ({"hubRef": "a", "control": {"stop": "true"}}, "spec.control.stop"),
        ({"hubRef": "a", "component": COMPONENT}, "at most one of component"),
        ({"hubRef": "a", "urlRef": "b"}, "at most one of component"),
        ({"kind": "component", "run": {"kind": "job"}}, "spec.kind"),
        ({"hubRef": "a", "joins": [{"query": "x"}] * 1001}, "spec.joins"),
    ],
)
def test_wrong_types_at_the_top_are_refused_at_once(
    attempt: Try, spec: dict[str, Any], message: str
) -> None:
    assert message in attempt("create", "--validate=false", "-f", "-", body=operation(spec))


@pytest.mark.parametrize("name", ["a" * 53, "with.dot"])
def test_names_that_cannot_become_a_pods_are_refused(attempt: Try, name: str) -> None:
    said = attempt("create", "-f", "-", body=operation({"hubRef": "a"}, name))
    assert "at most 52" in said


def test_a_name_of_52_characters_is_fine(attempt: Try) -> None:
    assert "created" in attempt("create", "-f", "-", body=operation({"hubRef": "nobody"}, "b" * 52))


async def test_a_large_spec_can_still_be_steered(kube: KubeApi) -> None:
    files = [{"file": {"content": "x" * 60_000, "filename": f"{index}.txt"}} for index in range(10)]
    name = await make(
        kube,
        {
            "component": {"run": {"kind": "job", "init": files, "container": {"image": "a"}}},
            "control": {"stop": True},
        },
    )
    assert "patched" in await change(
        kube, name, {"op": "replace", "path": "/spec/control/stop", "value": False}
    )
    assert "cannot change" in await change(
        kube, name, {"op": "remove", "path": "/spec/component/run/init/0"}
    )


async def test_columns_short_names_and_the_selectable_phase(kube: KubeApi, attempt: Try) -> None:
    name = await make(kube, {"hubRef": "nobody"})
    columns = ["NAME", "KIND", "PHASE", "REASON", "CHILDREN", "STARTED", "DURATION", "AGE"]
    assert attempt("get", "op", name).splitlines()[0].split() == [*columns, "MESSAGE"]
    assert attempt("get", "ops", name, "-o", "wide").splitlines()[0].split() == [
        *columns,
        "BEST",
        "POD",
        "UUID",
        "MESSAGE",
    ]
    assert name not in attempt(
        "get", "operations", "--field-selector", "status.phase=Succeeded", "-o", "name"
    )


def test_a_component_keeps_its_unknown_keys_and_has_a_version_in_its_name(attempt: Try) -> None:
    spec = {
        "inputs": [{"name": "a", "tpye": "int"}],
        "run": {"kind": "job", "containr": {"image": "a"}},
    }
    body = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Component",
        "metadata": {"name": "echo.v2", "labels": {"suite": "crds"}},
        "spec": spec,
    }
    assert "created" in attempt("create", "--validate=false", "-f", "-", body=body)
    assert json.loads(attempt("get", "component", "echo.v2", "-o", "json"))["spec"] == spec
    assert "job" in attempt("get", "component", "echo.v2")
    assert "deleted" in attempt("delete", "component", "echo.v2")
