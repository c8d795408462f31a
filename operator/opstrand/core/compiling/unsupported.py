"""Parts of the format that this version checks and reports, but does not run.

Owns that list. `pod_rules` checks what only rendering knows (`plugins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.early_stopping import check_early_stopping
from opstrand.core.pipelines.events import check_events
from opstrand.core.pipelines.hooks import check_hooks, check_notifications
from opstrand.core.pipelines.search import check_search
from opstrand.errors import MAX_PROBLEMS, Problem

#: Kinds of runs that this version starts.
RUN_KINDS = ("job", "service", "dag")
#: Section -> its name in a sentence, and what to use instead today.
_SECTIONS = {
    "build": ("a build", ""),
    "presets": ("a preset by its name", ": merge its file over this one with a further -f"),
    "mount": ("the upload of a folder", ": fetch files by init.git or init.file"),
}


def find_missing(compiled: CompiledOperation, *, is_child: bool = False) -> list[Problem]:
    """Find what the operation requests and would not get, in the operations of a pipeline too.

    `is_child`: a pipeline made it, or will make it.
    """
    problems = _check_matrix(compiled.matrix)
    if compiled.kind not in RUN_KINDS:
        problems.append(_refuse(f"a run of the kind '{compiled.kind}'", "run.kind"))
    if compiled.kind == "dag":
        problems += check_early_stopping(compiled.run.get("earlyStopping"), "run.earlyStopping")
    written = {section: getattr(compiled, section) for section in _SECTIONS}
    if is_child and compiled.schedule is not None:
        message = "an operation of a pipeline cannot have a schedule"
        problems.append(Problem("InvalidSpec", message, "schedule"))
    problems += _find_sections(written)
    problems += check_events(compiled.events, "events")
    problems += check_hooks(compiled.hooks, "hooks", is_child=is_child)
    problems += check_notifications(compiled.plugins, "plugins", compiled.hooks)
    for node in compiled.nodes.values():
        known = node.compiled
        inner = (
            _find_in_written(node.written) if known is None else find_missing(known, is_child=True)
        )
        problems += [replace(one, path=f"{node.path}.{one.path}") for one in inner]
    return problems[:MAX_PROBLEMS]


def _find_in_written(written: Mapping[str, Any]) -> list[Problem]:
    """Do the same for an operation of a pipeline whose component is not known here."""
    return [
        *_check_matrix(written.get("matrix")),
        *_find_sections(written),
        *check_events(written.get("events"), "events"),
        *check_hooks(written.get("hooks"), "hooks", is_child=True),
        *check_notifications(written.get("plugins"), "plugins", written.get("hooks")),
    ]


def _find_sections(written: Mapping[str, Any]) -> Iterator[Problem]:
    for section, (what, instead) in _SECTIONS.items():
        if written.get(section):
            yield _refuse(what, section, instead)


def _check_matrix(matrix: Any) -> list[Problem]:
    if not isinstance(matrix, Mapping):
        return []
    policies = check_early_stopping(matrix.get("earlyStopping"), "matrix.earlyStopping")
    return [*check_search(matrix), *policies]


def _refuse(what: str, path: str, instead: str = "") -> Problem:
    message = f"{what} is checked, but not run by this version{instead}"
    return Problem("NotSupported", message, path)
