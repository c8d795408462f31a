"""Validate objects for kubectl, for `opstrand check`: a stream of documents, each by itself.

Owns how they differ from polyaxonfiles, and the validation outside their `spec`. Every rule about
the `spec` lives in `spec` and `core`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from opstrand.cli.checking.recovery import validate_rest
from opstrand.cli.checking.rendering import check_name
from opstrand.cli.checking.validate import Verdict, validate_submission
from opstrand.cli.files.source_map import Layer
from opstrand.cli.files.submission import Submission, is_manifest
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.names import API_VERSION, GROUP
from opstrand.core.pipelines.hooks import find_own_hooks, list_all
from opstrand.core.pipelines.hub import component_name, find_itself
from opstrand.core.templates.template import Evaluate
from opstrand.errors import Problem, SpecError
from opstrand.spec.document import Document, Path, parse_documents
from opstrand.spec.polyaxonfile import parse_operation
from opstrand.text import suggest

_KINDS = ("Operation", "Component")
#: Finds our API group in a file that cannot be parsed.
_API_VERSION = re.compile(
    rb"""["']?apiVersion["']?\s*:\s*["']?""" + re.escape(GROUP).encode() + b"/"
)


def find_manifests(data: bytes, source: str) -> list[Document]:
    """Return the documents of a stream that holds an object of ours, as kubectl reads them.

    Returns none if the stream is a polyaxonfile.
    """
    if GROUP.encode() not in data:
        return []
    try:
        found = parse_documents(data, source=source)
    except SpecError:
        if _API_VERSION.search(data):
            raise
        return []
    return found if any(map(is_manifest, found)) else []


def validate_manifest(document: Document, *, evaluate: Evaluate) -> Verdict:
    """Return everything that is wrong with one object, or a note if it is not ours."""
    if not is_manifest(document):
        kind = document.data.get("kind") if isinstance(document.data, Mapping) else None
        return Verdict(
            notes=(f"not validated: {kind or 'a document without a kind'} is no object of {GROUP}",)
        )
    head = tuple(_validate_head(document.data))
    if head:
        return Verdict(document.place(head).problems)
    spec, kind = document.inside("spec"), document.data["kind"]
    verdict = validate_rest(
        spec, lambda one: validate_submission(_read(one, kind), evaluate=evaluate, complete=False)
    )
    itself = list(_validate_itself(document.data))
    return (
        replace(
            verdict,
            problems=(*verdict.problems, *_read(spec, kind).place(SpecError.of(itself)).problems),
        )
        if itself
        else verdict
    )


def _validate_itself(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Refuse a ref to the object's own name: only here is a name known before the run exists."""
    if data["kind"] == "Component":
        yield from _find_own_component(data)
        return
    name, params = (data.get("metadata") or {}).get("name"), data["spec"].get("params")
    for param, written in params.items() if isinstance(params, Mapping) else ():
        if name and isinstance(written, Mapping) and written.get("ref") == f"ops.{name}":
            yield Problem("RefToItself", f"'ops.{name}' is this very run", f"params.{param}.ref")
    events = data["spec"].get("events")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        if name and isinstance(event, Mapping) and event.get("ref") == f"ops.{name}":
            yield Problem("RefToItself", f"'ops.{name}' is this very run", f"events[{index}].ref")


def _find_own_component(data: Mapping[str, Any]) -> list[Problem]:
    """Find the operations of a pipeline that are the pipeline itself."""
    try:
        compiled = compile_operation(parse_operation({"component": data["spec"]}))
        name = str((data.get("metadata") or {}).get("name"))
        return [
            *find_itself(compiled.nodes, name),
            *find_own_hooks(list_all(compiled.hooks, compiled.plugins), name),
        ]
    except SpecError:
        return []  # the validation of its spec says why


def _validate_head(data: Mapping[str, Any]) -> list[tuple[Path, Problem]]:
    """Return what the API server would refuse, or would store as another object."""
    if data["apiVersion"] != API_VERSION:
        return [_problem(("apiVersion",), f"expected {API_VERSION}, found {data['apiVersion']!r}")]
    if data.get("kind") not in _KINDS:
        return [
            _problem(
                ("kind",),
                f"{GROUP} has no kind {data.get('kind')!r}{suggest(str(data.get('kind')), _KINDS)}",
            )
        ]
    if not isinstance(data.get("spec"), Mapping):
        return [_problem(("spec",), f"expected the {data['kind'].lower()} (a mapping), found none")]
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if name is None:
        given = (
            data["kind"] == "Operation"
            and isinstance(metadata, Mapping)
            and metadata.get("generateName")
        )
        return [] if given else [_problem(("metadata", "name"), "is required")]
    try:
        check_name(str(name)) if data["kind"] == "Operation" else component_name(str(name))
    except SpecError as error:
        return [
            (
                ("metadata", "name"),
                Problem(error.problems[0].reason, error.problems[0].message, "metadata.name"),
            )
        ]
    return []


def _problem(path: Path, message: str) -> tuple[Path, Problem]:
    return path, Problem("InvalidSpec", message, ".".join(map(str, path)))


def _read(spec: Document, kind: str) -> Submission:
    if kind == "Operation":
        return Submission(spec.data, (Layer(spec),), {}, is_component=False)
    return Submission(
        {"component": {"kind": "component", **spec.data}},
        (Layer(spec, ("component",)),),
        {},
        is_component=True,
    )
