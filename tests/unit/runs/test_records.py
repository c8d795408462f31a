"""A row of the store is the whole run; one that was deleted before its end is recorded as
stopped.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.stores import final_body

from opstrand.core.packed import LARGE, is_large, pack
from opstrand.runs.records import make_row, read_body

AT = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize("size", [1, 2 * LARGE])
def test_the_whole_body_is_kept_however_large(size: int) -> None:
    body = final_body(1, outputs={"text": "x" * size, "nan": None})
    packed = pack(body)
    assert is_large(packed) is (size > LARGE)
    row = make_row(packed)
    assert read_body(row) == body
    assert row.status == "succeeded"


@pytest.mark.parametrize("phase", ["Running", "Waiting", "Starting", "Stopping"])
def test_a_run_that_is_deleted_before_its_end_is_stopped(phase: str) -> None:
    body = final_body(1, phase=phase, startedAt="2025-12-31T23:59:00Z", outputs={"a": 1})
    row = make_row(body, deleted_at=AT)
    status = read_body(row)["status"]
    assert (row.status, status["phase"], status["reason"]) == ("stopped", "Stopped", "Deleted")
    assert (status["duration"], status["finishedAt"]) == (60, "2026-01-01T00:00:00Z")
    assert status["history"][-1]["status"] == "stopped"
    assert status["outputs"] == {"a": 1}
    assert body["status"]["phase"] == phase


def test_a_run_without_a_status_is_kept_too() -> None:
    body = {**final_body(1), "status": None}
    row = make_row(body, deleted_at=AT)
    assert (row.status, row.kind) == ("stopped", "job")
    assert read_body(row)["status"]["uuid"] == row.uuid


def test_a_run_that_was_over_is_not_changed_by_its_deletion() -> None:
    body = final_body(1, phase="Failed")
    assert read_body(make_row(body, deleted_at=AT)) == body


@pytest.mark.parametrize(
    "status",
    [
        {"startedAt": 5, "finishedAt": "no time", "duration": "long", "upstream": [{"uuid": 3}]},
        {"outputs": {"a": 10**300, "b\0": "c\0", "\ud800": "\ud800"}, "tags": [None, 1, ["x"]]},
        {"outputs": [], "inputs": "text", "meta": 3},
    ],
)
def test_no_odd_status_keeps_a_run_from_being_stored(status: dict[str, Any]) -> None:
    body = final_body(1, **status)
    row = make_row(json.loads(json.dumps(body)), deleted_at=AT)
    assert read_body(row)["metadata"] == body["metadata"]
    texts = [one.field + (one.text or "") for one in row.values]
    assert all("\0" not in one and one.encode() for one in texts)
