"""`check` accepts what the published checker accepts: the files of the documentation, and one file
for every key of every section.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from opstrand.cli.checking.validate import validate_submission
from opstrand.cli.files.submission import read_submission
from opstrand.controller.template_worker import Sandbox
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.io import Validation
from opstrand.spec.respelling import other_spelling
from tests.conformance_client.conftest import CHECKOUT, PUBLISHED
from tests.support.every_key import (
    CONTAINER,
    Place,
    enter,
    examples_of,
    iter_cases,
    make_places,
    with_inputs,
)
from tests.unit.conformance.decided_against import DECIDED_KEYS, DECIDED_SPELLINGS, REFUSED_FILES

_GRID = {
    "kind": "grid",
    "params": {"x": {"kind": "choice", "value": [1, 2]}},
    "numRuns": 2,
    "concurrency": 2,
}
FOLDER = CHECKOUT / "tests/conformance/polyaxonfiles"


def ask_published(texts: Mapping[str, str]) -> set[str]:
    """Return the names of the files that the published checker accepts."""
    program = [str(PUBLISHED / "bin/python"), str(CHECKOUT / "tests/support/published_checker.py")]
    done = subprocess.run(
        program, input=json.dumps(list(texts.values())), capture_output=True, text=True, check=True
    )
    return {name for name, error in zip(texts, json.loads(done.stdout), strict=True) if not error}


def ask_ours(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the files that `check` refuses, by name, each with its first problem."""
    refused = {}
    with Sandbox() as sandbox:
        for name, text in texts.items():
            try:
                submission = read_submission([parse_document(text, source=name)], (), strict=None)
                problems = validate_submission(
                    submission, evaluate=sandbox.for_one_run(), complete=False
                ).problems
            except SpecError as error:
                problems = error.problems
            if problems:
                refused[name] = str(problems[0])
    return refused


def read_documentation() -> dict[str, str]:
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.yaml"))}
    # Neither checker can fetch here what is at an address or in another file.
    return {
        name: text
        for name, text in files.items()
        if "urlRef:" not in text and "pathRef:" not in text
    }


def make_variations() -> dict[str, str]:
    """Return one file for each key.

    A pair of keys that has a meaning only together is left out: it is not about shapes.
    """
    cases = iter_cases(make_places(), {}, {})
    return {
        case.path: json.dumps({"version": 1.1, "kind": "operation", **case.given}) for case in cases
    }


def make_spellings() -> dict[str, str]:
    """Return one file for each key of our own sections in another spelling: the key in snake_case,
    and its value in another type that means the same.
    """
    places = [place for place in make_places() if place.keys is not CONTAINER]
    places.append(
        Place(
            "matrix", _GRID, {**with_inputs(type="int"), "params": {}, "matrix": _GRID}, ("matrix",)
        )
    )
    found = {}
    for place in places:
        for key, example in place.keys.items():
            if f"{place.name}.{key}".lstrip(".") in DECIDED_KEYS:
                continue
            for how, other, value in _spell(key, example):
                given = copy.deepcopy(dict(place.base))
                section = enter(given, place.at)
                section.pop(key, None)
                section[other] = value
                found[f"{place.name}.{key} {how}".lstrip(".")] = json.dumps(
                    {"version": 1.1, "kind": "operation", **given}
                )
    for rule in examples_of(Validation):
        for how, value in (("int", 5), ("dict", {"a": 1})):
            declared = with_inputs(
                type=how,
                isOptional=True,
                value=value,
                validation={rule: "{{ x }}"},
                param={"value": value},
            )
            found[f"validation.{rule} of {how} as template"] = json.dumps(
                {"version": 1.1, "kind": "operation", **declared}
            )
    return found


def _spell(key: str, value: object) -> Iterator[tuple[str, str, object]]:
    if other_spelling(key) != key:
        yield "in snake_case", other_spelling(key), value
    if isinstance(value, bool):
        yield from (
            (f"as {other!r}", key, other)
            for other in (("yes", "True", 1) if value else ("no", "False", 0))
        )
    elif isinstance(value, int):
        yield from (
            (f"as {how}", key, other)
            for how, other in (
                ("text", str(value)),
                ("float", float(value)),
                ("fraction", value + 0.5),
            )
        )
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        yield "as text", key, ",".join(value)


@pytest.mark.parametrize(
    ("texts", "decided"),
    [
        (read_documentation(), REFUSED_FILES),
        (make_variations(), DECIDED_KEYS),
        (make_spellings(), DECIDED_SPELLINGS),
    ],
    ids=["documentation", "every key", "every spelling"],
)
def test_what_the_published_checker_accepts_is_accepted(
    texts: dict[str, str], decided: dict[str, str]
) -> None:
    accepted, refused = ask_published(texts), ask_ours(texts)
    assert len(accepted) > 50
    differing = {name: problem for name, problem in refused.items() if name in accepted}
    assert {name: problem for name, problem in differing.items() if name not in decided} == {}
    assert decided.keys() - differing.keys() == set()
