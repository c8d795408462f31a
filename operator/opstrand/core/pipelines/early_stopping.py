"""Decide whether a pipeline or a matrix stops early: by a metric, or by its failures.

A metric that is good enough is a success, too many failures are a failure (the documents). Owns
the meaning of `earlyStopping`. Must not stop anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core.phase import Phase
from opstrand.errors import Problem


@dataclass(frozen=True)
class MetricPolicy:
    """A value of an output that is good enough."""

    metric: str
    value: float
    minimize: bool
    path: str

    def is_met(self, value: float) -> bool:
        return value <= self.value if self.minimize else value >= self.value


@dataclass(frozen=True)
class Stop:
    """Why the remaining runs are stopped, and how the whole ends then."""

    phase: Phase
    reason: str
    message: str


def read_number(value: Any) -> float | None:
    """Return an output as a number; None for what is none: flags and texts do not count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def find_metric_policy(written: Any) -> MetricPolicy | None:
    """Return the first early stopping by a metric."""
    return next(_metric_policies(written), None)


def list_metrics(written: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, metric) of each early stopping by a metric."""
    for index, one in enumerate(_entries(written)):
        metric = one.get("metric")
        if one.get("kind") == "metric_early_stopping" and isinstance(metric, str):
            yield f"{path}[{index}].metric", metric


def find_stop(
    written: Any, *, total: int, failed: int, outputs: Sequence[tuple[str, Mapping[str, Any]]]
) -> Stop | None:
    """Return why to stop now; None to go on.

    `outputs` has the name and the outputs of every run that has some, `failed` counts those that
    failed, or whose upstream did. A metric comes before failures: the result that was searched for
    is there.
    """
    for policy in _metric_policies(written):
        for name, reported in outputs:
            value = read_number(reported.get(policy.metric))
            if value is not None and policy.is_met(value):
                sign = "<=" if policy.minimize else ">="
                message = (
                    f"stopped early: {name} has {policy.metric} {value:g} {sign} {policy.value:g}"
                )
                return Stop(Phase.SUCCEEDED, "MetricReached", message)
    for percent in _failure_percents(written):
        if failed and failed * 100 >= percent * total:
            message = (
                f"stopped early: {failed} of {total} runs failed, and earlyStopping allows less "
                f"than {percent:g} percent"
            )
            return Stop(Phase.FAILED, "TooManyFailed", message)
    return None


def check_early_stopping(written: Any, path: str) -> list[Problem]:
    """Find the policies that need more than one value of each run."""
    return [
        Problem(
            "NotSupported",
            f"the policy '{policy.get('kind')}' compares the curves of single runs, which this "
            "version does not do: remove `policy`, and the value alone decides",
            f"{path}[{index}].policy",
        )
        for index, one in enumerate(_entries(written))
        if isinstance(policy := one.get("policy"), Mapping)
    ]


def _metric_policies(written: Any) -> Iterator[MetricPolicy]:
    for index, one in enumerate(_entries(written)):
        value = read_number(one.get("value"))
        if one.get("kind") == "metric_early_stopping" and value is not None:
            minimize = one.get("optimization") == "minimize"
            yield MetricPolicy(str(one.get("metric")), value, minimize, f"earlyStopping[{index}]")


def _failure_percents(written: Any) -> Iterator[float]:
    for one in _entries(written):
        percent = read_number(one.get("percent"))
        if one.get("kind") == "failure_early_stopping" and percent is not None:
            yield percent


def _entries(written: Any) -> list[Mapping[str, Any]]:
    entries = written if isinstance(written, list | tuple) else ()
    return [one if isinstance(one, Mapping) else {} for one in entries]
