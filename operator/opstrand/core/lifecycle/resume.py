"""The numbers by which a final run is asked to run again, and which of them are new.

`spec.control.resume` is the user's number, `spec.control.round` that of the pipeline which made the
run. Each only grows; the status keeps the last one that was acted on. Owns how they are read, and
the order to resume that every client writes. Must not decide what a resumed run does: `runtimes`
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.rounds import ENDINGS, without_endings
from opstrand.core.recorded import read_status
from opstrand.types import Body

#: Keys of `spec.control`, and of the status with the last number that was acted on.
ORDERS = ("resume", "round")
#: The largest number; the schema has the same.
MOST = 2**31 - 1


def find_new(body: Body, status: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers that were not acted on, by their key."""
    control = _read_control(body)
    asked = ((key, control.get(key)) for key in ORDERS)
    return {
        key: number
        for key, number in asked
        if type(number) is int and int(status.get(key) or 0) < number <= MOST
    }


def find_orders(body: Body, status: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers by which a final run is to run again, by their key.

    Each end absorbs the numbers that it sees. One that did not was written before numbers counted:
    then a number had no effect, and has none now.
    """
    generation, observed = body["metadata"].get("generation"), status.get("observedGeneration")
    is_known = generation is not None and observed is not None and generation <= observed
    return {} if is_known and "resume" not in status else find_new(body, status)


def find_standing_order(body: Body) -> str:
    """Return the order that would end a resumed run at once, such as `stop`; empty if none does."""
    control = _read_control(body)
    return next((key for key in ENDINGS if control.get(key)), "")


def make_control(body: Body) -> dict[str, Any]:
    """Return the `spec.control` that resumes a final run: the next number, without a stop.

    A number that was not acted on stays: the same order twice resumes once.
    """
    control, status = _read_control(body), read_status(body)
    kept = without_endings(control)
    if "resume" in find_orders(body, status):
        return kept
    known = (control.get("resume"), status.get("resume"))
    return {**kept, "resume": max(n for n in (0, *known) if type(n) is int) + 1}


def describe_obstacle(body: Body) -> str:
    """Return why a run cannot be resumed now, and what to do; empty if it can be."""
    status = read_status(body)
    phase, name = parse_phase(status), body["metadata"]["name"]
    if not phase.is_final:
        return (
            f"'{name}' has not ended ({phase.value}): only a run that is over can be resumed; "
            "wait for its end, or stop it first"
        )
    if status.get("kind") == "schedule":
        return f"'{name}' is a schedule that has ended: restart it"
    return ""


def _read_control(body: Body) -> Mapping[str, Any]:
    control = (body.get("spec") or {}).get("control")
    return control if isinstance(control, Mapping) else {}
