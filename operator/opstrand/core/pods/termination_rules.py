"""Validate how a run ends: restarts, retries, limits of time, and the failure policy of its Pod.

Must not change the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opstrand.core.planning.plan import Plan
from opstrand.core.pods.environment_rules import check_object
from opstrand.errors import Problem
from opstrand.spec.problems import describe

_ACTIONS = ("FailJob", "Ignore", "Count")
#: The largest number of seconds or retries that Kubernetes can store.
_MOST = 2**31 - 1
_RESTARTS = ("Never", "OnFailure", "ExitCode")


def validate_restarts(plan: Plan) -> Iterator[Problem]:
    restart = plan.environment.get("restartPolicy")
    if restart is not None and restart not in _RESTARTS:
        message = (
            f"a {plan.kind} ends: expected Never or OnFailure (with termination.maxRetries), found "
            f"{describe(restart)}"
        )
        yield Problem("InvalidSpec", message, "run.environment.restartPolicy")


def validate_limits(plan: Plan) -> Iterator[Problem]:
    for key in ("maxRetries", "timeout", "ttl"):
        value = plan.termination.get(key)
        if value is not None and not _is_count(value):
            message = f"expected a whole number from 0 to {_MOST}, found {describe(value)}"
            yield Problem("InvalidSpec", message, f"termination.{key}")


def _is_count(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    if isinstance(value, str):
        return (
            value.isdecimal()
            and value.isascii()
            and len(value) <= len(str(_MOST))
            and int(value) <= _MOST
        )
    return 0 <= value <= _MOST and value == int(value)


def validate_failure_policy(plan: Plan) -> Iterator[Problem]:
    path = "termination.podFailurePolicy"
    policy = plan.termination.get("podFailurePolicy")
    if policy is None:
        return
    shapes = list(check_object("PodFailurePolicy", policy, path))
    yield from shapes
    for index, rule in enumerate(() if shapes else policy["rules"]):
        if rule["action"] not in _ACTIONS:
            yield Problem(
                "InvalidSpec",
                f"expected one of {', '.join(_ACTIONS)}, found {describe(rule['action'])}",
                f"{path}.rules[{index}].action",
            )
        codes = rule.get("onExitCodes")
        if (codes is None) == (rule.get("onPodConditions") is None):
            yield Problem(
                "InvalidSpec",
                "a rule has either onExitCodes or onPodConditions",
                f"{path}.rules[{index}]",
            )
        if codes is not None and codes["operator"] not in ("In", "NotIn"):
            where = f"{path}.rules[{index}].onExitCodes.operator"
            yield Problem(
                "InvalidSpec", f"expected In or NotIn, found {describe(codes['operator'])}", where
            )
