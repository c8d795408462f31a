"""One pair of files for every key of every section that a run can have: with the key and without
it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opstrand.core import names
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.planning.connections import Catalog, read_catalog
from opstrand.core.templates.template import refuse
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.cache import Cache
from opstrand.spec.connections import parse_catalog_file
from opstrand.spec.environment import Environment
from opstrand.spec.init import (
    ArtifactsInit,
    DockerfileInit,
    FileInit,
    GitInit,
    Init,
    TensorboardInit,
)
from opstrand.spec.io import IO
from opstrand.spec.job import Job
from opstrand.spec.kubernetes.parts import known_keys
from opstrand.spec.operation import Control, Operation
from opstrand.spec.params import Param
from opstrand.spec.plugins import Plugins, Sidecar
from opstrand.spec.polyaxonfile import parse_operation
from opstrand.spec.section import Section
from opstrand.spec.service import Service
from opstrand.spec.termination import ActivityProbe, Culling, Termination
from opstrand.types import ObjectMeta, OperationBody
from tests.support.builders import list_created

SETTINGS = Settings(
    image="opstrand:test", api_url="http://api.test:8000", external_url="https://runs.test"
)
_STORE = {
    "name": "store",
    "kind": "volume_claim",
    "schema": {"volumeClaim": "store", "mountPath": "/store"},
}
_DATASETS = {
    "name": "datasets",
    "kind": "volume_claim",
    "schema": {"volumeClaim": "data", "mountPath": "/data"},
}
_CODE = {"name": "code", "kind": "git", "schema": {"url": "https://git.test/a.git"}}
CATALOG = read_catalog(
    parse_catalog_file({"artifactsStore": _STORE, "connections": [_DATASETS, _CODE]})
)

Steps = tuple[str | int, ...]
File = Mapping[str, Any]
RUN: Steps = ("component", "run")


@dataclass(frozen=True)
class Place:
    """The place of a section in a file. `base` has only the keys there that are required."""

    name: str
    keys: Mapping[str, Any]
    base: File
    at: Steps = ()


@dataclass(frozen=True)
class Case:
    """One key: its path in messages, and its two files."""

    path: str
    without: File
    given: File


def make_job(**run: Any) -> dict[str, Any]:
    container = {"image": "busybox", "command": ["true"]} | run.pop("container", {})
    return {"component": {"run": {"kind": "job", "container": container, **run}}}


def _tuned_job() -> dict[str, Any]:
    """Return a job with the input that the example of `cache.io` names."""
    made = make_job()
    made["component"]["inputs"] = [{"name": "lr", "isOptional": True, "value": 0.1}]
    return made


def make_service(**run: Any) -> dict[str, Any]:
    made = make_job(**run)
    made["component"]["run"]["kind"] = "service"
    return made


def with_inputs(*args: str, param: Any = None, **declared: Any) -> dict[str, Any]:
    """Return a job that prints an input."""
    made = make_job(container={"args": list(args or ("{{ x }}",))})
    made["component"]["inputs"] = [{"name": "x", **declared}]
    return {**made, "params": {"x": {"value": "abc"} if param is None else param}}


def examples_of(section: type[Section]) -> dict[str, Any]:
    return {
        info.alias or name: (info.examples or [None])[0]
        for name, info in section.model_fields.items()
    }


def _without_kind(section: type[Section]) -> dict[str, Any]:
    return {key: value for key, value in examples_of(section).items() if key != "kind"}


def iter_cases(
    places: list[Place], instead: Mapping[str, Any], files: Mapping[str, tuple[File, File]]
) -> Iterator[Case]:
    """Yield a case for every key of every place.

    `instead`: values for keys whose example is the default; `files`: pairs that are written by
    hand.
    """
    for place in places:
        for key, example in place.keys.items():
            name = f"{place.name}.{key}".lstrip(".")
            if name in files:
                yield Case(name, *files[name])
                continue
            given = copy.deepcopy(dict(place.base))
            section = enter(given, place.at)
            without = copy.deepcopy(given)
            section[key] = instead.get(name, example)
            enter(without, place.at).pop(key, None)
            yield Case(name, without, given)


def enter(value: Any, steps: Steps) -> Any:
    for step in steps:
        value = value[step]
    return value


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file: its errors, its notes, and the manifests and status that it gives."""

    said: tuple[str, ...] = ()
    is_refused: bool = False
    manifests: tuple[Any, ...] = field(default_factory=tuple)
    status: Any = None


def find_outcome(file: File, catalog: Catalog = CATALOG) -> Outcome:
    try:
        operation = parse_operation(file)
        compiled = compile_operation(operation)
        problems, notes = validate_compiled(compiled, evaluate=refuse, complete=True)
        if problems:
            return Outcome(
                (*(f"{one.path}: {one.message}" for one in problems), *notes), is_refused=True
            )
        return _decide(file, tuple(notes), catalog)
    except SpecError as error:
        return Outcome(
            tuple(f"{one.path}: {one.message}" for one in error.problems), is_refused=True
        )


def _decide(file: File, notes: tuple[str, ...], catalog: Catalog) -> Outcome:
    uid = "d1410a91-4d18-4575-89b9-1926d8c23db4"
    metadata: ObjectMeta = {
        "name": "run",
        "namespace": "team",
        "uid": uid,
        "generation": 1,
        "resourceVersion": "1",
    }
    body: OperationBody = {
        "metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": file,
    }
    prepared = prepare(body, settings=SETTINGS)
    upstream = dict.fromkeys(prepared.refs)
    decision = decide(
        Snapshot(
            body,
            prepared,
            datetime(2026, 1, 1, tzinfo=UTC),
            SETTINGS,
            refuse,
            upstream,
            catalog=catalog,
        )
    )
    made = list_created(decision)
    # The key by which an earlier result is looked for is part of what the operator does.
    status = [_without_digest(decision.status), decision.cache]
    return Outcome(notes, manifests=tuple(map(_without_digest, made)), status=status)


