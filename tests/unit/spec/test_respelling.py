"""Other spellings with only one possible meaning: read as the documented ones everywhere, noted,
and refused if they contradict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.every_key import SECTIONS, find_outcome

from opstrand.api.submission import parse_submission
from opstrand.cli.checking.validate import validate_submission
from opstrand.cli.files.submission import read_submission
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.polyaxonfile import parse_operation
from opstrand.spec.problems import written_keys
from opstrand.spec.respelling import other_spelling
from opstrand.spec.section import Section
from opstrand.spec.validation import validate

File = Mapping[str, Any]
JOB: dict[str, Any] = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}
#: Each pair: the documented spelling and another one.
SAME: dict[str, tuple[File, File]] = {
    "a root key": ({"isApproved": False, "run": JOB}, {"is_approved": False, "run": JOB}),
    "a root key with text": ({"isApproved": False, "run": JOB}, {"is_approved": "no", "run": JOB}),
    "a section": (
        {"termination": {"maxRetries": 2}, "run": JOB},
        {"termination": {"max_retries": 2.0}, "run": JOB},
    ),
    "a section in a section": (
        {
            "run": {
                **JOB,
                "environment": {
                    "nodeSelector": {"a_b": "c"},
                    "hostPID": True,
                    "hostNetwork": False,
                    "priority": 5,
                },
            }
        },
        {
            "run": {
                **JOB,
                "environment": {
                    "node_selector": {"a_b": "c"},
                    "host_pid": 1,
                    "host_network": "off",
                    "priority": "5",
                },
            }
        },
    ),
    "an item of a list": (
        {
            "run": {
                **JOB,
                "init": [{"dockerfile": {"image": "a", "langEnv": "C", "uid": 5, "gid": 6}}],
            }
        },
        {
            "run": {
                **JOB,
                "init": [{"dockerfile": {"image": "a", "lang_env": "C", "uid": "5", "gid": 6.0}}],
            }
        },
    ),
    "below a key that is one": (
        {
            "component": {"run": JOB},
            "runPatch": {"environment": {"serviceAccountName": "a", "hostPID": True}},
        },
        {
            "component": {"run": JOB},
            "run_patch": {"environment": {"service_account_name": "a", "host_pid": "true"}},
        },
    ),
    "over a component": (
        {
            "component": {"run": JOB, "termination": {"maxRetries": 1}},
            "termination": {"maxRetries": 3},
        },
        {
            "component": {"run": JOB, "termination": {"max_retries": 1}},
            "termination": {"maxRetries": 3},
        },
    ),
    "text for a list": (
        {"run": {**JOB, "init": [{"tensorboard": {"port": 1, "plugins": ["a", "b"]}}]}},
        {"run": {**JOB, "init": [{"tensorboard": {"port": 1, "plugins": "a, b"}}]}},
    ),
    "what a template makes": (
        {
            "inputs": [{"name": "x", "type": "str", "value": "yes", "isOptional": True}],
            "run": {**JOB, "environment": {"hostPID": True}},
        },
        {
            "inputs": [{"name": "x", "type": "str", "value": "yes", "isOptional": True}],
            "run": {**JOB, "environment": {"hostPID": "{{ x }}"}},
        },
    ),
}
#: A patch is an open mapping until it is merged into the runtime, and a template is one until it is
#: rendered.
_LATER = ("below a key that is one", "what a template makes")
EARLY = {name: pair for name, pair in SAME.items() if name not in _LATER}


@pytest.mark.parametrize(("documented", "other"), SAME.values(), ids=SAME)
def test_one_meaning(documented: File, other: File) -> None:
    """Both give the same Pod and the same status, which are those of a real boolean and a real
    number.
    """
    expected, found = find_outcome(documented), find_outcome(parse_operation(other).written)
    assert (found.manifests, found.status, found.is_refused) == (
        expected.manifests,
        expected.status,
        expected.is_refused,
    )


@pytest.mark.parametrize(("documented", "other"), EARLY.values(), ids=EARLY)
def test_what_is_stored_is_as_documented(documented: File, other: File) -> None:
    """By the command line, by POST and as a preset: the cluster's own readers only know the
    documented keys.
    """
    text = json.dumps({"kind": "operation", **other})
    assert read_submission([parse_document(text)], ()).spec == {"kind": "operation", **documented}
    assert parse_operation(json.loads(text)).written == {"kind": "operation", **documented}
    preset = parse_document(json.dumps({"isPreset": True, **other}))
    base = parse_document(json.dumps({"kind": "operation", "component": {"run": JOB}}))
    laid = read_submission([base, preset], ()).spec
    assert {key: laid[key] for key in documented if key != "component"} == {
        key: documented[key] for key in documented if key != "component"
    }
    if "init" not in str(other):
        posted = parse_submission(text)
        assert posted.body["spec"] == {"kind": "operation", **documented}
        assert all("documented spelling" in note for note in posted.notes if "read as" in note)


def test_a_component_by_post_is_stored_as_documented() -> None:
    text = json.dumps({"kind": "component", "run": JOB, "termination": {"max_retries": 2}})
    posted = parse_submission(text)
    assert posted.body["spec"]["component"] == {
        "kind": "component",
        "run": JOB,
        "termination": {"maxRetries": 2},
    }
    assert posted.notes == (
        "component.termination.max_retries: read as `maxRetries`, which is the documented spelling",
    )


def test_check_names_the_documented_spelling_and_the_line_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        "kind: component\nrun:\n  kind: job\n  container: {image: a}\n  environment: {host_pid: "
        "yes}\n"
    )
    text = "kind: operation\npath_ref: part.yaml\ntermination:\n  max_retries: soon\n"
    source = str(tmp_path / "file.yaml")
    with pytest.raises(SpecError) as caught:
        read_submission([parse_document(text, source=source)], ())
    assert str(caught.value.problems[0]).startswith(
        f"{source}:4:3: termination.maxRetries: expected a whole number, found the text 'soon'"
    )
    submission = read_submission(
        [parse_document(text.replace("soon", "99999999999"), source=source)], ()
    )
    verdict = validate_submission(submission, evaluate=refuse, complete=False)
    assert [(one.path, one.line) for one in verdict.problems] == [("termination.maxRetries", 4)]
    submission = read_submission([parse_document(text.replace("soon", "1"), source=source)], ())
    assert {
        note.partition(": read as")[0]
        for note in validate_submission(submission, evaluate=refuse, complete=False).notes
    } == {*("path_ref", "termination.max_retries", "run.environment.host_pid")}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_key_in_both_spellings_is_refused(section: type[Section]) -> None:
    """This holds whichever is first, and whatever the values are."""
    for key in written_keys(section):
        other = other_spelling(key)
        for data in ({key: None, other: None}, {other: 1, key: 1}) if other != key else ():
            with pytest.raises(ValidationError, match=f"'{other}' is another spelling of '{key}'"):
                validate(section, data)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"is_approved": False, "run": JOB}, "is_approved"),
        ({"run": JOB, "path_ref": "a"}, "path_ref"),
        (
            {"run": {**JOB, "container": {"image": "a", "volume_mounts": []}}},
            "run.container.volume_mounts",
        ),
        (
            {"run": {**JOB, "environment": {"affinity": {"node_affinity": {}}}}},
            "run.environment.affinity.node_affinity",
        ),
    ],
)
def test_an_objects_own_keys_and_those_of_kubernetes_are_as_documented(
    data: File, path: str
) -> None:
    """What the cluster reads of an object, or what a control request changes in it (`isApproved`),
    has one name.
    """
    with pytest.raises(SpecError) as caught:
        parse_operation(data, is_object=True)
    assert [(one.reason, one.path) for one in caught.value.problems] == [("UnknownField", path)]


@pytest.mark.parametrize(
    "value", ["", "5.5", 5.5, "1e3", "0x5", "1_000", " 5", True, "five", "٣", 1e300]
)
def test_what_is_not_exactly_a_whole_number_is_refused(value: object) -> None:
    with pytest.raises(SpecError):
        parse_operation({"run": {**JOB, "environment": {"priority": value}}})


@pytest.mark.parametrize("value", ["", "maybe", 2, 0.5, [], "yess"])
def test_what_does_not_mean_true_or_false_is_refused(value: object) -> None:
    with pytest.raises(SpecError):
        parse_operation({"run": {**JOB, "environment": {"hostPID": value}}})
