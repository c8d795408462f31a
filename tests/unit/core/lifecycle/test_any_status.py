"""Any status can be read: a user with the rights may write whatever the schema allows, and older
objects may have more.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import answer
from tests.support.examples import examples

from opstrand.api.published.views import run_view, statuses_view
from opstrand.cli.output.describe import describe_run, explain_values
from opstrand.cli.output.format import runs_table
from opstrand.controller.cache import Cache
from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.actions import Claim, Create
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.lifecycle.status import patch_ops
from opstrand.core.names import attempt_pod
from opstrand.core.recorded import read_own_status, read_status
from opstrand.core.resolving.query_fields import read_field
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.runs.pod_logs import attempt_pod as pod_of_log
from opstrand.runs.status_edits import Edit, MapEdit, TagsEdit
from opstrand.runs.status_edits import patch_ops as edit_ops
from opstrand.settings import Settings
from opstrand.spec.crd.status import PHASES, status_schema
from opstrand.types import (
    Condition,
    HistoryStep,
    RecordedArtifact,
    RecordedPod,
    Retries,
    RunStatus,
    Termination,
    UpstreamEdge,
)

SETTINGS = Settings()
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}
COMPONENT = {
    "inputs": [{"name": "lr", "type": "float", "value": 1}],
    "outputs": [{"name": "acc", "type": "float"}],
    "run": RUN,
}
ODD_TEXTS = st.sampled_from(
    [
        "",
        "x",
        "../../x",
        "a/b",
        "..",
        "run-d1410a91-0",
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2026-01-01",
    ]
)
ODD_KEYS = ODD_TEXTS | st.sampled_from(["name", "at", "type", "pods"])
OPEN_KEYS = st.sampled_from(
    ["lr", "acc", "maxRetries", "timeout", "ttl", "rules", "culling", "probe", "run"]
)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([10**30, 1e300, -0.5])
    | ODD_TEXTS
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ODD_KEYS, inner, max_size=3),
    max_leaves=6,
)
KNOWN = {
    "phase": PHASES,
    "kind": ["job", "service"],
    "status": ["True", "running"],
    "type": ["RefsResolved", "Running", "Finished"],
}
TIMES = ("startedAt", "finishedAt", "at", "lastTransitionTime")


def from_schema(schema: Mapping[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Return values of the schema, with parts missing and others of another shape."""
    sound: st.SearchStrategy[Any]
    match schema.get("type"):
        case "object" if schema.get("properties"):
            parts = {key: from_schema(value, key) for key, value in schema["properties"].items()}
            sound = st.fixed_dictionaries({}, optional=parts)
        case "object":
            sound = st.dictionaries(OPEN_KEYS, ODD, max_size=3)
        case "array":
            sound = st.lists(from_schema(schema["items"]), max_size=3)
        case "integer" | "number":
            sound = st.integers(0, 3)
        case "boolean":
            sound = st.booleans()
        case "string" if name in TIMES:
            sound = st.sampled_from(["2026-01-01T11:00:00Z", "2026-01-01T13:00:00.5+02:00"])
        case "string":
            sound = st.sampled_from(
                KNOWN.get(name, ["run-d1410a91-0", "PodCreated", "Stopping", "DeploymentLost", "x"])
            )
        case _:
            sound = ODD
    return st.one_of(sound, sound, sound, sound, ODD)