def _without_digest(value: Any) -> Any:
    """Return the value without the plan's digest and the recorded termination: both show every key,
    whether or not it has an effect.
    """
    if isinstance(value, Mapping):
        return {
            key: _without_digest(item)
            for key, item in value.items()
            if key not in (names.PLAN_DIGEST, "termination")
        }
    return [_without_digest(item) for item in value] if isinstance(value, list | tuple) else value


_HTTP = {"path": "/", "port": 8080}
CONTAINER: dict[str, Any] = {
    **dict.fromkeys(known_keys()["Container"]),
    "args": ["a"],
    "command": ["b"],
    "env": [{"name": "A", "value": "1"}],
    "envFrom": [{"secretRef": {"name": "a"}}],
    "image": "other",
    "imagePullPolicy": "Never",
    "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    "livenessProbe": {"httpGet": _HTTP},
    "name": "other",
    "ports": [{"containerPort": 80}],
    "readinessProbe": {"httpGet": _HTTP},
    "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
    "resources": {"limits": {"cpu": "1"}},
    "restartPolicy": "Never",
    "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}],
    "securityContext": {"runAsUser": 5},
    "startupProbe": {"httpGet": _HTTP},
    "stdin": True,
    "stdinOnce": True,
    "terminationMessagePath": "/tmp/end",
    "terminationMessagePolicy": "File",
    "tty": True,
    "volumeDevices": [{"name": "block", "devicePath": "/dev/block"}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "workingDir": "/plx-context",
}
_CULLED = {"culling": {"timeout": 60}, "probe": {}}
VOLUMES = [
    {"name": "v", "emptyDir": {}},
    {"name": "block", "persistentVolumeClaim": {"claimName": "a"}},
]


SECTIONS: tuple[type[Section], ...] = (
    *(
        Operation,
        Job,
        Service,
        Environment,
        Init,
        FileInit,
        GitInit,
        DockerfileInit,
        ArtifactsInit,
        TensorboardInit,
    ),
    *(Plugins, Sidecar, Termination, Culling, ActivityProbe, Cache, Control, IO, Param),
)


def make_places(volumes: Sequence[File] = VOLUMES) -> list[Place]:
    """Return every section that a job or a service has.

    `volumes` are there for the mounts of containers.
    """
    step: Steps = (*RUN, "init", 0)
    file, dockerfile = {"content": "x", "filename": "a"}, {"image": "a"}
    plugins = {
        **make_job(sidecars=[{"name": "s", "image": "a"}], connections=["datasets"]),
        "plugins": {"sidecar": {}},
    }
    return [
        Place("", examples_of(Operation), make_job()),
        Place("run", _without_kind(Job), make_job(), RUN),
        Place("run", _without_kind(Service), make_service(), RUN),
        Place(
            "run.environment",
            examples_of(Environment),
            make_job(environment={}),
            (*RUN, "environment"),
        ),
        Place("run.container", CONTAINER, make_job(volumes=volumes), (*RUN, "container")),
        Place(
            "run.sidecars[0]",
            CONTAINER,
            make_job(volumes=volumes, sidecars=[{"image": "a"}]),
            (*RUN, "sidecars", 0),
        ),
        Place(
            "run.init[0].container",
            CONTAINER,
            make_job(volumes=volumes, init=[{"container": {"image": "a"}}]),
            (*step, "container"),
        ),
        Place("run.init[0]", examples_of(Init), make_job(init=[{}]), step),
        Place(
            "run.init[0].file",
            examples_of(FileInit),
            make_job(init=[{"file": file}]),
            (*step, "file"),
        ),
        Place(
            "run.init[0].git",
            examples_of(GitInit),
            make_job(init=[{"git": {"url": "https://x.test/b"}}]),
            (*step, "git"),
        ),
        Place(
            "run.init[0].dockerfile",
            examples_of(DockerfileInit),
            make_job(init=[{"dockerfile": dockerfile}]),
            (*step, "dockerfile"),
        ),
        Place(
            "run.init[0].artifacts",
            examples_of(ArtifactsInit),
            make_job(init=[{"artifacts": {"files": ["b"]}}]),
            (*step, "artifacts"),
        ),
        Place(
            "run.init[0].tensorboard",
            examples_of(TensorboardInit),
            make_job(init=[{"tensorboard": {}}]),
            (*step, "tensorboard"),
        ),
        Place("plugins", examples_of(Plugins), {**make_job(), "plugins": {}}, ("plugins",)),
        Place("plugins.sidecar", examples_of(Sidecar), plugins, ("plugins", "sidecar")),
        Place(
            "termination",
            examples_of(Termination),
            {**make_job(), "termination": {}},
            ("termination",),
        ),
        Place(
            "termination.culling",
            examples_of(Culling),
            {**make_service(), "termination": {"culling": {}}},
            ("termination", "culling"),
        ),
        Place(
            "termination.probe",
            examples_of(ActivityProbe),
            {**make_service(), "termination": _CULLED},
            ("termination", "probe"),
        ),
        Place("cache", examples_of(Cache), {**_tuned_job(), "cache": {}}, ("cache",)),
        Place("control", examples_of(Control), {**make_job(), "control": {}}, ("control",)),
        Place("inputs.x", examples_of(IO), with_inputs(), ("component", "inputs", 0)),
        Place(
            "params.x",
            examples_of(Param),
            with_inputs(param={}, type="str", isOptional=True),
            ("params", "x"),
        ),
    ]
