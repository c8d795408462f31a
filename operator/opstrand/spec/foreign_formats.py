"""Recognise files of other tools, and make the component that does the same where that is possible.

Owns what such files look like. Called only for an invalid file, so that no valid file is mistaken
for a foreign one. Must not validate the component: the caller does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

#: A polyaxonfile may have an `apiVersion` by mistake.
_OURS = ("component", "operation")
#: Keys of a container that mean the same in a component.
_KEPT = ("image", "command", "args", "workingDir", "env", "envFrom", "resources")
#: Kind of Kubernetes -> where its Pod is, and the kind of `run` that does the same.
_PODS: dict[str, tuple[Path, str]] = {
    "Pod": (("spec",), "job"),
    "Job": (("spec", "template", "spec"), "job"),
    "CronJob": (("spec", "jobTemplate", "spec", "template", "spec"), "job"),
    "Deployment": (("spec", "template", "spec"), "service"),
    "StatefulSet": (("spec", "template", "spec"), "service"),
    "ReplicaSet": (("spec", "template", "spec"), "service"),
    "DaemonSet": (("spec", "template", "spec"), "service"),
}
#: Kind of Argo -> where its `templates` are.
_WORKFLOWS: dict[str, Path] = {
    "Workflow": ("spec",),
    "WorkflowTemplate": ("spec",),
    "ClusterWorkflowTemplate": ("spec",),
    "CronWorkflow": ("spec", "workflowSpec"),
}
#: API group -> the tool that users know; any other group is of Kubernetes.
_TOOLS = {
    "argoproj.io": "an Argo",
    "tekton.dev": "a Tekton",
    "kubeflow.org": "a Kubeflow",
    "ray.io": "a Ray",
}
_ARGO_PARAM = re.compile(r"\{\{\s*(?:inputs|workflow)\.parameters\.([\w-]+)\s*\}\}")
_TEKTON_PARAM = re.compile(r"\$\((?:inputs\.)?params\.([\w-]+)\)")
_MLPROJECT_PARAM = re.compile(r"\{(\w+)\}")
_MLPROJECT_TYPES = {"float": "float"}
#: Shells and interpreters that take a script after `-c`.
_RUNS_SCRIPT = ("sh", "bash", "python", "python3")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")
_PORT = re.compile(r"(?:.*:)?(\d+)(?:/tcp)?")


@dataclass(frozen=True)
class Foreign:
    """A file of another tool."""

    #: With its article: `a Kubernetes Job`.
    name: str
    #: The key that shows what the file is.
    path: Path
    component: Mapping[str, Any] | None = None
    #: What the component does not have of the file.
    left_out: tuple[Path, ...] = ()


@dataclass
class _Draft:
    """The component as it is made, and which parts of the file are in it."""

    data: Mapping[str, Any]
    container: dict[str, Any] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    name: str = ""
    kind: str = "job"
    used: set[Path] = field(default_factory=set)

    def get(self, *path: str | int) -> Any:
        """Return the value at the path; None if there is none."""
        value: Any = self.data
        for step in path:
            if isinstance(value, list):
                value = value[step] if isinstance(step, int) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def use(self, *path: str | int) -> Any:
        """Return the value at the path, and count it as kept."""
        value = self.get(*path)
        if value is not None:
            self.used.add(path)
        return value

    def keep(self, key: str, value: Any) -> None:
        if value is not None:
            self.container[key] = value

    def make(self) -> dict[str, Any] | None:
        """Return the component, or None if no image is known."""
        if not self.container.get("image"):
            return None
        name = {"name": self.name} if _NAME.fullmatch(self.name) else {}
        inputs = {"inputs": self.inputs} if self.inputs else {}
        ports = {"ports": self.ports} if self.ports else {}
        run = {"kind": self.kind, **ports, "container": self.container}
        return {"version": 1.1, "kind": "component", **name, **inputs, "run": run}


def find_foreign(data: Mapping[str, Any]) -> Foreign | None:
    """Return which tool's file this is; None if it is of no tool that is known here."""
    version, kind = data.get("apiVersion"), data.get("kind")
    if isinstance(version, str) and isinstance(kind, str) and kind not in _OURS:
        return _find_object(data, version.partition("/")[0] if "/" in version else "", kind)
    for name, key, matches, read in _FILES:
        items = data.get(key)
        if isinstance(items, Mapping) and any(map(matches, items.values())):
            return _finish(name, (key,), data, read)
    return None


