"""Runs that wait for each other are found, and no other runs are."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.resolving.cycles import check_circle
from opstrand.core.resolving.refs import Ref
from opstrand.errors import SpecError

UIDS = {name: f"{index:08x}-0000-4000-8000-000000000000" for index, name in enumerate("abcdef")}


def run(name: str, asked: dict[str, str], **status: Any) -> dict[str, Any]:
    """Return a run whose params refer to these: {"ops.b": "outputs.x"}."""
    params = {
        f"p{index}": {"ref": ref, "value": value}
        for index, (ref, value) in enumerate(asked.items())
    }
    return {
        "metadata": {"name": name, "uid": UIDS[name], "namespace": "n"},
        "spec": {"params": params},
        "status": status,
    }


def check(*runs: dict[str, Any]) -> None:
    """Check the first of these runs of one project."""

    def find(ref: Ref, body: Any) -> dict[str, Any] | None:
        wanted = (
            (lambda one: one["metadata"]["name"])
            if ref.kind == "ops"
            else (lambda one: one["metadata"]["uid"].replace("-", ""))
        )
        return next((one for one in runs if wanted(one) == ref.target), None)

    check_circle(runs[0], find)


FROZEN = {"pod": {"name": "b-0"}}


def test_two_runs_that_wait_for_each_other_are_refused_by_name() -> None:
    a, b = (
        run("a", {"ops.f": "outputs.y", "ops.b": "outputs.x"}),
        run("b", {f"runs.{UIDS['a'].upper()}": "inputs"}),
    )
    with pytest.raises(SpecError) as caught:
        check(a, b)
    assert caught.value.reason == "RefToItself"
    assert caught.value.message == "params.p1.ref: these runs wait for each other: a -> b -> a"


def test_a_long_way_round_is_found_once() -> None:
    runs = [
        run(name, {f"ops.{other}": "io", "ops.f": "io"})
        for name, other in zip("abcde", "bcdea", strict=True)
    ]
    with pytest.raises(SpecError, match="a -> b -> c -> d -> e -> a"):
        check(*runs)


@pytest.mark.parametrize(
    "runs",
    [
        [run("a", {"ops.b": "globals.uuid"}), run("b", {"ops.a": "outputs.x"})],
        [run("a", {"ops.b": "outputs.x"}), run("b", {"ops.a": "globals.name"})],
        [run("a", {"ops.b": "outputs.x"}), run("b", {"ops.a": "outputs.x"}, **FROZEN)],
        [run("a", {"ops.b": "outputs.x"}), run("b", {"ops.a": "outputs.x"}, phase="Failed")],
        [run("a", {"ops.b": "outputs.x"}), run("b", {"ops.a": "nonsense"})],
        [run("a", {"ops.b": "outputs.x"}), run("b", {"ops.c": "io"}), run("c", {"ops.b": "io"})],
        [
            run("a", {"ops.b": "io", "ops.c": "io"}),
            run("b", {"ops.d": "io"}),
            run("c", {"ops.d": "io"}),
            run("d", {}),
        ],
    ],
    ids=[
        "early",
        "early there",
        "started",
        "ended",
        "wrong by itself",
        "a circle elsewhere",
        "a diamond",
    ],
)
def test_what_goes_on_by_itself_is_no_circle(runs: list[dict[str, Any]]) -> None:
    check(*runs)
