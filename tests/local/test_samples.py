"""The pipeline of `manifests/samples` without a cluster; `tests/e2e` runs all of them in one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.local.conftest import Run
from tests.support.command_line import CHECKOUT

SAMPLE = CHECKOUT / "manifests" / "samples" / "learning-rate.yaml"


def iter_records(folder: Path) -> Iterator[dict[str, Any]]:
    for path in folder.glob("default/*/run.json"):
        yield json.loads(path.read_text())


def test_the_learning_rate_is_searched_and_the_best_is_reported(
    here: Run, records: Path, tmp_path: Path
) -> None:
    text = SAMPLE.read_text()
    manifest = yaml.safe_load(text)
    file = tmp_path / "learning-rate.yaml"
    file.write_text(yaml.safe_dump({"kind": "operation", **manifest["spec"]}))
    ran = here("run", "--local", "-f", file, "-l")
    assert ran.code == 0, ran.stderr
    printed = re.findall(r"^# prints: \[[^ ]+\] (.*)$", text, re.MULTILINE)
    assert len(printed) == 5
    # A run of the grid may have a prefix of its own.
    lines = [re.sub(r"^(\[[^ ]+\] )+", "", line) for line in ran.out.splitlines()]
    assert sorted(lines) == sorted(printed)
    assert lines[-1] == printed[-1]
    (pick,) = (one for one in iter_records(records) if one["spec"].get("name") == "pick")
    status = pick["status"]
    assert (status["outputs"]["rate"], status["outputs"]["loss"]) == (1.0, 0.288)
    (report,) = (item for item in status["artifacts"] if item["name"] == "report")
    (path,) = records.rglob("report.md")
    assert report["kind"] == "file"
    rows = path.read_text().splitlines()
    assert (len(rows), rows[2][:22]) == (6, "| 1.0 | 0.288 | 0.86 |")
