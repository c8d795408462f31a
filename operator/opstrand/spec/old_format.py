"""Recognise files of Polyaxon 0.x, and say what replaces each of their keys today.

Owns the keys of the old format. Called only for an invalid file, so that no valid file is mistaken
for an old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

#: Kind of an old file -> what is written today.
_KINDS = {
    "experiment": "`kind: component` with `run: {kind: job, container: {...}}`",
    "group": "`kind: operation` with the component and a `matrix`",
    "build": (
        "`kind: component` with `run: {kind: job, init: [{dockerfile: {...}}], container: {...}}`"
    ),
    "job": "`kind: component` with `run: {kind: job, container: {...}}`",
    "pipeline": "`kind: component` with `run: {kind: dag, operations: [...]}`",
    "notebook": "`kind: component` with `run: {kind: service, ports: [...], container: {...}}`",
    "tensorboard": "`kind: component` with `run: {kind: service, ports: [...], container: {...}}`",
    "plugin": "`kind: component` with `run: {kind: service, ports: [...], container: {...}}`",
}
_PROCESSES = "the distributed kinds of `run`, such as `run: {kind: tfjob, worker: {...}}`"
#: Keys at these paths that no file of today has -> what is written today.
_KEYS: dict[Path, str] = {
    ("declarations",): "`inputs` of the component, and `params` of the operation",
    ("hptuning",): "`matrix` of an operation, such as `matrix: {kind: grid, params: {...}}`",
    ("settings",): "`matrix` and `schedule` of an operation",
    ("framework",): _PROCESSES,
    ("tensorflow",): _PROCESSES,
    ("pytorch",): _PROCESSES,
    ("horovod",): _PROCESSES,
    ("mxnet",): _PROCESSES,
    ("logging",): "nothing: the log is what the program prints",
    ("backend",): "nothing",
    ("ops",): "`run: {kind: dag, operations: [...]}`",
}
#: Keys that a file of today may have by mistake: they indicate the old format only beside others.
_WEAK: dict[Path, str] = {
    ("run", "cmd"): "`run.container.command`, such as `command: [sh, -c, ...]`",
    ("build", "image"): "`run.container.image`: an image that exists, or an operation with `build`",
    (
        "build",
        "dockerfile",
    ): "`run.container.image`: an image that exists, or an operation with `build`",
    ("build", "build_steps"): "`run` of an `init` step with `dockerfile`",
    ("build", "env_vars"): "`env` of an `init` step with `dockerfile`",
    ("build", "ref"): "`init: [{git: {url: ..., revision: ...}}]`",
    ("build", "context"): "`init: [{git: {url: ...}}]`",
    (
        "environment",
        "resources",
    ): "`run.container.resources`, such as `{limits: {cpu: 1, memory: 1Gi}}`",
    ("environment", "node_selector"): "`run.environment.nodeSelector`",
    ("environment", "service_account"): "`run.environment.serviceAccountName`",
    ("environment", "image_pull_secrets"): "`run.environment.imagePullSecrets`",
    ("environment", "max_restarts"): "`termination.maxRetries`",
    ("environment", "restart_policy"): "`termination.maxRetries`",
    ("environment", "env_vars"): "`run.container.env`",
    ("environment", "persistence"): "`run.connections`",
    ("environment", "data_refs"): "`run.connections`",
    ("environment", "artifact_refs"): "`run.connections`",
    ("environment", "outputs"): "`params` with `ref: runs.UUID`",
    ("environment", "secret_refs"): "`run.container.envFrom`",
    ("environment", "config_map_refs"): "`run.container.envFrom`",
    ("environment", "configmap_refs"): "`run.container.envFrom`",
}


def find_old_keys(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each key of the old format with what is written today; none if the file is not of that
    format.
    """
    strong = [*_find_head(data), *_find(data, _KEYS)]
    weak = list(_find(data, _WEAK))
    if any(path != ("version",) for path, _ in strong) or len(weak) > 1 or (strong and weak):
        yield from strong
        yield from weak


def _find_head(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    if _is_old_version(data.get("version")):
        yield ("version",), "`version: 1.1`"
    kind = data.get("kind")
    if isinstance(kind, str) and kind in _KINDS:
        yield ("kind",), _KINDS[kind]


def _is_old_version(version: Any) -> bool:
    if isinstance(version, str):
        return version.strip().startswith("0.")
    return isinstance(version, int | float) and not isinstance(version, bool) and 0 <= version < 1


def _find(data: Mapping[str, Any], keys: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    for path, today in keys.items():
        inner: Any = data
        for step in path:
            if not isinstance(inner, Mapping) or step not in inner:
                break
            inner = inner[step]
        else:
            yield path, today
