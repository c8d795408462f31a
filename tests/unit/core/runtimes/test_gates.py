"""What keeps a run from starting, in which order, whatever its kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import NOW, SETTINGS, body, phase, see

from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import NOTHING
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.stored import Unanswered
from opstrand.core.runtimes.gates import find_gate, is_decided_unread
from opstrand.errors import SpecError

BROKEN = {"component": {"run": {"kind": "job", "container": {"imagge": "x"}}}}
HUB = {"component": None, "hubRef": "echo"}
DELETED = {"deletionTimestamp": "2026-01-01T11:59:59Z"}
BACKUP = {"labels": {"velero.io/restore-name": "monday"}}


@pytest.mark.parametrize(
    ("spec", "metadata", "expected"),
    [
        ({**BROKEN, "control": {"stop": True}}, {}, ("Stopped", "Stopped")),
        ({**BROKEN, "control": {"skip": True}}, {}, ("Skipped", "Skipped")),
        ({"control": {"stop": True, "skip": True}}, {}, ("Stopped", "Stopped")),
        (BROKEN, DELETED, ("Stopped", "Stopped")),
        (BROKEN, BACKUP, ("Stopped", "Restored")),
        ({"isApproved": False, "control": {"stop": True}}, {}, ("Stopped", "Stopped")),
    ],
)
def test_an_order_to_end_comes_before_the_file_is_read(
    spec: dict[str, Any], metadata: dict[str, Any], expected: tuple[str, str]
) -> None:
    snapshot = see(body(spec, **metadata))
    assert is_decided_unread(snapshot)
    assert phase(decide(snapshot)) == expected


def test_a_missing_component_comes_before_an_approval() -> None:
    snapshot = see(body({**HUB, "isApproved": False}))
    assert not is_decided_unread(snapshot)
    assert phase(decide(snapshot)) == ("Waiting", "ComponentNotFound")


def test_an_approval_comes_before_a_ref_that_is_missing() -> None:
    spec = {"isApproved": False, "params": {"x": {"ref": "ops.none", "value": "outputs.x"}}}
    assert phase(decide(see(body(spec)))) == ("Waiting", "AwaitingApproval")


def test_a_file_that_cannot_be_read_is_an_error_and_no_wait() -> None:
    with pytest.raises(SpecError, match="imagge"):
        find_gate(see(body(BROKEN)))
    assert phase(decide(see(body(BROKEN))))[0] == "Failed"


def test_a_run_that_may_start_passes_every_gate() -> None:
    assert find_gate(see(body())) is None


REF = {"params": {"x": {"ref": f"runs.{'b' * 32}", "value": "outputs.x", "contextOnly": True}}}


def test_patience_does_not_run_while_the_store_does_not_answer() -> None:
    away = {Ref("runs", "b" * 32): Unanswered("the API does not answer")}
    first = decide(see(body(REF), upstream=away))
    assert (phase(first), first.requeue_after) == (("Waiting", "StoreUnavailable"), None)
    assert first.status is not None
    waiting = body(REF, status=dict(first.status))
    later = NOW + timedelta(days=9)
    assert decide(see(waiting, upstream=away, now=later)).status == first.status
    missing = decide(see(waiting, upstream=dict.fromkeys(away), now=later))
    assert phase(missing) == ("Waiting", "UpstreamNotFound")
    assert missing.requeue_after == SETTINGS.upstream_patience


def test_nothing_is_written_for_the_moment_in_which_the_store_answers() -> None:
    asked = {Ref("runs", "b" * 32): Unanswered()}
    assert decide(see(body(REF), upstream=asked)) == NOTHING
