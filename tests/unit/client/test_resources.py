"""What the machine uses, as series of the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import UUID

from opstrand.client import tracking
from opstrand.client.resources import Sampler, sample_resources
from opstrand.client.series import Series

GPU = "#!/bin/sh\necho '1000, 24, 37'\necho '2000, 48, 0'\n"


def read(folder: Path) -> dict[str, float]:
    """Return the last value of each series."""
    files = (folder / "resources" / "metric").glob("*.plx")
    return {one.stem: float(one.read_text().rpartition("|")[2]) for one in files}


def test_each_sample_is_a_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    sampler = Sampler(Series(str(tmp_path), "resources"))
    for _ in range(2):
        time.sleep(0.05)  # the processors' clock ticks every hundredth of a second
        sampler.sample()
    found = read(tmp_path)
    assert {"load", "memory", "cpu"} == set(found)
    assert 0 <= found["cpu"] <= 100
    assert 0 < found["memory"] < 100
    lines = (tmp_path / "resources" / "metric" / "memory.plx").read_text().splitlines()
    assert (lines[0], len(lines)) == ("step|timestamp|metric", 3)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            GPU,
            {
                "gpu_0_memory_free": 1000 * 1024**2,
                "gpu_0_memory_used": 24 * 1024**2,
                "gpu_0_utilization": 37,
                "gpu_1_memory_free": 2000 * 1024**2,
                "gpu_1_memory_used": 48 * 1024**2,
                "gpu_1_utilization": 0,
            },
        ),
        ("#!/bin/sh\nexit 9\n", {}),
        ("#!/bin/sh\necho '[N/A], 1, 2'\n", {}),
        ("no program", {}),
    ],
)
def test_the_gpus_are_asked_by_their_own_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: dict[str, float]
) -> None:
    place = tmp_path / "bin" / "nvidia-smi"
    place.parent.mkdir()
    place.write_text(program)
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.parent}:/bin:/usr/bin")
    Sampler(Series(str(tmp_path), "resources")).sample()
    found = read(tmp_path)
    assert {name: found[name] for name in found if name.startswith("gpu")} == expected


def wait_until_sampled(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "resources" / "metric" / "memory.plx").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_goes_on_beside_the_program(tmp_path: Path) -> None:
    sample_resources(str(tmp_path), interval=0.01)
    sample_resources(str(tmp_path), interval=0.01)
    wait_until_sampled(tmp_path)
    sample_resources(str(tmp_path / "nowhere"), interval=0.01)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("asked", "expected"), [("true", True), ("false", False)])
def test_a_run_samples_if_its_file_says_so(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, expected: bool
) -> None:
    monkeypatch.setenv("POLYAXON_COLLECT_RESOURCES", asked)
    (tmp_path / "artifacts" / UUID).mkdir(parents=True)
    started: list[str] = []
    monkeypatch.setattr(tracking, "sample_resources", started.append)
    tracking.Run(track_env=False)
    assert started == ([str(tmp_path / "artifacts" / UUID)] if expected else [])