def _find_object(data: Mapping[str, Any], group: str, kind: str) -> Foreign:
    name = f"{_TOOLS.get(group, 'a Kubernetes')} {kind}"
    read = {"argoproj.io": _read_workflow, "tekton.dev": _read_task}.get(group, _read_pod)
    return _finish(name, ("kind",), data, read)


def _finish(
    name: str, path: Path, data: Mapping[str, Any], read: Callable[[_Draft], None] | None
) -> Foreign:
    draft = _Draft(data)
    if read is not None:
        read(draft)
    component = draft.make()
    left_out = tuple(_find_unused(data, draft)) if component else ()
    return Foreign(name, path, component, left_out)


def _find_unused(data: Mapping[str, Any], draft: _Draft) -> Iterator[Path]:
    """Yield what is not kept: the parts of a value of which something is kept, else the whole."""
    parents = {one[:length] for one in draft.used for length in range(len(one))}
    todo: list[tuple[Path, Any]] = [((), data)]
    while todo:
        path, value = todo.pop()
        if path in draft.used:
            continue
        if path not in parents:
            yield path
        elif isinstance(value, Mapping):
            todo += [((*path, key), inner) for key, inner in reversed([*value.items()])]
        elif isinstance(value, list):
            todo += [((*path, index), inner) for index, inner in reversed([*enumerate(value)])]


def _read_metadata(draft: _Draft) -> None:
    draft.used |= {("apiVersion",), ("kind",)}
    name = draft.use("metadata", "name") or draft.use("metadata", "generateName")
    draft.name = str(name or "").rstrip("-")


def _read_container(draft: _Draft, *path: str | int) -> None:
    draft.use(*path, "name")
    for key in _KEPT:
        draft.keep(key, draft.use(*path, key))


def _read_pod(draft: _Draft) -> None:
    place, draft.kind = _PODS.get(str(draft.get("kind")), ((), "job"))
    if not place:
        return
    _read_metadata(draft)
    first = (*place, "containers", 0)
    _read_container(draft, *first)
    if draft.kind == "service":
        ports = draft.get(*first, "ports")
        for index in range(len(ports) if isinstance(ports, list) else 0):
            port = draft.use(*first, "ports", index, "containerPort")
            draft.ports += [port] if isinstance(port, int) else []


def _read_workflow(draft: _Draft) -> None:
    place = _WORKFLOWS.get(str(draft.get("kind")))
    templates = draft.get(*place, "templates") if place else None
    if place is None or not isinstance(templates, list):
        return
    _read_metadata(draft)
    entry = draft.use(*place, "entrypoint")
    names = [one.get("name") if isinstance(one, Mapping) else None for one in templates]
    index = names.index(entry) if entry in names else 0
    template = (*place, "templates", index)
    draft.use(*template, "name")
    for holder in ((*place, "arguments"), (*template, "inputs")):
        _read_params(draft, (*holder, "parameters"), "value")
    if draft.get(*template, "script") is not None:
        _read_container(draft, *template, "script")
        _read_script(draft, draft.use(*template, "script", "source"))
    else:
        _read_container(draft, *template, "container")
    draft.container = _translate(draft.container, _ARGO_PARAM)


def _read_task(draft: _Draft) -> None:
    if draft.get("kind") not in ("Task", "ClusterTask"):
        return
    _read_metadata(draft)
    _read_params(draft, ("spec", "params"), "default")
    _read_container(draft, "spec", "steps", 0)
    script = draft.use("spec", "steps", 0, "script")
    if script is not None:
        _read_script(draft, script)
    draft.container = _translate(draft.container, _TEKTON_PARAM)


def _read_script(draft: _Draft, script: Any) -> None:
    command = draft.container.get("command")
    words = command if isinstance(command, list) and command else ["sh"]
    runs = str(words[0]).rpartition("/")[2] in _RUNS_SCRIPT
    draft.container["command"] = [*(words[:1] if runs else ["sh"]), "-c"]
    draft.container["args"] = [script]


