"""What else is wrong with a file, besides what keeps it from being judged whole: a misspelt key
does not hide a wrong value.

Owns leaving out what was told, so that the rest is judged as if it were right, and silence about
what only follows from that. Must not judge anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opstrand.cli.checking.validate import Verdict, in_order
from opstrand.cli.files.source_map import find_steps, parse_path
from opstrand.errors import MAX_PROBLEMS, Problem
from opstrand.spec.document import Document, Path
from opstrand.spec.operation import Operation
from opstrand.spec.section import written_keys
from opstrand.text import find_nearest

#: Shape, then composition, then values: more stages there are not, and one may take two rounds.
_ROUNDS = 4
#: Root shortcuts, as the runtime that they stand for has them.
_SHORTCUTS = ("container", "environment", "init", "connections", "sidecars", "volumes")
#: Sections without which names are missing elsewhere; what is said of those then may not be so.
_DECLARING = (
    "inputs",
    "outputs",
    "params",
    "joins",
    "matrix",
    "hubRef",
    "pathRef",
    "urlRef",
    "dagRef",
    "kind",
    "presets",
    "operations",
)
_OF_NAMES = (
    "TemplateError",
    "ParamRequired",
    "ParamUndeclared",
    "MissingValue",
    "ConditionInvalid",
)


def validate_rest(
    document: Document, validate_submission: Callable[[Document], Verdict]
) -> Verdict:
    """The verdict on a file, and where that came before everything was looked at, the verdict on
    what is left without what was told.
    """
    told: list[Problem] = []
    cut: list[Path] = []
    verdict = validate_submission(document)
    for _ in range(_ROUNDS):
        told += [problem for problem in verdict.problems if not _follows(problem, cut, document)]
        found = [steps for problem in verdict.problems if (steps := _find(problem, document))]
        if (
            verdict.is_whole
            or _is_old(verdict)
            or not found
            or len(told) >= MAX_PROBLEMS
            or any(map(_names_others, found))
        ):
            break
        cut += found
        document = replace(document, data=_leave_out(document.data, found))
        verdict = validate_submission(document)
    return replace(verdict, problems=in_order(told)[:MAX_PROBLEMS])


def _is_old(verdict: Verdict) -> bool:
    """Whether the file is of another format: there is nothing in it to be read as one of today."""
    return any(problem.reason == "OldFormat" for problem in verdict.problems)


def _find(problem: Problem, document: Document) -> Path:
    """The key to leave out: the one that is wrong, or the nearest above a wrong item, or what lacks
    a key. Empty where there is none.
    """
    if problem.source != document.source or not isinstance(document.data, Mapping):
        return ()
    path = parse_path(problem.path)
    inside = path[1:] if path[:1] == ("component",) and "component" not in document.data else path
    steps, _ = find_steps(document.data, inside)
    while steps and isinstance(steps[-1], int):
        steps = steps[:-1]
    return steps


def _leave_out(data: Any, paths: list[Path]) -> Any:
    for path in paths:
        data = _without(data, path)
    return data


def _without(data: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(data, list) and isinstance(step, int):
        return [_without(item, rest) if index == step else item for index, item in enumerate(data)]
    if not isinstance(data, Mapping) or step not in data:
        return data  # with something above it
    return {
        key: _without(item, rest) if key == step else item
        for key, item in data.items()
        if rest or key != step
    }


def _follows(problem: Problem, cut: list[Path], document: Document) -> bool:
    """Whether a problem may be there only because of what was left out."""
    path = _plain(parse_path(problem.path))
    is_missed = find_steps(document.data, parse_path(problem.path))[1] > 0
    return any(
        path[: len(one)] == one
        or one[: len(path)] == path
        or (is_missed and path[:-1] == one[:-1])
        or (problem.reason in _OF_NAMES and _declares(one))
        or ("volumes" in one and "volumeMounts" in path)
        for one in map(_plain, cut)
    )


def _declares(path: Path) -> bool:
    """Whether names may be missing elsewhere without this: a section that declares some, perhaps
    misspelt, or a part of a declaration.
    """
    known = written_keys(Operation)
    meant = path if path[0] in known else (find_nearest(str(path[0]), known), *path[1:])
    return any(step in _DECLARING and len(path) - index <= 3 for index, step in enumerate(meant))


def _plain(path: Path) -> Path:
    """A path in the words of the merged operation."""
    steps = tuple("run" if step == "runPatch" else step for step in path if step != "component")
    return ("run", *steps) if steps[:1] and steps[0] in _SHORTCUTS else steps


def _names_others(path: Path) -> bool:
    """Whether operations of a pipeline would be missed by others."""
    return path[-1] in ("operations", "components") or (path[-1] == "name" and "operations" in path)
