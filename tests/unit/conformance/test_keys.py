"""The keys of every section are exactly those of the published package's models."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
from tests.unit.conformance.vectors import load

import opstrand.spec
from opstrand.spec.problems import written_keys
from opstrand.spec.section import Section

KEYS: dict[str, list[str]] = load("keys")["sections"]
#: The differences, each with the reason.
OURS = {
    ("Operation", "control"): "orders to a run that exists",
    ("Operation", "inherited"): "what a pipeline hands down to its runs",
    ("Plugins", "client"): "puts the client on PYTHONPATH, for images without the package",
}
NOT_TAKEN = {
    (
        "Component",
        "component",
    ): "a component is not written over another one; a layer over one is an operation",
    ("Join", "ref"): "unread by the package; a join's query names its runs",
    ("JoinParam", "ref"): "the references document: no ref in the params of a join",
    ("JoinParam", "toEnv"): "not documented for a join's params",
}


def find_sections() -> dict[str, type[Section]]:
    found: dict[str, type[Section]] = {}
    for module in pkgutil.iter_modules(opstrand.spec.__path__, "opstrand.spec."):
        members: dict[str, Any] = vars(importlib.import_module(module.name))
        found |= {
            name: one
            for name, one in members.items()
            if isinstance(one, type) and issubclass(one, Section)
        }
    return found


@pytest.mark.parametrize("name", KEYS)
def test_a_section_has_the_documented_keys_and_no_other(name: str) -> None:
    ours = {key for section, key in OURS if section == name}
    not_taken = {key for section, key in NOT_TAKEN if section == name}
    assert set(written_keys(find_sections()[name])) == {*KEYS[name], *ours} - not_taken
