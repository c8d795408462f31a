"""A waiting run names what a missing name may mean, and writes that once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.builders import body, see

from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import parse_stamp
from opstrand.core.resolving.refs import Ref

TRIAN = Ref("ops", "trian")
NEAR = {"ops.trian": "ops.train"}
ASKING = body({"params": {"x": {"ref": "ops.trian", "value": "outputs.x"}}})


def asking(status: dict[str, Any] | None = None, **fields: Any) -> Any:
    return decide(see({**ASKING, "status": status or {}}, upstream={TRIAN: None}, **fields))


def test_a_missing_run_is_reported_with_the_name_that_may_be_meant() -> None:
    status = asking(near=NEAR).status
    assert status["reason"] == "UpstreamNotFound"
    assert status["message"].endswith("there is no run 'ops.trian' here; did you mean 'ops.train'?")


def test_nothing_is_guessed_without_a_similar_name() -> None:
    assert "did you mean" not in asking().status["message"]


def test_a_missing_component_is_reported_with_the_name_that_may_be_meant() -> None:
    operation = body({"hubRef": "tinyy"})
    operation["spec"].pop("component", None)
    status: Any = decide(see(operation, near={"tinyy": "tiny"})).status
    assert status["reason"] == "ComponentNotFound"
    assert status["message"].endswith("; did you mean 'tiny'?")


def test_the_suggestion_of_a_wait_is_written_once() -> None:
    """The next look finds another similar name, or none: neither costs a write."""
    first = asking(near=NEAR).status
    for later in ({}, {"ops.trian": "ops.trial"}):
        assert asking(first, near=later).status["message"] == first["message"]
    plain = asking().status
    assert asking(plain, near=NEAR).status["message"] == plain["message"]


def test_a_wait_that_is_given_up_keeps_its_suggestion() -> None:
    first = asking(near=NEAR).status
    late = parse_stamp(first["history"][-1]["at"]) + timedelta(days=1)
    ended = asking(first, now=late).status
    assert ended["phase"] == "Failed"
    assert ended["message"].endswith("s; did you mean 'ops.train'?")
