"""Files of other runs, where no store is mounted: the API has them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import operation, values

from opstrand.core.identity import Identity
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.errors import SpecError
from opstrand.settings import Settings

ME = Identity("a" * 32, "eval", project="quick-start")
OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "u"}
KEEPS = Settings(data="/var/lib/opstrand", api_url="https://api.test:8000")
OTHER = "b" * 32


def render_steps(step: dict[str, Any], settings: Settings = KEEPS) -> list[dict[str, Any]]:
    compiled = operation(run={"kind": "job", "init": [step], "container": {"image": "app"}})
    plan = compile_plan(compiled, values(compiled), ME, {})
    pod = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=settings).pod
    (document,) = [one["value"] for one in pod["spec"]["initContainers"][0]["env"]]
    steps: list[dict[str, Any]] = json.loads(document)["steps"]
    return steps


def test_files_of_another_run_come_from_the_api() -> None:
    parts = {"files": [f"{OTHER}/note"], "dirs": [[f"{OTHER}/outputs", "m"]]}
    (step,) = render_steps({"artifacts": parts}, replace(KEEPS, api_ca="-----BEGIN CERTIFICATE"))
    assert step == {
        "kind": "fetch",
        "runs": "https://api.test:8000/streams/v1/quick-start/default/quick-start/runs",
        "patience": KEEPS.api_patience,
        "token": "/plx-context/.token/token",
        "ca": "/plx-context/.configs/ca.crt",
        "target": "/plx-context/artifacts",
        "files": [[f"{OTHER}/note", f"{OTHER}/note"]],
        "dirs": [[f"{OTHER}/outputs", "m"]],
        "paths": [],
    }


def test_a_path_of_its_own_is_where_they_go() -> None:
    (step,) = render_steps({"paths": [f"{OTHER}/outputs"], "path": "/in"})
    assert (step["target"], step["paths"]) == ("/in", [[f"{OTHER}/outputs", f"{OTHER}/outputs"]])
    assert "ca" not in step


def test_of_no_run_nothing_is_fetched() -> None:
    """A join may find no run."""
    assert render_steps({"artifacts": {"dirs": []}}) == []


@pytest.mark.parametrize(
    ("path", "settings", "why"),
    [
        ("data/train", KEEPS, "begins with the uuid of a run, found 'data/train'"),
        (f"{OTHER}/a", replace(KEEPS, data=""), "this installation has none: name a connection"),
    ],
)
def test_what_the_api_does_not_have_is_refused(path: str, settings: Settings, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        render_steps({"paths": [path]}, settings)
