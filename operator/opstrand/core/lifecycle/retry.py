"""Decide whether another attempt follows a failed one, and when.

There are two budgets: `termination.maxRetries` for failures of the user's program, and the
platform's own for evictions, preemptions and lost nodes, so that a busy cluster does not use up the
user's retries. Must not diagnose; it decides on what `diagnosis` observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core.diagnosis.observation import Fault
from opstrand.core.diagnosis.pod_status import all_containers_of, end_of, status_of
from opstrand.core.limits import ATTEMPTS
from opstrand.core.names import COLLECTOR, PLATFORM_RETRIES, container_name
from opstrand.core.planning.plan import Plan
from opstrand.errors import SpecError
from opstrand.text import shorten
from opstrand.types import Body, Pod, RunStatus

#: Seconds at which the doubling stops, as with a Kubernetes Job.
MAX_BACKOFF = 360.0


@dataclass(frozen=True)
class Spent:
    """How many retries each budget has spent so far."""

    failures: int = 0
    disruptions: int = 0

    @classmethod
    def parse(cls, status: RunStatus) -> Spent:
        retries = status.get("retries") or {}
        return cls(int(retries.get("failures", 0)), int(retries.get("disruptions", 0)))

    def as_dict(self) -> dict[str, int]:
        return {"failures": self.failures, "disruptions": self.disruptions}


def read_platform_retries(body: Body, plan: Plan) -> int | None:
    """Return how many disruptions this run tolerates, if it says so.

    The object's annotation wins over the polyaxonfile's. Raises SpecError InvalidSpec.
    """
    for given, path in (
        (body["metadata"].get("annotations"), "metadata.annotations"),
        (plan.environment.get("annotations"), "run.environment.annotations"),
    ):
        text = (given or {}).get(PLATFORM_RETRIES)
        if text is None:
            continue
        if not (
            str(text).isdecimal()
            and str(text).isascii()
            and len(str(text)) <= len(str(ATTEMPTS))
            and int(text) <= ATTEMPTS
        ):
            message = (
                f"expected a whole number from 0 to {ATTEMPTS}, found {shorten(repr(text), 80)}"
            )
            raise SpecError("InvalidSpec", message, f'{path}["{PLATFORM_RETRIES}"]')
        return int(text)
    return None


@dataclass(frozen=True)
class Failure:
    """The input of a podFailurePolicy: exit codes by container, and the Pod's conditions."""

    exit_codes: Mapping[str, int]
    conditions: Mapping[str, str]


def read_failure(pod: Pod) -> Failure:
    """Read from a Pod what the rules of a podFailurePolicy need."""
    ends = {
        str(one.get("name")): end
        for one in all_containers_of(pod)
        if (end := end_of(one)) is not None and one.get("name") != COLLECTOR
    }
    codes = {
        name: int(end["exitCode"]) for name, end in ends.items() if end.get("exitCode") is not None
    }
    conditions = {
        str(one.get("type")): str(one.get("status"))
        for one in status_of(pod).get("conditions") or ()
    }
    return Failure(codes, conditions)


def classify_failure(policy: Mapping[str, Any] | None, failure: Failure) -> str | None:
    """Return the action of `termination.podFailurePolicy` for a failed Pod.

    It is FailJob, Ignore, Count, or None if no rule matches. The first match wins, as with a
    Kubernetes Job.
    """
    for rule in (policy or {}).get("rules") or ():
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if (codes and _matches_codes(codes, failure)) or any(
            _matches_condition(one, failure) for one in conditions
        ):
            return str(rule.get("action"))
    return None


def _matches_codes(wanted: Mapping[str, Any], failure: Failure) -> bool:
    """Match containers (or the named one) whose exit code is in the values (or is not in them).

    Exit code 0 never matches.
    """
    name = container_name(wanted["containerName"]) if wanted.get("containerName") else None
    codes = [
        code
        for container, code in failure.exit_codes.items()
        if code != 0 and name in (None, container)
    ]
    among = [code in (wanted.get("values") or ()) for code in codes]
    return any(among) if wanted.get("operator") == "In" else any(not one for one in among)


def _matches_condition(wanted: Mapping[str, Any], failure: Failure) -> bool:
    return failure.conditions.get(str(wanted.get("type"))) == str(wanted.get("status") or "True")


def spend(
    spent: Spent, fault: Fault, verdict: str | None, *, max_retries: int, max_disruptions: int
) -> Spent | None:
    """Return the budgets after a retry of this failure, by the policy's verdict, else by its fault.

    None if the failure is the end.
    """
    if verdict == "FailJob":
        return None
    if verdict == "Ignore":
        # Ignored failures do not use the user's budget, but they are still bounded.
        return (
            Spent(spent.failures, spent.disruptions + 1)
            if spent.failures + spent.disruptions + 1 < ATTEMPTS
            else None
        )
    counted = Fault.USER if verdict == "Count" else fault
    return next_spent(spent, counted, max_retries=max_retries, max_disruptions=max_disruptions)


def next_spent(
    spent: Spent, fault: Fault, *, max_retries: int, max_disruptions: int
) -> Spent | None:
    """Return the budgets after a retry of this failure; None if its budget is used up."""
    if fault is Fault.PLATFORM:
        return (
            Spent(spent.failures, spent.disruptions + 1)
            if spent.disruptions < max_disruptions
            else None
        )
    return Spent(spent.failures + 1, spent.disruptions) if spent.failures < max_retries else None


def backoff(spent: Spent, fault: Fault, *, first: float) -> float:
    """Return the seconds to wait before the next attempt: `first`, doubled each time.

    A disruption is not the program's fault: its wait begins at one second.
    """
    count = spent.disruptions if fault is Fault.PLATFORM else spent.failures
    start = 1.0 if fault is Fault.PLATFORM else first
    return float(min(start * 2 ** max(count - 1, 0), MAX_BACKOFF))
