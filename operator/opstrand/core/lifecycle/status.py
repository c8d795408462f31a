"""The status of a run as data: how it advances, and the JSON Patch from one status to the next.

Owns the shape of `.status` and who owns which key of it. Must not decide when it advances;
`runtimes` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.lifecycle import conditions
from opstrand.core.limits import HISTORY, MESSAGE
from opstrand.core.phase import Phase, parse_phase
from opstrand.text import shorten
from opstrand.types import RunStatus

Status = dict[str, Any]

#: Kinds of runs that are as they should be while they run.
_LASTING = ("service", "schedule")


def advance(
    status: RunStatus,
    phase: Phase,
    *,
    reason: str,
    message: str = "",
    now: str,
    generation: int,
    created_at: str | None = None,
    renew: bool = False,
    **facts: Any,
) -> Status:
    """Return the status in this phase, with its history and conditions.

    `facts` are further keys; `status` is not changed. The same phase and reason again add nothing:
    a repeated observation must be equal, so that it costs no write. With `renew`, another message
    counts as new.
    """
    # Replace changed parts, never change them in place: they may be shared.
    after: Status = dict(status)
    before = parse_phase(after)
    repeated = "phase" in after and before is phase and after.get("reason") == reason
    repeated = repeated and not (renew and after.get("message") != shorten(message, MESSAGE))
    if repeated:
        message = after.get("message", "")
    after.update(facts)
    after.update(
        phase=phase.value,
        reason=reason,
        message=shorten(message, MESSAGE),
        observedGeneration=generation,
    )
    if not repeated:
        _append_history(after, phase, reason, message, now=now, created_at=created_at)
    known = after.get("conditions") or ()
    lasts = after.get("kind") in _LASTING
    for kind, value in [*_conditions_of(phase, known), *_kstatus_of(phase, lasts=lasts)]:
        after["conditions"] = conditions.set_condition(
            after.get("conditions") or [],
            kind,
            value,
            reason=reason or phase.value,
            message=message,
            now=now,
        )
    return after


def _append_history(
    status: Status, phase: Phase, reason: str, message: str, *, now: str, created_at: str | None
) -> None:
    history = list(status.get("history") or ())
    if not history and created_at:
        history.append({"status": Phase.CREATED.published, "reason": "Created", "at": created_at})
    entry = {"status": phase.published, "reason": reason or phase.value, "at": now}
    if message:
        entry["message"] = shorten(message, 256)
    history.append(entry)
    # Keep the first entry and the latest ones: the start of the history, and how it ended.
    status["history"] = (
        history if len(history) <= HISTORY else [history[0], *history[len(history) - HISTORY + 1 :]]
    )


def _conditions_of(phase: Phase, known: Any) -> list[tuple[str, bool | None]]:
    """Return the conditions that this phase sets, in the order in which they are shown."""
    resolved = conditions.get_condition(known, conditions.REFS_RESOLVED)
    frozen = bool(resolved and resolved["status"] == "True")
    ran = conditions.get_condition(known, conditions.RUNNING) is not None
    if phase is Phase.WAITING:
        return [(conditions.ACCEPTED, True), (conditions.REFS_RESOLVED, frozen)]
    if phase.is_final:
        rejected = [] if frozen or phase is not Phase.FAILED else [(conditions.ACCEPTED, False)]
        stopped = [(conditions.RUNNING, False)] if ran else []
        return [
            *rejected,
            *stopped,
            (conditions.SUCCEEDED, phase is Phase.SUCCEEDED),
            (conditions.FINISHED, True),
        ]
    if phase in (Phase.STARTING, Phase.QUEUED):
        return [(conditions.ACCEPTED, True), (conditions.REFS_RESOLVED, True)]
    # A run without a Pod starts to run with its freeze.
    accepted = [] if frozen else [(conditions.ACCEPTED, True), (conditions.REFS_RESOLVED, True)]
    running: tuple[str, bool | None] = (conditions.RUNNING, phase is Phase.RUNNING)
    if phase is Phase.RESUMING:
        again = [(conditions.SUCCEEDED, None), (conditions.FINISHED, False)]
        return [*([running] if ran else []), *again, (conditions.RESUMED, True)]
    return [*accepted, running] if phase is Phase.RUNNING else [running]


def _kstatus_of(phase: Phase, *, lasts: bool) -> list[tuple[str, bool]]:
    """Return what tools read that know no operations."""
    is_ready = phase in (Phase.SUCCEEDED, Phase.SKIPPED) or (lasts and phase is Phase.RUNNING)
    is_stalled = phase.is_final and not is_ready
    if phase is Phase.RESUMING:
        return [(conditions.READY, False), (conditions.STALLED, False)]
    return [(conditions.READY, is_ready), *([(conditions.STALLED, True)] if is_stalled else [])]


def patch_ops(before: object, after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON Patch from one status, of any type, to the other; empty if they are equal.

    A merge patch would drop every null, and null is a value.
    """
    if not isinstance(before, Mapping):
        ops = [{"op": "add", "path": "/status", "value": dict(after)}]
    else:
        ops = [
            {
                "op": "replace" if key in before else "add",
                "path": f"/status/{_escape(key)}",
                "value": value,
            }
            for key, value in after.items()
            if key not in before or not _same(before[key], value)
        ]
        ops += [
            {"op": "remove", "path": f"/status/{_escape(key)}"}
            for key in before
            if key not in after
        ]
    return ops


def _escape(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal as JSON: Python treats True and 1 as equal."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
