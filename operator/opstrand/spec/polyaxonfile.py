"""Validate data as a component or an operation: the only entry for everything that a user wrote.

Owns the distinction of the kinds, and the collection of all problems of a file with path and line.
Must not merge or resolve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from opstrand.errors import REASONS, Problem, SpecError
from opstrand.spec.common import Common
from opstrand.spec.component import Component
from opstrand.spec.document import Document, Path, parse_document, parse_documents
from opstrand.spec.foreign_formats import Foreign, find_foreign
from opstrand.spec.old_format import find_old_keys
from opstrand.spec.operation import Operation
from opstrand.spec.problems import describe
from opstrand.spec.validation import validate
from opstrand.spec.yaml_reader import INT64, MAX_DEPTH
from opstrand.spec.yaml_writer import write_yaml
from opstrand.text import find_nearest, list_names

__all__ = [
    "Component",
    "Operation",
    "dotted",
    "note_spellings",
    "parse_component",
    "parse_operation",
    "parse_polyaxonfile",
    "read_polyaxonfile",
    "spec_error",
    "wrap",
]
#: Characters of a component that is suggested: a longer one does not help the user.
_MOST_SUGGESTED = 20_000
_Kind = TypeVar("_Kind", bound=Common)


def parse_operation(
    data: Any, *, document: Document | None = None, is_object: bool = False
) -> Operation:
    """The operation in `data`, which is what the `spec` of an Operation object holds.

    `is_object`: the data is an object in a cluster, or meant for one, where only the documented
    names of its own keys have an effect. Raises SpecError NotAnOperation for a component, else
    InvalidSpec, UnknownField and others, with all problems at once.
    """
    _validate_values(data, document)
    if data.get("kind") == "component":
        _refuse(
            "NotAnOperation",
            "this is a component; an operation has it under `component:`",
            ("kind",),
            document,
        )
    return _parse(Operation, data, document, is_object=is_object)


def parse_component(data: Any, *, document: Document | None = None) -> Component:
    """The component in `data`. Raises SpecError."""
    _validate_values(data, document)
    return _parse(Component, data, document)


def parse_polyaxonfile(data: Any, *, document: Document | None = None) -> Operation:
    """The operation in a file; a component is wrapped into one. Raises SpecError."""
    _validate_values(data, document)
    kind = data.get("kind")
    if kind not in (None, "component", "operation"):
        _refuse_other_formats(data, document)
        near = find_nearest(kind, ("component", "operation")) if isinstance(kind, str) else None
        hint = f"; did you mean '{near}'?" if near else ""
        _refuse(
            "InvalidSpec",
            f"expected component or operation, found {describe(kind)}{hint}",
            ("kind",),
            document,
        )
    if kind == "component":
        return wrap(_parse(Component, data, document))
    return _parse(Operation, data, document)


def wrap(component: Component) -> Operation:
    """An operation that runs this component unchanged."""
    operation = _bare_operation().model_copy(update={"component": component})
    respelled = tuple((("component", *path), key) for path, key in component.respelled)
    operation.__pydantic_private__ = {
        "_written": {"component": component.written},
        "_respelled": respelled,
    }
    return operation


@cache
def _bare_operation() -> Operation:
    """An operation with only defaults. Cached: making it takes as long as checking a component."""
    return Operation.model_construct()


def _parse(
    model: type[_Kind],
    data: Mapping[str, Any],
    document: Document | None,
    *,
    is_object: bool = False,
) -> _Kind:
    try:
        found = validate(
            model,
            data,
            may_rename=(lambda path: len(path) > 1) if is_object else (lambda path: True),
        )
    except ValidationError as error:
        _refuse_other_formats(data, document)
        raise spec_error(error, document) from None
    parsed = found.section
    parsed._written, parsed._respelled = found.data, found.keys
    return parsed


def note_spellings(parsed: Common) -> Iterator[str]:
    """A sentence for every key that is not written in its documented spelling."""
    for path, key in parsed.respelled:
        yield f"{dotted(path)}: read as `{key}`, which is the documented spelling"


def _refuse_other_formats(data: Mapping[str, Any], document: Document | None) -> None:
    """Report an invalid file as one of another format: the messages about ours would not help."""
    if foreign := find_foreign(data):
        raise _all([(foreign.path, _describe_foreign(foreign))], document)
    found = list(find_old_keys(data))
    if found:
        problems = [
            (path, f"'{dotted(path)}' is of Polyaxon 0.x; today one writes {today}")
            for path, today in found
        ]
        raise _all(
            [(path, Problem("OldFormat", message, dotted(path))) for path, message in problems],
            document,
        )


def read_polyaxonfile(data: bytes | str, *, source: str = "") -> Document:
    """The one document of a polyaxonfile.

    Raises SpecError as `parse_document` does; for a stream of another tool's documents it says what
    each of them is.
    """
    try:
        return parse_document(data, source=source)
    except SpecError as error:
        if error.reason == "InvalidYAML":
            _refuse_foreign_stream(data, source)
        raise


def _refuse_foreign_stream(data: bytes | str, source: str) -> None:
    """Report the documents of a stream if one of them is of another tool."""
    try:
        documents = parse_documents(data, source=source)
    except SpecError:
        return
    found = [
        (document, foreign)
        for document in documents
        if isinstance(document.data, Mapping) and (foreign := find_foreign(document.data))
    ]
    if found and len(documents) > 1:
        errors = [one.place([(it.path, _describe_foreign(it))]) for one, it in found]
        raise SpecError.of([problem for error in errors for problem in error.problems])


def _describe_foreign(foreign: Foreign) -> Problem:
    message = f"this is {foreign.name}, not a polyaxonfile"
    if foreign.component is None or not _is_valid(foreign.component):
        return Problem("ForeignFormat", message, dotted(foreign.path))
    if foreign.left_out:
        left_out = list_names([dotted(path) for path in foreign.left_out])
        message += f"; the component made from it leaves out {left_out}"
    text = write_yaml(foreign.component)
    suggestion = text if len(text) <= _MOST_SUGGESTED else ""
    return Problem("ForeignFormat", message, dotted(foreign.path), suggestion=suggestion)


def _is_valid(component: Mapping[str, Any]) -> bool:
    try:
        validate(Component, component, may_rename=lambda path: False)
    except ValidationError:
        return False
    return True


def spec_error(error: ValidationError, document: Document | None) -> SpecError:
    """A pydantic error as a SpecError: every problem with its path, and with its line where the
    document is given.
    """
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return _all([_problem(e) for e in found], document)


def _problem(error: Any) -> tuple[Path, Problem]:
    reason = error["type"] if error["type"] in REASONS else "InvalidSpec"
    path: Path = error["loc"]
    return path, Problem(reason, error["msg"], dotted(path))


def dotted(path: Sequence[str | int]) -> str:
    """The path as text: `run.init[0].file`."""
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(words).removeprefix(".")


def _refuse(reason: str, message: str, path: Path, document: Document | None) -> None:
    raise _all([(path, Problem(reason, message, dotted(path)))], document)


def _all(problems: Sequence[tuple[Path, Problem]], document: Document | None) -> SpecError:
    return (
        document.place(problems) if document else SpecError.of([problem for _, problem in problems])
    )


def _validate_values(data: Any, document: Document | None) -> None:
    """Refuse data that no section accepts: not a mapping, nested too deep, or not valid in JSON.

    Data read from a document was checked for this while it was read.
    """
    if not isinstance(data, Mapping):
        found = (
            "an empty file (`opstrand init` writes a first one)" if data is None else describe(data)
        )
        _refuse(
            "InvalidSpec",
            f"expected a component or an operation (a mapping), found {found}",
            (),
            document,
        )
    if document is not None and data is document.data:
        return
    problems: list[tuple[Path, Problem]] = []
    todo: list[tuple[Path, Any]] = [((), data)]
    while todo:
        path, value = todo.pop()
        fault = _fault(path, value)
        if fault:
            problems.append((path, Problem("InvalidSpec", fault, dotted(path))))
        elif isinstance(value, str):
            continue  # the most frequent case; the check for a Mapping is slow
        elif isinstance(value, Mapping):
            todo += [((*path, str(key)), inner) for key, inner in value.items()]
        elif isinstance(value, (list, tuple)):
            todo += [((*path, index), inner) for index, inner in enumerate(value)]
    if problems:
        raise _all(problems, document)


def _fault(path: Path, value: Any) -> str | None:
    if len(path) > MAX_DEPTH:
        return f"nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        return (
            "a key must be text, found "
            f"{describe(next(key for key in value if not isinstance(key, str)))}"
        )
    if isinstance(value, int) and value not in INT64:
        return "the number does not fit into 64 bits; quote it if it is text"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number; JSON and Kubernetes have no such value"
    return None
