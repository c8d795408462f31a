"""Where in the user's files a problem is: the way back from a path in the merged operation to a line somebody wrote.

Owns that search. Must not judge anything. Whoever parses a file places its own problems; what merging, resolving and rendering find
knows paths only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opstrand.errors import Problem, SpecError
from opstrand.spec.document import Document, Path

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
#: Lists whose items are named in paths by their own names.
_NAMED = ("inputs", "outputs")


@dataclass(frozen=True)
class Layer:
    """One file of an operation: `prefix` is where its root stands in the operation."""

    document: Document
    prefix: Path = ()


def place(error: SpecError, layers: Sequence[Layer], given: Mapping[str, str]) -> SpecError:
    """The same problems with the file and line of each, where one is known. `given` are the params of the command line."""
    return SpecError.of([_place(problem, layers, given) for problem in error.problems])


def _place(problem: Problem, layers: Sequence[Layer], given: Mapping[str, str]) -> Problem:
    if problem.line is not None or problem.source:
        return problem
    path = parse_path(problem.path)
    if len(path) > 1 and path[0] == "params" and path[1] in given:
        return replace(problem, source=f"-P {path[1]}")
    best: tuple[int, Layer, Path] | None = None
    is_given = any(_depth(layer.document.data, path[:2]) == 2 for layer in layers)
    for layer in layers:
        for candidate in _candidates(path, layer, is_given):
            missing = len(candidate) - _depth(layer.document.data, candidate)
            # Of files that come equally near the last one was laid over the others.
            if best is None or missing <= best[0]:
                best = (missing, layer, candidate)
    return problem if best is None else _locate(problem, best[1], best[2])


def _locate(problem: Problem, layer: Layer, path: Path) -> Problem:
    line, column = layer.document.locate(path) or (None, None)
    return replace(problem, line=line, column=column, source=layer.document.source)


def parse_path(text: str) -> Path:
    """`run.init[0].file` as its steps."""
    return tuple(int(index) if index else name for index, name in _STEP.findall(text))


def _candidates(path: Path, layer: Layer, is_given: bool) -> list[Path]:
    """Where this file may hold what the path names: what was merged came from its root, its component, its patch."""
    outside = path[: len(layer.prefix)] == layer.prefix
    inner = path[len(layer.prefix) :] if outside else path
    found = [inner, ("component", *inner)]
    if inner[:1] == ("params",) and not is_given:
        # A value that nobody gave is missed where it is declared.
        found += [("inputs", *inner[1:2]), ("component", "inputs", *inner[1:2])]
    if inner[:1] == ("run",):
        found += [("runPatch", *inner[1:]), inner[1:]]
    return [_by_name(one, layer.document.data) for one in found]


def _by_name(path: Path, data: Any) -> Path:
    """`inputs.lr` as `inputs.0` where the first input has that name."""
    if len(path) > 1 and path[0] == "component":
        inner = data.get("component") if isinstance(data, Mapping) else None
        return ("component", *_by_name(path[1:], inner))
    if len(path) < 2 or path[0] not in _NAMED or not isinstance(data, Mapping):
        return path
    items = data.get(str(path[0]))
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping) and item.get("name") == path[1]:
            return (path[0], index, *path[2:])
    return path


def _depth(data: Any, path: Path) -> int:
    """How many steps of the path the data has."""
    for count, step in enumerate(path):
        inside = isinstance(data, Mapping) and step in data
        if not inside and not (isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data)):
            return count
        data = data[step]
    return len(path)
