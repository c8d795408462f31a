"""Write the custom resources from the models to `crds/operation.yaml` and `crds/component.yaml`,
and the names of their fields beside `spec.field_names`.

Owns names, columns, and the rules that the API server itself enforces. `python -m
opstrand.spec.crd.write` writes the files, `--check` says whether they are up to date. Must not be
imported by the operator or the API; `opstrand doctor` compares a cluster with it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opstrand.spec import field_names
from opstrand.spec.component import Component
from opstrand.spec.crd.schema import (
    MAX_ITEMS,
    OPEN,
    Schema,
    accepting_null,
    keys_of,
    object_schema,
    section_schema,
)
from opstrand.spec.crd.status import FINAL_PHASES, status_schema
from opstrand.spec.crd.status_words import describe
from opstrand.spec.operation import Control, Operation
from opstrand.spec.shape import fields_of
from opstrand.spec.yaml_writer import write_yaml

GROUP, VERSION = "opstrand.dev", "v1"
MAX_NAME = 52
FOLDER = Path(__file__).resolve().parents[4] / "crds"
_NOTE = "# Generated from operator/opstrand/spec by `make crds`; not edited by hand.\n"

#: What may change in an Operation after its creation. The rest is the request, which is one run.
#: A schedule may change, but not come or go: with it, the run is of another kind.
EDITABLE = ("control", "isApproved", "termination", "schedule")
_LASTING = "has(self.spec.schedule) == has(oldSelf.spec.schedule)"
_ONE_RUN = (
    "an Operation is one run: use a new name, kubectl create with generateName, or opstrand run"
)
#: A CEL rule can only name keys of a declared type: the value of each of these must be an object or
#: a list, not a template for the whole. Templates inside it are fine.
_OBJECTS: tuple[str, ...] = (
    "cache",
    "plugins",
    "build",
    "run",
    "matrix",
    "schedule",
    "container",
    "environment",
    "template",
    "component",
)
_OBJECTS += ("termination", "params", "runPatch", "env", "resources", "inherited")
_LISTS_OF_OBJECTS = ("hooks", "events", "joins", "inputs", "outputs", "init", "sidecars", "volumes")
_LISTS_OF_TEXT = ("dependencies", "connections")
#: These are text or a list, for which there is no type. The rule on the whole spec covers them.
_EITHER = ("tags", "presets", "mount", "cmd")
_SCALARS: dict[str, str] = {
    "version": "number",
    "cost": "number",
    "skipOnUpstreamSkip": "boolean",
    "isApproved": "boolean",
}
#: Enough for any text except the content of a file. Without it the server estimates every rule as
#: too costly.
_MAX_TEXT = 4096
#: Reserved words of CEL, which must be escaped as names of keys.
_RESERVED = ("namespace",)
#: The server keeps the status at a write of the rest, and the rest at a write of the status.
_STATUS_GREW = (
    "has(self.status) && (!has(oldSelf.status) || (has(self.status.history) && "
    "(!has(oldSelf.status.history) || "
    "size(self.status.history) > size(oldSelf.status.history))))"
)
_REFERENCES = ("hubRef", "pathRef", "urlRef", "dagRef")


def operation_crd() -> Schema:
    spec = _spec_schema(Operation)
    spec["properties"]["control"] = _control_schema()
    ruled = [key for key in spec["properties"] if key not in (*EDITABLE, *_EITHER)]
    for key in ruled:
        if spec["properties"][key].get("type") == "object":
            # It never changes, so the server need not track who owns which key in it.
            spec["properties"][key]["x-kubernetes-map-type"] = "atomic"
    spec["x-kubernetes-validations"] = _one_of_rules()
    root = _root_schema(
        "One run of a component.", {"spec": spec, "status": describe(status_schema())}
    )
    root["x-kubernetes-validations"] += [_immutable(ruled), _resumable()]
    columns = [
        _column("Kind", ".status.kind"),
        _column("Phase", ".status.phase"),
        _column("Reason", ".status.reason"),
        _column("Children", ".status.children.summary"),
        _column("Started", ".status.startedAt", "date"),
        _column("Duration", ".status.elapsed"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Best", ".status.best.value", "number", priority=1),
        _column("Pod", ".status.pod.name", priority=1),
        _column("UUID", ".status.uuid", priority=1),
        # The last column, of any width, as for events: kubectl shows the first line.
        _column("Message", ".status.message"),
    ]
    version = {
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".status.phase"}],
        "additionalPrinterColumns": columns,
    }
    # `kubectl get all` shows what runs; a Component is a file.
    return _crd("Operation", ["op", "ops"], root, version, categories=["all"])


def component_crd() -> Schema:
    spec = _spec_schema(Component)
    columns = [
        _column("Kind", ".spec.run.kind"),
        _column("Description", ".spec.description"),
        _column("Age", ".metadata.creationTimestamp", "date"),
    ]
    root = _root_schema("A reusable component, named by hubRef.", {"spec": spec})
    del root["x-kubernetes-validations"]  # `echo.v2` is a valid name: version v2 of echo
    return _crd("Component", [], root, {"additionalPrinterColumns": columns}, categories=[])


def _spec_schema(model: type[Component] | type[Operation]) -> Schema:
    schema = section_schema(model)
    properties = schema["properties"]
    shapes = {key: shape for key, (shape, _) in fields_of(model).items()}
    for key in _OBJECTS:
        if key in properties and "properties" not in properties[key]:
            properties[key] = _typed(
                properties[key],
                **object_schema(keys_of(shapes["run" if key == "runPatch" else key])),
            )
    properties["env"] = _typed(
        properties["env"],
        type="object",
        additionalProperties={"type": "string", "maxLength": _MAX_TEXT},
    )
    for key in _LISTS_OF_OBJECTS:
        items = object_schema(keys_of(shapes[key].items or shapes[key]))
        properties[key] = _typed(properties[key], type="array", maxItems=MAX_ITEMS, items=items)
    for key in _LISTS_OF_TEXT:
        properties[key] = _typed(
            properties[key],
            type="array",
            maxItems=MAX_ITEMS,
            items={"type": "string", "maxLength": _MAX_TEXT},
        )
    for key in _EITHER:
        properties[key] = _typed(properties[key], **OPEN)
    for key, kind in _SCALARS.items():
        properties[key] = _typed(properties[key], type=kind)
    for schema_of_key in properties.values():
        if schema_of_key.get("type") == "string":
            schema_of_key["maxLength"] = _MAX_TEXT
    return {**schema, "properties": accepting_null(properties)}


def _typed(schema: Mapping[str, Any], **kind: Any) -> Schema:
    return {"description": schema["description"], **kind}


def _control_schema() -> Schema:
    return {
        "description": fields_of(Operation)["control"][1].description,
        **section_schema(Control),
    }


def _immutable(ruled: Sequence[str]) -> Schema:
    """Refuse a changed key, an added one and a removed one. The keys that no rule can name may only
    change together with an editable key.

    The server evaluates every rule at every write of a status too, and a comparison of the spec
    took it 40 percent of such a write. So the rule first looks for what only a write of the status
    can do, which cannot change the spec: adding a status, or an entry of its history. Then it
    compares the whole spec at once. The changed key is looked for only to name it in the message.

    One change is not detected: a param that is only renamed, since the server knows neither name.
    It does not affect a run that has started: its inputs are frozen.
    """
    whole = "self.spec == oldSelf.spec && oldSelf.spec == self.spec"
    same = " && ".join(f"({_is_same(key)})" for key in ruled)
    edited = " || ".join(f"!({_is_same(key)})" for key in EDITABLE)
    changes = [*((_is_same(key), key) for key in ruled), (_LASTING, "schedule")]
    first = " : ".join(f"!({same_key}) ? '{key}'" for same_key, key in changes)
    return {
        "rule": f"({_STATUS_GREW}) || ({whole}) || ({_LASTING} && {same} && ({edited}))",
        "message": f"what was asked cannot change; {_ONE_RUN}",
        "messageExpression": f"({first} : 'what was asked') + ' cannot change; {_ONE_RUN}'",
        "fieldPath": ".spec",
    }


def _resumable() -> Schema:
    """Refuse a larger `control.resume` while the run is live, or while an order stands that would
    end it again at once. One patch may do both: remove the order and resume.
    """
    new, old = "self.spec.control", "oldSelf.spec.control"
    unchanged = f"has({old}) && has({old}.resume) && {old}.resume == {new}.resume"
    finals = ", ".join(f"'{phase}'" for phase in FINAL_PHASES)
    is_over = (
        f"has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase in [{finals}]"
    )
    is_free = " && ".join(f"!(has({new}.{key}) && {new}.{key})" for key in ("stop", "skip"))
    return {
        "rule": f"!has({new}) || !has({new}.resume) || ({unchanged}) || ({is_over} && {is_free})",
        "message": "only a run that is over can be resumed, without control.stop and control.skip",
        "messageExpression": (
            f"{is_over} ? 'control.stop or control.skip would end it at once: remove them in the "
            "same patch' : 'the run has not ended: wait for its end, or stop it, before it is "
            "resumed'"
        ),
        "fieldPath": ".spec.control",
    }


def _is_same(key: str) -> str:
    """Compare in both directions: the server skips keys of the first object that the schema does
    not name and the second object lacks.
    """
    name = f"__{key}__" if key in _RESERVED else key
    one, other = f"self.spec.{name}", f"oldSelf.spec.{name}"
    return f"has({one}) == has({other}) && (!has({one}) || ({one} == {other} && {other} == {one}))"


def _at_creation(rule: str) -> Schema:
    """A rule about what cannot change later: at every later write it would only cost time."""
    return {"rule": f"oldSelf.hasValue() || ({rule})", "optionalOldSelf": True}


def _one_of_rules() -> list[Schema]:
    given = " + ".join(f"(has(self.{key}) ? 1 : 0)" for key in (*_REFERENCES, "component"))
    return [
        {
            **_at_creation(f"{given} <= 1"),
            "message": (
                "at most one of component, hubRef, pathRef, urlRef and dagRef says what runs"
            ),
        },
        {
            **_at_creation("!has(self.kind) || self.kind == 'operation'"),
            "message": (
                "this is a component; write it under `component:`, or apply it as kind Component"
            ),
        },
        {
            "rule": "!has(oldSelf.control) || !has(oldSelf.control.resume) || "
            "(has(self.control) && has(self.control.resume) && self.control.resume >= "
            "oldSelf.control.resume)",
            "message": "control.resume only grows: write a larger number, and never remove it",
            "fieldPath": ".control",
        },
    ]


def _root_schema(description: str, properties: Mapping[str, Schema]) -> Schema:
    name_rule = {
        **_at_creation(
            f"size(self.metadata.name) <= {MAX_NAME} && "
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
        ),
        "message": f"the name may have at most {MAX_NAME} lower-case letters, digits and dashes",
    }
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **properties,
        },
        "x-kubernetes-validations": [name_rule],
    }


def _column(name: str, path: str, kind: str = "string", *, priority: int = 0) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


def _crd(
    kind: str, short_names: list[str], root: Schema, version: Schema, *, categories: Sequence[str]
) -> Schema:
    plural = f"{kind.lower()}s"
    names: Schema = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "categories": ["opstrand", *categories],
    }
    if short_names:
        names["shortNames"] = short_names
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    **version,
                }
            ],
        },
    }


def render() -> dict[str, str]:
    """The text of each file, by its name."""
    crds = {"operation.yaml": operation_crd(), "component.yaml": component_crd()}
    return {name: _NOTE + write_yaml(crd, width=140) for name, crd in crds.items()}


def main(arguments: list[str]) -> int:
    """Write the files, or with --check report which are out of date."""
    files = {FOLDER / name: text for name, text in render().items()}
    files[field_names.FILE] = field_names.write_tree(field_names.make_tree())
    stale = [file for file, text in files.items() if not file.exists() or file.read_text() != text]
    if "--check" in arguments:
        for file in stale:
            sys.stderr.write(f"{file.name} is out of date: run `make crds`\n")
        return 1 if stale else 0
    for file, text in files.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
