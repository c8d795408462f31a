"""What a call of `log_metric` costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import UUID

from opstrand.client import RunClient


@pytest.mark.alone
def test_a_point_costs_less_than_20_microseconds(api: Any, tmp_path: Path) -> None:
    (tmp_path / "artifacts" / UUID).mkdir(parents=True)
    client = RunClient()
    rounds, points = [], 2000
    for _ in range(10):
        began = time.process_time()
        for step in range(points):
            client.log_metric("loss", 0.5, step=step)
        rounds.append((time.process_time() - began) / points)
    assert client.flush(60)
    assert min(rounds) < 20e-6
    text = (tmp_path / "artifacts" / UUID / "events" / "metric" / "loss.plx").read_text()
    assert len(text.splitlines()) == 1 + 10 * points


def test_metrics_of_several_runs_are_read_together(api: Any) -> None:
    client = RunClient()
    with pytest.raises(Exception, match="keeps no files"):
        client.get_multi_run_events("metric", [UUID, "0" * 32], ["loss"])
