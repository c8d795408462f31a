"""Find further errors after those that stop the validation: a misspelt key hides no wrong value.

Owns leaving out what was reported, so that the rest is validated as if it were right, and dropping
what only follows from that. Must not validate anything itself.
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
from opstrand.spec.problems import written_keys
from opstrand.text import find_nearest

#: Enough rounds for the stages, which are shape, composition and values; one may take two rounds.
_ROUNDS = 4
#: Root shortcuts: keys of the runtime that may stand at the root.
_SHORTCUTS = ("container", "environment", "init", "connections", "sidecars", "volumes")
#: Sections that declare names. If one is left out, an error about a missing name may be false.
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
    """Return the verdict on a file.

    If validation stopped early, leave out what was reported and validate the rest.
    """
    shown: list[Problem] = []
    cut: list[Path] = []
    verdict = validate_submission(document)
    for _ in range(_ROUNDS):
        shown += [problem for problem in verdict.problems if not _follows(problem, cut, document)]
        found = [steps for problem in verdict.problems if (steps := _find(problem, document))]
        if (
            verdict.is_whole
            or _is_of_another_format(verdict)
            or not found
            or len(shown) >= MAX_PROBLEMS
            or any(map(_names_others, found))
        ):
            break
        cut += found
        document = replace(document, data=_leave_out(document.data, found))
        verdict = validate_submission(document)
    return replace(verdict, problems=in_order(shown)[:MAX_PROBLEMS])


def _is_of_another_format(verdict: Verdict) -> bool:
    """Whether the file has another format, so that no part of it can be read as ours."""
    return any(problem.reason in ("OldFormat", "ForeignFormat") for problem in verdict.problems)


def _find(problem: Problem, document: Document) -> Path:
    """Return the key to leave out: the wrong one, the one above a wrong item, or one without a key.

    Returns an empty path if there is none.
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
        return data  # its parent was left out
    return {
        key: _without(item, rest) if key == step else item
        for key, item in data.items()
        if rest or key != step
    }


def _follows(problem: Problem, cut: list[Path], document: Document) -> bool:
    """Whether a problem may exist only because of what was left out."""
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
    """Whether names may be missing elsewhere without this path.

    It is a section that declares names, perhaps misspelt, or a part of a declaration.
    """
    known = written_keys(Operation)
    meant = path if path[0] in known else (find_nearest(str(path[0]), known), *path[1:])
    return any(step in _DECLARING and len(path) - index <= 3 for index, step in enumerate(meant))


def _plain(path: Path) -> Path:
    """Return the path with the spelling of the merged operation."""
    steps = tuple("run" if step == "runPatch" else step for step in path if step != "component")
    return ("run", *steps) if steps[:1] and steps[0] in _SHORTCUTS else steps


def _names_others(path: Path) -> bool:
    """Whether leaving this out would remove operations that others in the pipeline refer to."""
    return path[-1] in ("operations", "components") or (path[-1] == "name" and "operations" in path)
