"""The files that a copy of a run starts with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import SETTINGS, body, list_created, phase, see

from opstrand.core.decide import decide
from opstrand.core.identity import read_cloning_kind
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.planning.connections import Catalog

FIRST = "b" * 32
OWN = "d1410a914d18457589b91926d8c23db4"


def start(copied: str | None, data: str = "/data") -> tuple[dict[str, Any], Decision]:
    notes = {} if copied is None else {"opstrand.dev/copied": copied}
    made = body(annotations={"opstrand.dev/restart-of": FIRST, **notes})
    snapshot = replace(see(made), catalog=Catalog(is_given=True))
    return made, decide(replace(snapshot, settings=replace(SETTINGS, data=data)))


@pytest.mark.parametrize(
    ("copied", "expected"),
    [
        ("{}", {"dirs": [[FIRST, OWN]], "optional": True}),
        ('{"dirs": ["outputs/m"]}', {"dirs": [[f"{FIRST}/outputs/m", f"{OWN}/outputs/m"]]}),
        ('{"files": ["a"]}', {"files": [[f"{FIRST}/a", f"{OWN}/a"]]}),
        ('{"paths": ["a"]}', {"paths": [[f"{FIRST}/a", f"{OWN}/a"]]}),
    ],
)
def test_a_copy_gets_files_of_its_original_into_its_own_folder(
    copied: str, expected: dict[str, Any]
) -> None:
    made, decision = start(copied)
    (pod,) = list_created(decision)
    env = {one["name"]: one.get("value") for one in pod["spec"]["initContainers"][0]["env"]}
    (step,) = json.loads(str(env["OPSTRAND_INIT"]))["steps"]
    found = {key: step[key] for key in ("files", "dirs", "paths", "optional") if step.get(key)}
    assert found == expected
    # By this edge the API lets the run read those files.
    assert (decision.status or {})["upstream"] == [{"uuid": FIRST, "kind": "copy"}]
    assert read_cloning_kind(made["metadata"]) == "copy"


def test_a_restart_gets_none() -> None:
    made, decision = start(None)
    assert (decision.status or {})["upstream"] == []
    assert read_cloning_kind(made["metadata"]) == "restart"


@pytest.mark.parametrize(
    ("copied", "data", "expected"),
    [
        ("all", "/data", "expected JSON with lists of paths under files, dirs, paths"),
        ('{"dirs": "outputs"}', "/data", "expected JSON"),
        ('{"dirs": ["../x"]}', "/data", "expected JSON"),
        ('{"folders": ["x"]}', "/data", "expected JSON"),
        ("{}", "", "this installation has none"),
    ],
)
def test_what_cannot_be_copied_ends_the_run(copied: str, data: str, expected: str) -> None:
    _, decision = start(copied, data)
    assert phase(decision) == ("Failed", "InvalidSpec")
    message = (decision.status or {})["message"]
    assert message.startswith('metadata.annotations["opstrand.dev/copied"]')
    assert expected in message
