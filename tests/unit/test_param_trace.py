"""A reader who follows one param from `spec.params` to the Pod's `args` passes few files.

A function is on the way if it receives the value, or a mapping or a list that holds it directly.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.builders import body, list_created, see

import opstrand
from opstrand.core.decide import decide

PACKAGE = f"{Path(opstrand.__file__).parent}/"
VALUE = "the-value-that-is-followed"
#: Files on the way, and how often the way comes back to a file that it had left.
FILES, RETURNS = 25, 30


def holds(value: Any) -> bool:
    if isinstance(value, str):
        return VALUE in value
    parts = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, Mapping | list | tuple) and any(
        isinstance(part, str) and VALUE in part for part in parts
    )


def follow() -> tuple[list[str], list[dict[str, Any]]]:
    """Return the files on the way, one entry for each time that it enters one, and the Pod."""
    run = {"kind": "job", "container": {"image": "busybox", "args": ["{{ lr }}"]}}
    spec = {
        "params": {"lr": {"value": VALUE}},
        "component": {"inputs": [{"name": "lr", "type": "str"}], "run": run},
    }
    operation, entered = body(spec), list[str]()

    def look(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE):
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        sys.setprofile(None)
        if any(holds(frame.f_locals.get(name)) for name in names if name != "self"):
            file = code.co_filename.removeprefix(PACKAGE)
            if not entered or entered[-1] != file:
                entered.append(file)
        sys.setprofile(look)

    decide(see(operation))
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        decision = decide(see(operation))
    finally:
        sys.setprofile(before)
    return entered, list_created(decision)


def test_one_param_passes_few_files_and_seldom_comes_back() -> None:
    entered, (pod,) = follow()
    assert pod["spec"]["containers"][0]["args"] == [VALUE]
    files = list(dict.fromkeys(entered))
    assert len(files) <= FILES, files
    assert len(entered) - len(files) <= RETURNS, entered
