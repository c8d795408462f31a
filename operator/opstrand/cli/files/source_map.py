"""Locate a problem in the user's files: from a path in the merged operation to a line of a file.

Owns that search. Must not validate anything. The parser locates the problems of its own file;
merging, resolving and rendering know paths only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opstrand.errors import Problem, SpecError
from opstrand.spec.document import Document, Path
from opstrand.spec.respelling import find_spelling

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class Layer:
    """One file of an operation: `prefix` is where its root stands in the operation."""

    document: Document
    prefix: Path = ()


def place(error: SpecError, layers: Sequence[Layer], given: Mapping[str, str]) -> SpecError:
    """Return the same problems with the file and line of each, where they are known.

    `given` are the params of the command line.
    """
    return SpecError.of([_place(problem, layers, given) for problem in error.problems])


def _place(problem: Problem, layers: Sequence[Layer], given: Mapping[str, str]) -> Problem:
    if problem.line is not None or problem.source:
        return problem
    path = parse_path(problem.path)
    if len(path) > 1 and path[0] == "params" and path[1] in given:
        return replace(problem, source=f"-P {path[1]}")
    if not layers:
        return problem
    param = path[: path.index("params") + 2] if "params" in path else path
    is_given = any(
        _follow(layer.document.data, _inside(param, layer), is_given=True)[1] == 0
        for layer in layers
    )
    found = [
        (layer, *_follow(layer.document.data, _inside(path, layer), is_given=is_given))
        for layer in layers
    ]
    # Of files that match equally well, the last one was merged over the others.
    layer, steps, _ = min(reversed(found), key=lambda one: one[2])
    return _locate(problem, layer, steps)


def _inside(path: Path, layer: Layer) -> Path:
    outside = path[: len(layer.prefix)] == layer.prefix
    return path[len(layer.prefix) :] if outside else path


def _locate(problem: Problem, layer: Layer, path: Path) -> Problem:
    line, column = layer.document.locate(path) or (None, None)
    return replace(problem, line=line, column=column, source=layer.document.source)


def parse_path(text: str) -> Path:
    """Split `run.init[0].file` into its steps."""
    return tuple(int(index) if index else name for index, name in _STEP.findall(text))


def find_steps(data: Any, path: Path) -> tuple[Path, int]:
    """Return the steps in this data that are nearest to a path of the merged operation, and how
    many steps of the path are missing.
    """
    return _follow(data, path, is_given=True)


def _follow(data: Any, path: Path, *, is_given: bool) -> tuple[Path, int]:
    """Return the steps in this file nearest to the path, and how many of its steps are missing."""
    if not path:
        return (), 0
    ways = [
        _prepend(steps, _follow(inner, rest, is_given=is_given))
        for steps, inner, rest in _ways(data, path, is_given)
    ]
    return min(ways, key=lambda way: way[1], default=((), len(path)))


def _prepend(steps: Path, way: tuple[Path, int]) -> tuple[Path, int]:
    return (*steps, *way[0]), way[1]


def _ways(data: Any, path: Path, is_given: bool) -> Iterator[tuple[Path, Any, Path]]:
    """Yield (steps, the value there, the rest of the path) for each place a value may come from.

    The places are the operation itself, its component and its patch.
    """
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        found = _find_item(data, step)
        if 0 <= found < len(data):
            yield (found,), data[found], rest
    elif isinstance(data, Mapping):
        yield from _ways_of_mapping(data, path, is_given)


def _find_item(items: list[Any], step: str | int) -> int:
    """Return the index that a step names, by number or by the item's name; -1 if there is none."""
    if isinstance(step, int):
        return step
    return next((i for i, one in enumerate(items) if _is_named(one, step)), -1)


def _ways_of_mapping(
    data: Mapping[Any, Any], path: Path, is_given: bool
) -> Iterator[tuple[Path, Any, Path]]:
    """Yield the ways that start at a key of this mapping."""
    step, rest = path[0], path[1:]
    written = step if step in data else find_spelling(step, data)
    if written is not None:
        yield (written,), data[written], rest
    if step == "params" and not is_given and "inputs" in data:
        # The error of a missing value is located where its input is declared.
        yield ("inputs",), data["inputs"], rest
    if step == "run" and "runPatch" in data:
        yield ("runPatch",), data["runPatch"], rest
    if step == "run" and rest and rest[0] in data:
        yield (), data, rest
    if "component" in data:
        yield ("component",), data["component"], path


def _is_named(item: Any, name: str) -> bool:
    return isinstance(item, Mapping) and item.get("name") == name
