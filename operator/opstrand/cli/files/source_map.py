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
    #: A `pathRef` or `urlRef` names this file, so that only paths through that key lead into it.
    is_named: bool = False


@dataclass(frozen=True)
class _Spot:
    """A value of a file, and where it stands in the merged operation."""

    layer: Layer
    data: Any
    #: The way to it from the root of the file.
    steps: Path = ()
    #: The way to it from the root of the operation.
    at: Path = ()

    def inside(self, written: str | int, step: str | int) -> _Spot:
        """Return what this key or index holds; `step` is its documented spelling."""
        return _Spot(self.layer, self.data[written], (*self.steps, written), (*self.at, step))


@dataclass(frozen=True)
class _Search:
    layers: Sequence[Layer]
    #: Whether a file gives the param. If none does, the error is located where its input is
    #: declared.
    is_given: bool


def place(error: SpecError, layers: Sequence[Layer], given: Mapping[str, Any]) -> SpecError:
    """Return the same problems with the file and line of each, where they are known.

    `given` are the params of the command line.
    """
    return SpecError.of([_place(problem, layers, given) for problem in error.problems])


def _place(problem: Problem, layers: Sequence[Layer], given: Mapping[str, Any]) -> Problem:
    if problem.line is not None or problem.source:
        return problem
    path = parse_path(problem.path)
    if len(path) > 1 and path[0] == "params" and path[1] in given:
        return replace(problem, source=f"-P {path[1]}")
    if not layers:
        return problem
    param = path[: path.index("params") + 2] if "params" in path else path
    is_given = _find_nearest(param, _Search(layers, is_given=True))[1] == 0
    spot, _ = _find_nearest(path, _Search(layers, is_given))
    return _locate(problem, spot.layer, spot.steps)


def _find_nearest(path: Path, search: _Search) -> tuple[_Spot, int]:
    """Return the value nearest to the path in any file, and how many steps are missing."""
    found = [
        _follow(_Spot(layer, layer.document.data, at=layer.prefix), _inside(path, layer), search)
        for layer in search.layers
        if not layer.is_named
    ]
    # Of files that match equally well, the last one was merged over the others.
    return min(reversed(found), key=lambda one: one[1])


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
    layer = Layer(Document(data))
    spot, missing = _follow(_Spot(layer, data), path, _Search((layer,), is_given=True))
    return spot.steps, missing


def _follow(spot: _Spot, path: Path, search: _Search) -> tuple[_Spot, int]:
    """Return the value nearest to the path from here, and how many of its steps are missing."""
    if not path:
        return spot, 0
    ways = [_follow(inner, rest, search) for inner, rest in _ways(spot, path, search)]
    return min(ways, key=lambda way: way[1], default=(spot, len(path)))


def _ways(spot: _Spot, path: Path, search: _Search) -> Iterator[tuple[_Spot, Path]]:
    """Yield (a value, the rest of the path) for each place that the next step may lead to.

    The places are the operation itself, its patch, its component, and the file that holds the
    component.
    """
    if isinstance(spot.data, list):
        found = _find_item(spot.data, path[0])
        if 0 <= found < len(spot.data):
            yield spot.inside(found, found), path[1:]
    elif isinstance(spot.data, Mapping):
        yield from _ways_of_keys(spot, path, search)
        yield from _ways_of_component(spot, path, search.layers)


def _find_item(items: list[Any], step: str | int) -> int:
    """Return the index that a step names, by number or by the item's name; -1 if there is none."""
    if isinstance(step, int):
        return step
    return next((i for i, one in enumerate(items) if _is_named(one, step)), -1)


def _ways_of_keys(spot: _Spot, path: Path, search: _Search) -> Iterator[tuple[_Spot, Path]]:
    step, rest = path[0], path[1:]
    written = step if step in spot.data else find_spelling(step, spot.data)
    if written is not None:
        yield spot.inside(written, step), rest
    if step == "params" and not search.is_given and "inputs" in spot.data:
        yield spot.inside("inputs", "inputs"), rest
    if step == "run" and "runPatch" in spot.data:
        yield spot.inside("runPatch", "runPatch"), rest
    if step == "run" and rest and rest[0] in spot.data:
        yield spot, rest


def _ways_of_component(
    spot: _Spot, path: Path, layers: Sequence[Layer]
) -> Iterator[tuple[_Spot, Path]]:
    """Yield the component of this operation, from this file or from the one that it names."""
    at = (*spot.at, "component")
    rest = path[1:] if path[0] == "component" else path
    if "component" in spot.data:
        yield spot.inside("component", "component"), path
    for layer in layers:
        if layer.is_named and layer.prefix == at:
            yield _Spot(layer, layer.document.data, at=at), rest


def _is_named(item: Any, name: str) -> bool:
    return isinstance(item, Mapping) and item.get("name") == name
