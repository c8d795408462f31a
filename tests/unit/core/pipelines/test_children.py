"""A child's name, its manifest, and what of a found run makes it the child."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.support.builders import JOB, SETTINGS, body

from opstrand.core import names
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.prepare import prepare
from opstrand.core.pipelines.children import (
    MAX_DEPTH,
    find_difference,
    find_outermost,
    hand_down,
    inline,
    is_child,
    name_children,
    read_depth,
    render_child,
)
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

PARENT = body(name="nightly")
UUID = names.run_uuid(PARENT["metadata"]["uid"])


def stored(manifest: dict[str, Any], uid: str = "child-uid", **metadata: Any) -> dict[str, Any]:
    made = copy.deepcopy(manifest)
    made["metadata"] |= {"uid": uid, "resourceVersion": "7", **metadata}
    return made


@pytest.mark.parametrize("key", ["train", "Train_2", "x" * 300, "__", 0, 9999])
@pytest.mark.parametrize("parent", ["p", "p" * 52, f"{'p' * 21}-rest"])
def test_a_name_is_one_that_a_run_can_have_and_always_the_same(parent: str, key: Any) -> None:
    name = names.child_name(parent, UUID, key)
    assert names.is_run_name(name)
    assert name == names.child_name(parent, UUID, key)


def test_names_differ_where_slugs_are_the_same() -> None:
    keys = ["a_b", "a-b", "A-B", "x" * 30, "x" * 31]
    assert len(set(name_children(PARENT, keys).values())) == len(keys)


def test_a_name_belongs_to_one_run_of_the_pipeline_only() -> None:
    assert names.child_name("p", UUID, "a") != names.child_name("p", "f" * 32, "a")


def test_ten_thousand_indexes_have_names_of_their_own() -> None:
    assert len(set(name_children(PARENT, range(10_000)).values())) == 10_000


def test_two_children_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_BASE_36", "0" * 36)
    with pytest.raises(SpecError, match=r"'a_b' and 'a-b' would both get the run") as caught:
        name_children(PARENT, ["a_b", "a-b"])
    assert caught.value.reason == "NameConflict"


def test_a_child_names_its_pipelines_and_its_operation() -> None:
    child = render_child(PARENT, "Train_2", {"name": "Train_2", **JOB})
    metadata = child["metadata"]
    assert metadata["name"] == names.child_name("nightly", UUID, "Train_2")
    assert metadata["namespace"] == "ns"
    assert metadata["labels"] == {
        names.PIPELINE: UUID,
        names.CONTROLLER: UUID,
        names.OP: "train-2",
    }
    (owner,) = metadata["ownerReferences"]
    assert owner["uid"] == PARENT["metadata"]["uid"]
    assert owner["controller"] is True
    assert "blockOwnerDeletion" not in owner
    assert child["spec"] == {"name": "Train_2", **JOB}


def test_the_child_of_a_child_names_both_pipelines() -> None:
    outer = stored(render_child(PARENT, "inner", JOB), uid="0f" * 16)
    inner = stored(render_child(outer, "a", JOB))
    assert inner["metadata"]["labels"][names.PIPELINE] == "0f" * 16
    assert inner["metadata"]["labels"][names.CONTROLLER] == UUID
    assert find_outermost(inner) == UUID
    assert read_depth(inner) == 2


def test_labels_of_a_run_that_no_pipeline_owns_say_nothing() -> None:
    forged = body(labels={names.CONTROLLER: "f" * 32}, annotations={names.DEPTH: "7"})
    assert find_outermost(forged) == UUID
    assert read_depth(forged) == 0


def test_the_ninth_level_is_refused() -> None:
    run: dict[str, Any] = PARENT
    for level in range(MAX_DEPTH):
        run = stored(render_child(run, "a", JOB), uid=f"uid-{level}")
    with pytest.raises(SpecError, match="at most 8 levels deep") as caught:
        render_child(run, "a", JOB)
    assert caught.value.reason == "TooDeep"


@pytest.mark.parametrize("depth", ["", "x", "-1", "100", "٣"])
def test_an_odd_depth_counts_as_the_deepest(depth: str) -> None:
    child = stored(render_child(PARENT, "a", JOB), annotations={names.DEPTH: depth})
    assert read_depth(child) == MAX_DEPTH


def test_a_component_of_the_pipeline_is_in_the_child() -> None:
    component = JOB["component"]
    written = {"name": "a", "dagRef": "t", "params": {"x": 1}}
    assert inline(written, {"t": component}) == {
        "name": "a",
        "params": {"x": 1},
        "component": component,
    }
    assert inline({"name": "a", "hubRef": "t"}, {"t": component}) == {"name": "a", "hubRef": "t"}


def dag(run: dict[str, Any], **own: Any) -> dict[str, Any]:
    operations = [{"name": "a", **JOB}]
    return {"component": {"run": {"kind": "dag", "operations": operations, **run}}, **own}


def test_a_pipeline_hands_down_its_policies_and_its_environment() -> None:
    written = dag(
        {"environment": {"labels": {"a": "b"}}, "connections": ["data"], "concurrency": 2},
        termination={"maxRetries": 2},
        queue="fast",
        tags=["nightly"],
    )
    compiled = compile_operation(parse_operation(written))
    assert hand_down(compiled.merged) == {
        "termination": {"maxRetries": 2},
        "queue": "fast",
        "environment": {"labels": {"a": "b"}},
        "connections": ["data"],
    }


def test_the_own_values_of_a_child_win_over_inherited_ones() -> None:
    own = {
        "name": "a",
        "termination": {"maxRetries": 5},
        "component": {
            "run": {
                "kind": "job",
                "container": {"image": "busybox"},
                "environment": {"labels": {"a": "own"}, "nodeName": "n1"},
            }
        },
    }
    inherited = {
        "termination": {"maxRetries": 1, "timeout": 60},
        "environment": {"labels": {"a": "x", "b": "y"}, "nodeName": "n2"},
        "queue": "fast",
    }
    child = stored(render_child(PARENT, "a", own, inherited), creationTimestamp=None)
    compiled = prepare(child, settings=SETTINGS).compiled
    assert compiled is not None
    assert compiled.termination == {"maxRetries": 5, "timeout": 60}
    assert compiled.queue == "fast"
    assert compiled.run["environment"] == {"labels": {"a": "own", "b": "y"}, "nodeName": "n1"}
    assert "inherited" not in compiled.merged


def test_an_inner_pipeline_hands_down_what_it_inherits() -> None:
    inner = {"name": "inner", **dag({"connections": ["own"]})}
    child = render_child(PARENT, "inner", inner, {"connections": ["data"], "queue": "fast"})
    compiled = compile_operation(parse_operation(child["spec"], is_object=True))
    assert hand_down(compiled.merged) == {"connections": ["data", "own"], "queue": "fast"}


def test_what_this_process_would_create_is_adopted_with_later_edits() -> None:
    asked = render_child(PARENT, "a", {"name": "a", "params": {"x": 1.0}, **JOB})
    found = stored(asked)
    found["spec"] |= {"control": {"stop": True}, "isApproved": True, "termination": {"ttl": 1}}
    assert find_difference(found, asked) is None
    assert is_child(found, PARENT["metadata"]["uid"])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"ownerReferences": []}, "metadata.ownerReferences"),
        (
            {"ownerReferences": [names.owner_reference(body(uid="other"))]},
            "metadata.ownerReferences",
        ),
        ({"labels": {}}, f"metadata.labels.{names.PIPELINE}"),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "metadata.deletionTimestamp"),
    ],
)
def test_a_run_of_the_name_that_the_pipeline_did_not_make_is_not_adopted(
    change: dict[str, Any], where: str
) -> None:
    asked = render_child(PARENT, "a", JOB)
    assert find_difference(stored(asked, **change), asked) == where


def test_an_owner_that_is_not_the_controller_made_nothing() -> None:
    reference = {**names.owner_reference(PARENT), "controller": False}
    asked = render_child(PARENT, "a", JOB)
    found = stored(asked, ownerReferences=[reference])
    assert find_difference(found, asked) == "metadata.ownerReferences"
    assert not is_child(found, PARENT["metadata"]["uid"])


def test_a_run_with_another_program_is_not_adopted() -> None:
    asked = render_child(PARENT, "a", JOB)
    found = stored(asked)
    found["spec"]["component"]["run"]["container"]["image"] = "other"
    assert find_difference(found, asked) == "spec"
