"""One letter for each child, read from its body and kept in the status of its pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import body

from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import Child, Children, read_child, read_children, read_failure

LETTERS = {
    "Created": "w",
    "Waiting": "w",
    "Queued": "w",
    "Starting": "r",
    "Running": "r",
    "Retrying": "r",
    "Resuming": "w",
    "Processing": "r",
    "Stopping": "r",
    "Succeeded": "s",
    "Failed": "f",
    "Stopped": "x",
    "Skipped": "k",
    "UpstreamFailed": "u",
}


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_letter(phase: Phase) -> None:
    assert read_child(body(status={"phase": phase.value})).letter == LETTERS[phase.value]


def test_a_child_without_a_status_waits() -> None:
    assert read_child(body()) == Child("w")


def test_the_end_of_a_child_and_that_it_runs_are_read() -> None:
    end = {"phase": "Succeeded", "finishedAt": "2026-01-01T00:00:00.000000Z"}
    assert read_child(body(status=end)).finished_at == end["finishedAt"]
    assert read_child(body(status={"phase": "Running"})) == Child("r", is_running=True)


def test_a_result_that_was_reused_has_a_letter_of_its_own() -> None:
    assert read_child(body(status={"phase": "Succeeded", "reason": "CacheHit"})).letter == "c"


def test_what_is_stored_is_read_again() -> None:
    children = Children("ss.rfukxcw").with_failures([{"op": "e", "reason": "R", "message": "m"}])
    stored = children.as_dict()
    assert stored == {
        "total": 10,
        "summary": "7/10",
        "states": "ss.rfukxcw",
        "succeeded": 3,
        "failed": 1,
        "running": 1,
        "failures": [{"op": "e", "reason": "R", "message": "m"}],
    }
    assert read_children({"children": stored}, 10) == children
    assert children.alive == 2
    assert not children.is_done
    assert Children("sfxkuc").is_done


@pytest.mark.parametrize(
    "stored",
    [None, 3, {}, {"states": "ss"}, {"states": "ss?"}, {"states": 5}, {"states": ["s", "s", "s"]}],
)
def test_letters_that_do_not_fit_count_as_not_created(stored: Any) -> None:
    assert read_children({"children": stored}, 3) == Children("...")


@pytest.mark.parametrize("failures", [3, [3], [{"op": 7}], {"op": "a"}])
def test_odd_failures_do_not_break_the_letters(failures: Any) -> None:
    stored = {"states": "sf", "failures": failures}
    assert read_children({"children": stored}, 2).states == "sf"


def test_the_first_ten_failures_are_kept_once_each() -> None:
    found = [read_failure(f"op{n}", body(status={"message": "x" * 9999})) for n in range(20)]
    children = Children("f" * 20).with_failures(found[:5]).with_failures(found)
    assert [one["op"] for one in children.failures] == [f"op{n}" for n in range(10)]
    assert all(len(one["message"]) <= 256 for one in children.failures)


def test_other_letters_leave_the_rest() -> None:
    assert Children("....").with_letters({1: "s", 3: "r"}).states == ".s.r"