def _read_params(draft: _Draft, path: Path, default: str) -> None:
    params, known = draft.get(*path), {one["name"] for one in draft.inputs}
    for index in range(len(params) if isinstance(params, list) else 0):
        name = draft.use(*path, index, "name")
        draft.use(*path, index, "type")
        draft.use(*path, index, "description")
        value = draft.use(*path, index, default)
        if isinstance(name, str) and _identifier(name) not in known:
            given = {} if value is None else {"value": str(value)}
            draft.inputs.append({"name": _identifier(name), "type": "str", **given})
            known.add(_identifier(name))


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def _translate(value: Any, param: re.Pattern[str]) -> Any:
    """Return the value with references to params as templates of ours."""
    if isinstance(value, str):
        return param.sub(lambda found: f"{{{{ {_identifier(found.group(1))} }}}}", value)
    if isinstance(value, Mapping):
        return {key: _translate(inner, param) for key, inner in value.items()}
    return [_translate(inner, param) for inner in value] if isinstance(value, list) else value


def _read_compose(draft: _Draft) -> None:
    draft.use("version")
    services = draft.get("services")
    name = next(
        (key for key, one in services.items() if isinstance(one, Mapping) and one.get("image")), ""
    )
    place = ("services", name)
    draft.name = str(name)
    draft.keep("image", draft.use(*place, "image"))
    draft.keep("command", _split(draft.use(*place, "entrypoint")))
    draft.keep("args", _split(draft.use(*place, "command")))
    draft.keep("workingDir", draft.use(*place, "working_dir"))
    draft.keep("env", _read_environment(draft, *place, "environment"))
    limits = {
        ours: draft.use(*place, "deploy", "resources", "limits", theirs)
        for ours, theirs in (("cpu", "cpus"), ("memory", "memory"))
    }
    if given := {key: value for key, value in limits.items() if value is not None}:
        draft.keep("resources", {"limits": given})
    ports = draft.get(*place, "ports")
    for index, port in enumerate(ports if isinstance(ports, list) else []):
        if found := _PORT.fullmatch(str(port)):
            draft.use(*place, "ports", index)
            draft.ports.append(int(found.group(1)))
    draft.kind = "service" if draft.ports else "job"


def _split(command: Any) -> Any:
    try:
        return shlex.split(command) if isinstance(command, str) else command
    except ValueError:
        return ["sh", "-c", command]


def _read_environment(draft: _Draft, *place: str | int) -> list[dict[str, str]] | None:
    """Return variables as Kubernetes has them; those without a value come from the user's shell."""
    given, pairs = draft.get(*place), []
    if isinstance(given, Mapping):
        pairs = [(key, str(key), value) for key, value in given.items()]
    elif isinstance(given, list):
        texts = [str(one).partition("=") for one in given]
        pairs = [(i, name, value if sign else None) for i, (name, sign, value) in enumerate(texts)]
    found = []
    for step, name, value in pairs:
        if draft.use(*place, step) is not None and value is not None:
            found.append({"name": name, "value": _as_text(value)})
        else:
            draft.used.discard((*place, step))
    return found or None


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_mlproject(draft: _Draft) -> None:
    entries = draft.get("entry_points")
    entry = "main" if "main" in entries else next(iter(entries))
    place = ("entry_points", entry)
    draft.name = str(draft.use("name") or "")
    draft.keep("image", draft.use("docker_env", "image"))
    params = draft.use(*place, "parameters")
    for name, given in params.items() if isinstance(params, Mapping) else ():
        about = given if isinstance(given, Mapping) else {"type": given}
        kind = _MLPROJECT_TYPES.get(str(about.get("type")), "str")
        value = {"value": about["default"]} if about.get("default") is not None else {}
        draft.inputs.append({"name": str(name), "type": kind, **value})
    command = str(draft.use(*place, "command"))
    draft.container |= {"command": ["sh", "-c"], "args": [_translate(command, _MLPROJECT_PARAM)]}


def _has(*keys: str) -> Callable[[Any], bool]:
    """Return a test for a mapping with one of these keys."""
    return lambda value: isinstance(value, Mapping) and any(key in value for key in keys)


#: Name, the key that shows the format, what one of its items must be, and how it is read.
_FILES: tuple[tuple[str, str, Callable[[Any], bool], Callable[[_Draft], None] | None], ...] = (
    ("a docker-compose file", "services", _has("image", "build"), _read_compose),
    ("a GitHub workflow", "jobs", _has("runs-on", "uses"), None),
    ("an MLproject file", "entry_points", _has("command"), _read_mlproject),
)
