"""The `init` section of a plan: its steps rendered, completed, and in the order in which they run.

Owns the order (params with toInit, then built-in steps as listed, then pure containers), a file's
default name, and which values can become a step. Must not say where a step's data lands:
`init_steps` does.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from opstrand.core.limits import INIT_FILES, check_size
from opstrand.core.planning.containers import clean_container
from opstrand.core.planning.expansion import keep_traces
from opstrand.core.resolving.bindings import Slot
from opstrand.core.templates.meter import Evaluate, Exhausted
from opstrand.core.templates.template import render, render_text
from opstrand.core.templates.traced import forget
from opstrand.core.values.types import to_text
from opstrand.errors import Problem, SpecError
from opstrand.text import shorten

#: Types whose values are steps by themselves.
_OWN_STEPS = ("git", "artifacts", "dockerfile")
_FILENAME = "file"
#: Parts of a step in languages that other programs interpret.
_TRACED = ("container", "dockerfile")


#: A step, and its path in the polyaxonfile.
PlacedStep = tuple[dict[str, Any], str]


def render_init(
    steps: Any, given: Iterable[tuple[Slot, Any]], context: Mapping[str, Any], *, evaluate: Evaluate
) -> tuple[PlacedStep, ...]:
    """Render the steps of `run.init`, after those that params request with toInit.

    `given`: slots with toInit and their values. Raises SpecError with all problems of the steps.
    """
    if not isinstance(steps, list | tuple):
        raise SpecError(
            "InvalidSpec", f"expected a list of steps, found {shorten(repr(steps), 80)}", "run.init"
        )
    asked = [
        (step, slot.path) for slot, value in given if (step := make_step(slot, value)) is not None
    ]
    rendered: list[PlacedStep] = []
    problems: list[Problem] = []
    for index, step in enumerate(steps):
        path = f"run.init[{index}]"
        try:
            rendered.append((_render_step(step, path, context, evaluate), path))
        except Exhausted:
            raise
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError.of(problems)
    contents = "".join(step["file"]["content"] for step, _ in rendered if "file" in step)
    check_size(
        contents.encode("utf-8", "backslashreplace"),
        INIT_FILES,
        "the contents of all init files",
        "run.init",
    )
    pure = [one for one in rendered if set(one[0]) == {"container"}]
    return (*asked, *(one for one in rendered if set(one[0]) != {"container"}), *pure)


def make_step(slot: Slot, value: Any) -> dict[str, Any] | None:
    """Return the step that fetches a value into the container, or None for an absent value."""
    connection = {"connection": slot.connection} if slot.connection else {}
    type_name = slot.io.type if slot.io else None
    if type_name is None:
        raise SpecError(
            "InvalidSpec",
            f"'{slot.name}' needs an input with a type to be fetched by toInit",
            slot.path,
        )
    if value is None:
        return None
    if type_name in _OWN_STEPS:
        return {type_name: value, **connection}
    if not connection or type_name == "file":
        hint = "" if type_name == "file" else " without a connection"
        raise SpecError(
            "InvalidSpec",
            f"'{slot.name}' of type '{type_name}' cannot be fetched by toInit{hint}",
            slot.path,
        )
    return (
        {"paths": value if isinstance(value, list) else [value], **connection}
        if type_name == "path"
        else connection
    )


def _render_step(
    step: Any, path: str, context: Mapping[str, Any], evaluate: Evaluate
) -> dict[str, Any]:
    if not isinstance(step, Mapping):
        raise SpecError("InvalidSpec", f"expected a step, found {shorten(repr(step), 80)}", path)
    step = {key: item for key, item in step.items() if item is not None}
    others = {key: item for key, item in step.items() if key not in ("file", *_TRACED)}
    rendered: dict[str, Any] = render(others, context, path, evaluate=evaluate)
    for key in step.keys() & set(_TRACED):
        rendered[key] = render(step[key], context, f"{path}.{key}", evaluate=evaluate, traced=True)
    if "file" in step:
        rendered = {
            "file": _render_file(step["file"], f"{path}.file", context, evaluate),
            **rendered,
        }
    if rendered.get("path") is not None:
        rendered["path"] = _read_folder(rendered["path"], f"{path}.path")
    if "container" in rendered:
        if not isinstance(rendered["container"], Mapping):
            found = shorten(repr(rendered["container"]), 80)
            raise SpecError(
                "InvalidSpec",
                f"expected a container (a mapping), found {found}",
                f"{path}.container",
            )
        rendered["container"] = clean_container(
            keep_traces(rendered["container"]), f"{path}.container"
        )
    if isinstance(step.get("dockerfile"), str):
        # The whole section is a value, whose author wrote the Dockerfile.
        rendered["dockerfile"] = forget(rendered["dockerfile"])
    return rendered


def _read_folder(folder: Any, path: str) -> str:
    """Normalize a folder's path: two spellings would be two volumes at one path."""
    if not isinstance(folder, str) or not folder.startswith("/"):
        raise SpecError(
            "InvalidSpec", f"expected an absolute path, found {shorten(repr(folder), 80)}", path
        )
    normal = f"/{posixpath.normpath(folder).lstrip('/')}"
    if normal == "/" or ":" in normal:
        raise SpecError(
            "InvalidSpec", f"nothing can be mounted at {shorten(repr(normal), 80)}", path
        )
    return normal


def _render_file(
    file: Any, path: str, context: Mapping[str, Any], evaluate: Evaluate
) -> dict[str, Any]:
    """Render a file. Its content stays text, whether it looks like JSON, a number or `$(VAR)`."""
    if not isinstance(file, Mapping) or not isinstance(file.get("content"), str):
        raise SpecError(
            "InvalidSpec", "expected the content of the file as text", f"{path}.content"
        )
    others = {key: item for key, item in file.items() if key != "content" and item is not None}
    rendered = render(others, context, path, evaluate=evaluate)
    content = render_text(file["content"], context, f"{path}.content", evaluate=evaluate)
    if isinstance(rendered.get("filename"), int | float):
        rendered["filename"] = to_text(rendered["filename"])
    return {
        **rendered,
        "filename": rendered["filename"]
        if rendered.get("filename") not in (None, "")
        else _FILENAME,
        "content": content,
    }
