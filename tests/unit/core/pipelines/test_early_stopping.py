"""When the rest of a pipeline's runs is stopped."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.phase import Phase
from opstrand.core.pipelines.early_stopping import check_early_stopping, find_stop

LOSS = {
    "kind": "metric_early_stopping",
    "metric": "loss",
    "value": 0.1,
    "optimization": "minimize",
}
ACC = {"kind": "metric_early_stopping", "metric": "acc", "value": 0.9, "optimization": "maximize"}
FAILURES = {"kind": "failure_early_stopping", "percent": 30}


@pytest.mark.parametrize(
    ("written", "failed", "outputs", "reason"),
    [
        ([LOSS], 0, {"loss": 0.1}, "MetricReached"),
        ([LOSS], 0, {"loss": 0.11}, None),
        ([ACC], 0, {"acc": 1}, "MetricReached"),
        ([ACC], 0, {"acc": 0.89}, None),
        ([ACC], 0, {"acc": True}, None),
        ([ACC], 0, {"acc": "0.99"}, None),
        ([ACC, LOSS], 0, {"loss": 0, "acc": 0.1}, "MetricReached"),
        ([FAILURES], 2, {}, None),
        ([FAILURES], 3, {}, "TooManyFailed"),
        ([{**FAILURES, "percent": 0}], 0, {}, None),
        ([{**FAILURES, "percent": 0}], 1, {}, "TooManyFailed"),
        ([FAILURES, LOSS], 9, {"loss": 0}, "MetricReached"),
        (None, 10, {"loss": 0}, None),
        ("{{ template }}", 10, {"loss": 0}, None),
    ],
)
def test_the_rest_is_stopped(
    written: Any, failed: int, outputs: dict[str, Any], reason: str | None
) -> None:
    found = find_stop(written, total=10, failed=failed, outputs=[("a", {}), ("b", outputs)])
    assert (found.reason if found else None) == reason


def test_a_metric_is_a_success_and_failures_are_a_failure() -> None:
    reached = find_stop([LOSS], total=1, failed=0, outputs=[("b", {"loss": 0.05})])
    assert reached is not None
    assert (reached.phase, reached.message) == (
        Phase.SUCCEEDED,
        "stopped early: b has loss 0.05 <= 0.1",
    )
    failed = find_stop([FAILURES], total=10, failed=4, outputs=[])
    assert failed is not None
    assert failed.phase is Phase.FAILED
    assert "4 of 10 runs failed" in failed.message


def test_a_policy_over_curves_is_refused_by_name() -> None:
    (problem,) = check_early_stopping(
        [FAILURES, {**LOSS, "policy": {"kind": "median"}}], "matrix.earlyStopping"
    )
    assert (problem.reason, problem.path) == ("NotSupported", "matrix.earlyStopping[1].policy")
    assert "'median'" in problem.message
