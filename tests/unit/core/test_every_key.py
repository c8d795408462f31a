"""Every key of every section has an effect, or is refused by its name, or `check` notes that it has
none.

An effect is a difference in what the operator would create or write: the Pod (or a service's
objects) and the status differ with the key and without it. Keys with an effect elsewhere are in
ELSEWHERE, each with its place.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.every_key import (
    SECTIONS,
    Case,
    File,
    find_outcome,
    iter_cases,
    make_job,
    make_places,
    make_service,
    with_inputs,
)

from opstrand.core.compiling.compile import compile_alone, compile_operation
from opstrand.core.compiling.without_effect import find_idle
from opstrand.spec.job import Job
from opstrand.spec.operation import Operation
from opstrand.spec.polyaxonfile import parse_operation
from opstrand.spec.service import Service
from opstrand.spec.shape import Shape, fields_of

#: Values that differ from the default, for keys whose example is the default.
INSTEAD: dict[str, Any] = {
    "run": {"kind": "job", "container": {"image": "other"}},
    "container": {"image": "other"},
    "cache": {"disable": False},
    "cache.disable": False,
    "namespace": "other",
    "inherited": {"termination": {"timeout": 9}},
    "run.replicas": 2,
    "run.environment.restartPolicy": "ExitCode",
    "run.init[0].file.kind": "script",
    "run.init[0].dockerfile.filename": "Dockerfile.x",
    "run.init[0].dockerfile.workdir": "/w",
    **dict.fromkeys(
        ("plugins.auth", "plugins.shm", "plugins.collectArtifacts", "plugins.collectResources"),
        False,
    ),
    **dict.fromkeys(
        ("plugins.docker", "plugins.mountArtifactsStore", "plugins.externalHost"), True
    ),
    **dict.fromkeys(
        ("plugins.tmux", "plugins.sandbox", "plugins.ssh", "plugins.sidecar.noConnections"), True
    ),
    "inputs.x.name": "x",
}


def with_container(place: str, **fields: Any) -> dict[str, Any]:
    given = {"image": "a", **fields}
    return (
        make_job(container=given) if place == "container" else make_job(init=[{"container": given}])
    )


def with_dockerfile(**fields: Any) -> dict[str, Any]:
    return make_job(init=[{"dockerfile": {"image": "a", **fields}}])


_PRINTS_Y = make_job(container={"args": ["{{ y }}"]})
_RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]
_PATCH = {"runPatch": {"container": {"image": "other"}}}
_FILES = {"files": ["a"]}
_USER = {"uid": 5, "gid": 6, "username": "me"}
_HTTP = {"http": {"path": "/", "port": 80}}
_CULLED = {"culling": {"timeout": 60}, "probe": _HTTP}
_DECLARED = {"type": "artifacts", "isOptional": True}
#: Keys with a meaning only beside others: the file without and with the key.
FILES: dict[str, tuple[File, File]] = {
    "outputs": (_PRINTS_Y, {**_PRINTS_Y, "outputs": [{"name": "y", "value": 1}]}),
    "strictParams": (
        {**make_job(), "params": {"y": 1}},
        {**make_job(), "params": {"y": 1}, "strictParams": True},
    ),
    "patchStrategy": (
        {**make_job(), **_PATCH},
        {**make_job(), **_PATCH, "patchStrategy": "isnull"},
    ),
    **{
        f"{path}.restartPolicyRules": (
            with_container(place, restartPolicy="Never"),
            with_container(place, restartPolicy="Never", restartPolicyRules=_RULES),
        )
        for path, place in (("run.container", "container"), ("run.init[0].container", "init"))
    },
    "run.init[0].path": (
        make_job(init=[{"connection": "datasets"}]),
        make_job(init=[{"connection": "datasets", "path": "/other"}]),
    ),
    **{
        f"run.init[0].dockerfile.{key}": (
            with_dockerfile(**{other: value for other, value in _USER.items() if other != key}),
            with_dockerfile(**_USER),
        )
        for key in _USER
    },
    "inputs.x.type": (with_inputs(param={"value": 3}), with_inputs(param={"value": 3}, type="str")),
    "inputs.x.value": (with_inputs(param={"value": "a"}), {**with_inputs(value="b"), "params": {}}),
    "inputs.x.isOptional": (
        {**with_inputs(), "params": {}},
        {**with_inputs(isOptional=True), "params": {}},
    ),
    "inputs.x.isList": (
        with_inputs(param=["a"], type="str"),
        with_inputs(param=["a"], type="str", isList=True),
    ),
    "inputs.x.isFlag": (
        with_inputs("{{ params.x.as_arg }}", param={"value": True}, type="bool"),
        with_inputs("{{ params.x.as_arg }}", param={"value": True}, type="bool", isFlag=True),
    ),
    "inputs.x.argFormat": (
        with_inputs("{{ params.x.as_arg }}"),
        with_inputs("{{ params.x.as_arg }}", argFormat="-x {{ x }}"),
    ),
    "inputs.x.toInit": (
        with_inputs(param={"value": _FILES}, **_DECLARED),
        with_inputs(param={"value": _FILES}, **_DECLARED, toInit=True),
    ),
    "inputs.x.connection": (
        with_inputs(param={"value": _FILES}, **_DECLARED, toInit=True),
        with_inputs(param={"value": _FILES}, **_DECLARED, toInit=True, connection="datasets"),
    ),
    "inputs.x.validation": (with_inputs(), with_inputs(type="str", validation={"regex": "^z"})),
    "params.x.ref": (
        with_inputs(param={"value": "outputs.y"}, isOptional=True),
        with_inputs(param={"value": "outputs.y", "ref": "ops.up"}, isOptional=True),
    ),
    "params.x.contextOnly": (
        {**make_job(), "strictParams": True, "params": {"y": {"value": 1}}},
        {**make_job(), "strictParams": True, "params": {"y": {"value": 1, "contextOnly": True}}},
    ),
    "params.x.toInit": (
        with_inputs(param={"value": _FILES}, **_DECLARED),
        with_inputs(param={"value": _FILES, "toInit": True}, **_DECLARED),
    ),
    "params.x.connection": (
        with_inputs(param={"value": _FILES, "toInit": True}, **_DECLARED),
        with_inputs(param={"value": _FILES, "toInit": True, "connection": "datasets"}, **_DECLARED),
    ),
    "termination.culling.timeout": (
        {**make_service(), "termination": {"probe": _HTTP}},
        {**make_service(), "termination": _CULLED},
    ),
    "termination.culling": (
        make_job(),
        {**make_job(), "termination": {"culling": {"timeout": 60}}},
    ),
}
#: The refusals of keys that only check a value, at the path of the value that does not fit.
REFUSALS = {
    "strictParams": "params.y",
    "inputs.x.validation": "params.x",
    "inputs.x.options": "params.x",
}
#: Shortcuts that a note names by their long form.
SHORTCUTS = {"ports": "run.ports"}
#: Keys without an effect on what is created first, and where their effect is.
ELSEWHERE = {
    "version": "read and ignored, as every file has it: documented so",
    "kind": "tells an operation from a component",
    "hubRef": "the component: tests/unit/core/compiling/test_compile.py",
    "pathRef": "the component, read by the command line: tests/cli/test_files.py",
    "urlRef": "the component, read by the command line: tests/cli/test_files.py",
    "dagRef": "a component of a pipeline: tests/unit/core/compiling/test_dag.py",
    "isPreset": "the file changes others: tests/unit/core/compiling/test_compile.py",
    "control.resume": "after the end: tests/unit/core/runtimes/test_resuming.py",
    "control.round": "after the end: tests/unit/core/runtimes/test_resuming.py",
    "plugins.autoResume": "a resumed run: tests/unit/core/runtimes/test_resuming.py",
    "control.invalidate": "later runs: tests/unit/controller/test_reuse.py",
    "control.suspend": "the next run of a schedule: tests/integration/test_schedules.py",
    "termination.maxRetries": "the next attempt: tests/unit/core/lifecycle/test_transitions.py",
    "termination.podFailurePolicy": "the next attempt: "
    "tests/unit/core/lifecycle/test_transitions.py",
    "termination.ttl": "after the end: tests/unit/core/test_decide.py",
    "termination.culling.timeout": "the end of a service: tests/unit/core/runtimes/test_service.py",
    "inputs.x.description": "for people: opstrand explain, and the file's reader",
    "inputs.x.delayValidation": "what a value that is not there yet may be: "
    "tests/unit/conformance/test_params.py",
}

#: Sections whose keys are not tried here, and why.
APART = {
    "Component": "an operation has the same keys",
    "Inherited": "keys that an operation has too: tests/unit/core/pipelines/test_children.py",
    "Join": "values of other runs: tests/unit/core/resolving/test_resolve.py",
    "JoinParam": "values of other runs: tests/unit/core/resolving/test_resolve.py",
    "Validation": "checks of a value: tests/unit/conformance/test_types.py",
    "Template": "a file to fill in is refused: tests/unit/core/compiling/test_compile.py",
    "Notification": "what follows the end of a run: tests/unit/controller/test_hooks.py",
    "Event": "a wait for other runs: tests/unit/controller/test_events.py",
    "Hook": "what follows the end of a run: tests/unit/controller/test_hooks.py",
    **dict.fromkeys(("Build", "Mount"), "refused as a whole"),
}
#: Keys whose sections are chosen by their kind; this version runs two kinds.
BY_KIND = ("run", "schedule", "matrix")

CASES = list(iter_cases(make_places(), INSTEAD, FILES))


@pytest.mark.parametrize("case", CASES, ids=[case.path for case in CASES])
def test_a_key_does_something_or_it_is_said_that_it_does_nothing(case: Case) -> None:
    given, without = find_outcome(case.given), find_outcome(case.without)
    said = [line.partition(": ")[0] for line in given.said]
    if case.path in REFUSALS:
        assert (given.is_refused, without.is_refused) == (True, False)
        assert REFUSALS[case.path] in said
        return
    # A section that is refused as a whole refuses its keys.
    name = SHORTCUTS.get(case.path, case.path)
    is_named = any(
        name.startswith((path, f"{path}.", f"{path}[")) or path.startswith(name)
        for path in said
        if path
    )
    has_effect = not given.is_refused and (
        without.is_refused or (given.manifests, given.status) != (without.manifests, without.status)
    )
    assert (is_named or has_effect) != (case.path in ELSEWHERE), (given, without)


def test_of_a_component_that_is_not_here_no_kind_is_guessed() -> None:
    alone = compile_alone(parse_operation({"hubRef": "server", "termination": _CULLED, "cost": 1}))
    assert [note.partition(":")[0] for note in find_idle(alone, is_alone=True)] == ["cost"]


@pytest.mark.parametrize(
    ("termination", "told"),
    [({"culling": {"timeout": 60}}, ["termination.culling.timeout"]), (_CULLED, [])],
)
def test_that_a_service_without_a_page_is_never_found_idle_is_reported(
    termination: dict[str, Any], told: list[str]
) -> None:
    compiled = compile_operation(parse_operation({**make_service(), "termination": termination}))
    assert [note.partition(":")[0] for note in find_idle(compiled)] == told


def test_every_section_is_gone_through() -> None:
    reached: dict[str, type[BaseModel]] = {}
    todo: list[type[BaseModel]] = [Operation, Job, Service]
    while todo:
        section = todo.pop()
        if section.__name__ not in reached:
            reached[section.__name__] = section
            todo += [
                inner
                for key, (shape, _) in fields_of(section).items()
                if key not in BY_KIND
                for inner in sections_of(shape)
            ]
    assert reached.keys() == {section.__name__ for section in SECTIONS} | APART.keys()


def sections_of(shape: Shape) -> list[type[BaseModel]]:
    inner = [
        one
        for part in (shape.items, *shape.options)
        if part is not None
        for one in sections_of(part)
    ]
    return [shape.section, *inner] if shape.section is not None else inner
