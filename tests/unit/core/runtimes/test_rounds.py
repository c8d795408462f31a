"""A pipeline and a matrix run again: what succeeded stays, everything else has another round."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import JOB, body, list_actions, list_created, phase, see

from opstrand.core import names
from opstrand.core.decide import decide
from opstrand.core.lifecycle.actions import Patch
from opstrand.core.lifecycle.snapshot import Decision

UUID = "d1410a914d18457589b91926d8c23db4"
PHASES = {
    "s": "Succeeded",
    "f": "Failed",
    "x": "Stopped",
    "k": "Skipped",
    "u": "UpstreamFailed",
    "r": "Running",
}
END = "2026-01-01T10:00:00.000000Z"


def op(name: str, *dependencies: str) -> dict[str, Any]:
    return {"name": name, **JOB, **({"dependencies": list(dependencies)} if dependencies else {})}


PIPELINE = {
    "component": {"run": {"kind": "dag", "operations": [op("a"), op("b", "a"), op("c", "b")]}}
}
MATRIX = {
    "component": {
        "inputs": [{"name": "lr", "type": "float"}],
        "run": {"kind": "job", "container": {"image": "a", "args": ["{{ lr }}"]}},
    },
    "matrix": {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2, 3]}}},
}


def after(before: dict[str, Any], decision: Decision) -> dict[str, Any]:
    return before if decision.status is None else {**before, "status": decision.status}


def parent(spec: dict[str, Any], states: str, **status: Any) -> dict[str, Any]:
    """Return a parent that has failed with these letters, and is asked to run again."""
    made = body({**spec, "control": {"resume": 1}})
    frozen = after(made, decide(see(made)))
    facts = {**frozen["status"], "phase": "Failed", "reason": "ChildFailed", "finishedAt": END}
    facts["children"] = {**facts["children"], "states": states}
    frozen["metadata"]["generation"] = 2
    return {**frozen, "status": {**facts, **status}}


def child(of: dict[str, Any], key: str | int, letter: str, **status: Any) -> dict[str, Any]:
    """Return the run of an operation or an index, with its status."""
    name = names.child_name("run", UUID, key)
    made = {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-of-{key}",
            "resourceVersion": "7",
            "ownerReferences": [names.owner_reference(of)],
            "labels": {names.OP: str(key)},
        },
        "spec": {"name": str(key), "control": {"stop": True, "invalidate": True}},
        "status": {"phase": PHASES[letter], "finishedAt": END, "outputs": {}, **status},
    }
    if letter == "r":
        del made["status"]["finishedAt"]
    return made


def read_states(decision: Decision) -> str:
    return str((decision.status or {})["children"]["states"])


@pytest.mark.parametrize("spec", [PIPELINE, MATRIX], ids=["pipeline", "matrix"])
@pytest.mark.parametrize(
    ("states", "expected"),
    [("sfu", "s.."), ("xkx", "..."), ("csc", "csc"), ("rw.", "..."), ("fff", "...")],
)
def test_one_write_resets_what_did_not_succeed(
    spec: dict[str, Any], states: str, expected: str
) -> None:
    decision = decide(see(parent(spec, states)))
    status = decision.status or {}
    assert (phase(decision), read_states(decision)) == (("Resuming", "Resuming"), expected)
    assert (status["attempt"], status["resume"], decision.freeze) == (1, 1, True)
    assert (status["children"]["failed"], status["children"]["failures"]) == (0, [])
    assert decision.actions == ()


def test_a_failed_operation_runs_again_and_what_follows_it_is_made() -> None:
    before = parent(PIPELINE, "sfu")
    a, b = child(before, "a", "s"), child(before, "b", "f")
    resumed = after(before, decide(see(before)))
    decision = decide(see(resumed, children=[a, b]))
    assert (phase(decision), read_states(decision)) == (("Running", "PipelineRunning"), "s..")
    (order,) = decision.actions
    assert isinstance(order, Patch)
    assert (order.kind, order.name) == ("Operation", b["metadata"]["name"])
    # Guarded, and without the order that ended it.
    assert order.ops == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/spec/control", "value": {"invalidate": True, "round": 1}},
    ]
    running = after(resumed, decision)
    # The same look gives the same order; one that was given is not given again.
    assert decide(see(running, children=[a, b])).actions == (order,)
    asked = {**b, "spec": {**b["spec"], "control": {"round": 1}}}
    waits = decide(see(running, children=[a, asked]))
    assert waits.actions == ()
    again = {**asked, "status": {**asked["status"], "phase": "Succeeded", "round": 1}}
    decision = decide(see(running, children=[a, again]))
    (made,) = list_created(decision)
    assert made["spec"]["name"] == "c"
    # It is part of this round from the start: its end is not taken for one of an earlier round.
    assert made["spec"]["control"] == {"round": 1}


def serve(name: str, **params: str) -> dict[str, Any]:
    """Return a service that reads the address of others."""
    run = {"kind": "service", "ports": [80], "container": {"image": "a"}}
    return {"name": name, "component": {"run": run}, "params": read_addresses(**params)}


def read_addresses(**params: str) -> dict[str, Any]:
    return {
        name: {"ref": f"ops.{other}", "value": "globals.host", "contextOnly": True}
        for name, other in params.items()
    }


@pytest.mark.parametrize(
    ("states", "expected"), [("ssssf", "..ss."), ("ssssu", "..ss."), ("ssfss", "ss.ss")]
)
def test_the_services_that_an_operation_needs_run_again_with_it(states: str, expected: str) -> None:
    train = {**op("train"), "params": read_addresses(host="redis")}
    operations = [serve("disk"), serve("redis", disk="disk"), op("other"), serve("web"), train]
    spec = {"component": {"run": {"kind": "dag", "operations": operations}}}
    before = parent(spec, states)
    resumed = after(before, decide(see(before)))
    assert read_states(decide(see(resumed))) == expected


def test_a_service_that_was_stopped_is_asked_to_serve_the_round() -> None:
    train = {**op("train"), "params": read_addresses(host="redis")}
    spec = {"component": {"run": {"kind": "dag", "operations": [serve("redis"), train]}}}
    before = parent(spec, "sf")
    redis, failed = child(before, "redis", "x"), child(before, "train", "f")
    resumed = after(before, decide(see(before)))
    decision = decide(see(resumed, children=[redis, failed]))
    (order,) = decision.actions
    assert isinstance(order, Patch)
    assert order.name == redis["metadata"]["name"]
    serves = {**redis, "status": {"phase": "Running", "round": 1}}
    decision = decide(see(after(resumed, decision), children=[serves, failed]))
    (order,) = decision.actions
    assert isinstance(order, Patch)
    assert order.name == failed["metadata"]["name"]


def test_a_second_failure_in_the_round_is_the_end() -> None:
    before = parent(PIPELINE, "sfu", attempt=4)
    running = after(before, decide(see(before)))
    failed = child(before, "b", "f", round=5)
    decision = decide(see(running, children=[child(before, "a", "s"), failed]))
    assert (phase(decision), read_states(decision)) == (("Failed", "ChildFailed"), "sfu")


def test_an_order_of_an_earlier_process_is_not_repeated_and_its_run_is_compared() -> None:
    before = parent(PIPELINE, "sfu")
    running = after(before, decide(see(before)))
    b = child(before, "b", "f")
    decision = decide(
        see(running, children=[child(before, "a", "s"), b], unknown=[b["metadata"]["name"]])
    )
    assert list_actions(decision) == ["Claim Operation"]


@pytest.mark.parametrize(
    ("spec", "keys"), [(PIPELINE, ("a", "b")), (MATRIX, (0, 1))], ids=["pipeline", "matrix"]
)
def test_a_run_that_is_deleted_when_the_round_begins_keeps_its_end(
    spec: dict[str, Any], keys: tuple[Any, Any]
) -> None:
    before = parent(spec, "sfs")
    first, second = (child(before, key, one) for key, one in zip(keys, "sf", strict=True))
    second["metadata"]["deletionTimestamp"] = END
    resumed = after(before, decide(see(before)))
    decision = decide(see(resumed, children=[first, second]))
    assert decision.actions == ()
    running = after(resumed, decision)
    decision = decide(see(running, children=[first], lasts=[second]))
    assert (phase(decision)[0], read_states(decision)) == ("Failed", "sfs")


@pytest.mark.parametrize("alive", ["Stopping", "Running"])
@pytest.mark.parametrize(
    ("spec", "states", "keys"),
    [(PIPELINE, "sf.", ("a", "b")), (MATRIX, "sfs", (0, 1))],
    ids=["pipeline", "matrix"],
)
def test_a_run_that_lives_when_the_round_begins_takes_part_in_it_once_it_has_ended(
    spec: dict[str, Any], states: str, keys: tuple[Any, Any], alive: str
) -> None:
    before = parent(spec, states)
    first, second = (child(before, key, one) for key, one in zip(keys, "sr", strict=True))
    second["status"]["phase"] = alive
    resumed = after(before, decide(see(before)))
    decision = decide(see(resumed, children=[first, second]))
    assert decision.actions == ()
    assert read_states(decision)[:2] == "sr"
    running = after(resumed, decision)
    ended = {**second, "status": {**second["status"], "phase": "Stopped", "finishedAt": END}}
    decision = decide(see(running, children=[first, ended]))
    (order,) = decision.actions
    assert isinstance(order, Patch)
    assert order.name == ended["metadata"]["name"]
    # A new process compares the run before it orders anything.
    name = ended["metadata"]["name"]
    compared = decide(see(running, children=[first, ended], unknown=[name]))
    assert list_actions(compared) == ["Claim Operation"]
    # What was ordered has a letter, and is not ordered again.
    asked = {**ended, "spec": {**ended["spec"], "control": {"round": 1}}}
    assert decide(see(running, children=[first, asked])).actions == ()
    done = {**asked, "status": {**asked["status"], "phase": "Succeeded", "round": 1}}
    decision = decide(see(running, children=[first, done]))
    assert "Patch Operation" not in list_actions(decision)


@pytest.mark.parametrize(
    ("spec", "keys"), [(PIPELINE, ("a", "b")), (MATRIX, (0, 1))], ids=["pipeline", "matrix"]
)
def test_a_run_that_lives_when_the_round_begins_and_is_deleted_keeps_its_end(
    spec: dict[str, Any], keys: tuple[Any, Any]
) -> None:
    before = parent(spec, "sfs")
    first, second = (child(before, key, one) for key, one in zip(keys, "sr", strict=True))
    resumed = after(before, decide(see(before)))
    running = after(resumed, decide(see(resumed, children=[first, second])))
    # Its last state was seen before its deletion was.
    ended = {**second, "status": {**second["status"], "phase": "Stopped", "finishedAt": END}}
    decision = decide(see(running, children=[first], lasts=[ended]))
    assert (decision.actions, read_states(decision)) == ((), "sxs")


def test_a_stop_of_the_round_leaves_what_was_not_started() -> None:
    before = parent(PIPELINE, "sfu")
    resumed = after(before, decide(see(before)))
    resumed["spec"] = {**resumed["spec"], "control": {"resume": 1, "stop": True}}
    decision = decide(see(resumed, children=[child(before, "b", "f")]))
    assert (phase(decision)[0], read_states(decision)) == ("Stopped", "sxx")


def test_the_failed_runs_of_a_matrix_run_again_with_the_same_params() -> None:
    before = parent(MATRIX, "sf.")
    runs = [child(before, 0, "s"), child(before, 1, "f")]
    resumed = after(before, decide(see(before)))
    decision = decide(see(resumed, children=runs))
    assert phase(decision) == ("Running", "MatrixRunning")
    assert list_actions(decision) == ["Patch Operation", "Create Operation"]
    (made,) = list_created(decision)
    assert made["spec"]["params"]["lr"] == {"value": 3}
    assert made["spec"]["control"] == {"round": 1}
    running = after(resumed, decision)
    ends = [child(before, 1, "s", round=1), child(before, 2, "s", round=1)]
    decision = decide(see(running, children=[runs[0], *ends]))
    assert (phase(decision)[0], read_states(decision)) == ("Succeeded", "sss")


def test_a_pipeline_in_a_pipeline_has_a_round_of_its_own() -> None:
    inner = parent(PIPELINE, "sfu", attempt=2)
    owner = body(status={"phase": "Running"}, name="outer", uid="u-outer")
    inner["metadata"]["ownerReferences"] = [names.owner_reference(owner)]
    inner["spec"] = {**inner["spec"], "control": {"round": 7}}
    decision = decide(see(inner, operations=[owner]))
    status = decision.status or {}
    assert (status["phase"], status["round"], status["attempt"]) == ("Resuming", 7, 3)