STATUSES = from_schema(status_schema())
STATE = {"startedAt": "2026-01-01T11:59:40Z"}
PODS_SEEN: list[dict[str, Any]] = [
    {"phase": "Pending"},
    {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": STATE}}]},
    {
        "phase": "Failed",
        "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1, **STATE}}}],
    },
    {
        "phase": "Succeeded",
        "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0, **STATE}}}],
    },
]


def body(status: Any, kind: str = "job") -> dict[str, Any]:
    metadata = {
        "name": "run",
        "namespace": "ns",
        "uid": "d1410a91-4d18-4575-89b9-1926d8c23db4",
        "generation": 1,
        "resourceVersion": "1",
    }
    component = {**COMPONENT, "run": {**RUN, "kind": kind}}
    made = {
        "metadata": {**metadata, "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"component": component},
        "status": status,
    }
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def see(operation: dict[str, Any], **fields: Any) -> Snapshot:
    prepared: Prepared | SpecError
    try:
        prepared = prepare(operation, settings=SETTINGS)
    except SpecError as error:
        prepared = error
    now = fields.pop("now", NOW)
    return answer(Snapshot(operation, prepared, now, SETTINGS, refuse), **fields)


def pod(status: dict[str, Any]) -> dict[str, Any]:
    owner = {
        "kind": "Operation",
        "apiVersion": "opstrand.dev/v1",
        "name": "run",
        "uid": "d1410a91-4d18-4575-89b9-1926d8c23db4",
    }
    metadata = {
        "name": "run-d1410a91-0",
        "namespace": "ns",
        "uid": "pod",
        "creationTimestamp": "2026-01-01T11:59:30Z",
    }
    return {
        "metadata": {**metadata, "ownerReferences": [owner]},
        "spec": {"nodeName": "n"},
        "status": status,
    }


@settings(max_examples=examples(300))
@given(
    STATUSES,
    st.sampled_from(["job", "service"]),
    st.sampled_from([None, *PODS_SEEN]),
    st.booleans(),
)
def test_a_decision_follows_from_any_status_and_heals_it(
    status: Any, kind: str, seen: Any, is_lost: bool
) -> None:
    operation = body(status, kind)
    before = copy.deepcopy(operation)
    snapshot = see(operation, pod_is_lost=is_lost and seen is None)
    if seen is not None:
        snapshot = see(operation, replicas=[pod(seen)], pod=pod(seen))
    decision = decide(snapshot)
    assert operation == before
    if decision.status is None:
        return
    after = jsonpatch.apply_patch(operation, patch_ops(operation.get("status"), decision.status))
    assert read_status(after) == after["status"], "what is written is sound"
    assert (after["status"].get("pod") or {}).get("name", "run") != "../../x"


@settings(max_examples=examples(300))
@given(STATUSES, st.sampled_from(["job", "service"]))
def test_every_reader_reads_any_status(status: Any, kind: str) -> None:
    operation = body(status, kind)
    read_upstream(operation, SETTINGS)
    view = run_view(operation, "default")
    json.dumps([view, statuses_view(operation)])
    for field in (
        "inputs.lr",
        "artifacts.name",
        "upstream",
        "tags",
        "meta.x",
        "duration",
        "status",
    ):
        read_field(
            read_status(operation)
            if field.partition(".")[0] in ("artifacts", "upstream")
            else view,
            field,
        )
    edit = Edit(
        maps={"reportedInputs": MapEdit({"a/b": 1}), "meta": MapEdit({"progress": 1})},
        tags=TagsEdit(("t",)),
        artifacts={"m": {"name": "m"}},
        condition={"type": "ReportKept", "status": "False"},
    )
    stored = jsonpatch.apply_patch(
        operation,
        [op for op in edit_ops(edit, operation) if op["path"] != "/metadata/resourceVersion"],
    )
    assert stored["status"]["reportedInputs"]["a/b"] == 1
    assert isinstance(stored["status"]["tags"], list)
    for name in (attempt_pod(read_status(operation), 1), pod_of_log(operation, 0)):
        assert "/" not in name
    describe_run(operation, [operation])
    runs_table([operation], wide=True)
    explain_values({**operation, "status": {**read_status(operation), "component": COMPONENT}})
    cache = Cache()
    cache.put(OPERATIONS, operation)
    assert cache.operation(("ns", "run")) is not None


@pytest.mark.parametrize("name", ["../../x", "", "..", "x", "other-0", None, 5, {"a": 1}])
def test_the_name_of_a_pod_is_the_runs_own_whatever_its_status_says(name: Any) -> None:
    frozen = decide(see(body({}))).status
    assert frozen is not None
    operation = body({**frozen, "phase": "Running", "pod": {"name": name}})
    assert (
        read_own_status(operation).get("pod", {}).get("name", "run-d1410a91-0") == "run-d1410a91-0"
    )
    decision = decide(see(operation, pod_is_lost=False))
    assert any(isinstance(action, Create | Claim) for action in decision.actions)


@pytest.mark.parametrize(
    ("kind", "written"), [("job", "service"), ("service", "job"), ("service", "dag")]
)
def test_a_kind_that_was_edited_is_the_files_again(kind: str, written: str) -> None:
    """Otherwise what was frozen for the other kind would be frozen again at each look, and the run
    would never end.
    """
    frozen = decide(see(body({}, kind))).status
    assert frozen is not None
    kept = {key: value for key, value in frozen.items() if key not in ("service", "pod")}
    operation = body({**kept, "kind": written, "phase": "Running"}, kind)
    decision = decide(see(operation))
    assert decision.status is not None
    assert (decision.status["kind"], decision.status.get("service")) == (
        kind,
        frozen.get("service"),
    )
    assert decision.status["pod"] == frozen["pod"]
    assert not decide(see(body(decision.status, kind))).freeze


@pytest.mark.parametrize(
    "service",
    [
        {"name": "x"},
        {},
        "x",
        None,
        {"name": "run-d1410a91", "host": "h", "ports": ["a"], "baseUrl": "/"},
    ],
)
@pytest.mark.parametrize("kind", ["job", "service"])
def test_a_service_without_its_parts_is_made_whole_again(kind: str, service: Any) -> None:
    frozen = decide(see(body({}, kind))).status
    assert frozen is not None
    decision = decide(see(body({**frozen, "service": service}, kind)))
    assert decision.status is None or decision.status["phase"] == "Starting"
    if kind == "service":
        assert decision.status is not None
        assert decision.status["service"] == frozen["service"]
        assert decision.status["inputs"] == frozen["inputs"]


@pytest.mark.parametrize("kept", [[], ["history"], ["conditions"]])
def test_a_run_that_succeeded_at_no_time_lets_its_pod_go(kept: list[str]) -> None:
    history = [{"status": "succeeded", "at": "2026-01-01T11:30:00Z"}]
    status = {
        "phase": "Succeeded",
        "pod": {"name": "run-d1410a91-0", "uid": "pod"},
        **{key: history for key in kept if key == "history"},
    }
    seen = see(body(status), pod=pod(PODS_SEEN[-1]))
    assert (decide(seen).requeue_after or 0) > 0
    later = see(body(status), pod=pod(PODS_SEEN[-1]), now=NOW + timedelta(days=2))
    assert decide(later).actions


@pytest.mark.parametrize(
    "name", ["../../x", "a/../b", "..", ".", "a?b", "a#b", "%2e%2e", "a b", "\ud800", "a\nb"]
)
def test_a_name_stays_one_part_of_a_path(name: str) -> None:
    from yarl import URL

    url = URL("http://server" + PODS.path("ns", name, "log"))
    assert url.raw_path.startswith("/api/v1/namespaces/ns/pods/")
    assert len(url.raw_path.split("/")) == len(
        ["", "api", "v1", "namespaces", "ns", "pods", "x", "log"]
    )
    assert (url.query_string, url.fragment) == ("", "")
    assert URL("http://server" + PODS.path(name, "x")).raw_path.endswith("/pods/x")


#: Neither a text, a time, a count, a flag, a mapping nor a limit, and as a list its item is none.
WRONG = [1]
#: Keys of the status that are mappings or lists of mappings: their shape, and what an item needs.
PARTS: list[tuple[str, Any, dict[str, Any] | None]] = [
    ("pod", RecordedPod, None),
    ("retries", Retries, None),
    ("termination", Termination, None),
    ("artifacts", RecordedArtifact, {"name": "a"}),
    ("upstream", UpstreamEdge, {"uuid": "u"}),
    ("history", HistoryStep, {"status": "created"}),
    ("conditions", Condition, {"type": "Ready", "status": "True"}),
]
UNCHECKED = {"name", "archived", "summary", "observedGeneration"}


def test_a_value_of_another_type_than_the_shape_names_is_not_read() -> None:
    assert status_schema()["properties"].keys() <= RunStatus.__annotations__.keys()
    wrong = dict.fromkeys(RunStatus.__annotations__, WRONG)
    left = {key: value for key, value in read_status({"status": wrong}).items() if value}
    assert left == {"name": WRONG, "archived": WRONG}


@pytest.mark.parametrize(("key", "shape", "needed"), PARTS, ids=[part[0] for part in PARTS])
def test_a_part_keeps_only_what_its_shape_allows(key: str, shape: Any, needed: Any) -> None:
    wrong = {**dict.fromkeys(shape.__annotations__.keys() - UNCHECKED, WRONG), **(needed or {})}
    status: dict[str, Any] = {key: wrong if needed is None else [wrong]}
    assert read_status({"status": status}) == {key: {} if needed is None else [needed]}
