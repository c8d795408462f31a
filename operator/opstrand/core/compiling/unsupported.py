"""Parts of the format that this version checks and reports, but does not run.

Owns that list. `pod_rules` checks what only rendering knows (`plugins`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.early_stopping import check_early_stopping
from opstrand.core.pipelines.search import check_search
from opstrand.errors import MAX_PROBLEMS, Problem

#: Kinds of runs that this version starts.
RUN_KINDS = ("job", "service", "dag")
#: Section -> its name in a sentence, and what to use instead today.
_SECTIONS = {
    "schedule": ("a schedule", ""),
    "hooks": ("a hook", ""),
    "events": ("an event", ""),
    "build": ("a build", ""),
    "presets": ("a preset by its name", ": merge its file over this one with a further -f"),
    "mount": ("the upload of a folder", ": fetch files by init.git or init.file"),
}


def find_missing(compiled: CompiledOperation) -> list[Problem]:
    """Find what the operation requests and would not get, in the operations of a pipeline too."""
    problems = _check_matrix(compiled.matrix)
    if compiled.kind not in RUN_KINDS:
        problems.append(_refuse(f"a run of the kind '{compiled.kind}'", "run.kind"))
    if compiled.kind == "dag" and compiled.run.get("earlyStopping"):
        problems.append(_refuse("early stopping of a pipeline", "run.earlyStopping"))
    for section, (what, instead) in _SECTIONS.items():
        if getattr(compiled, section):
            problems.append(_refuse(what, section, instead))
    for node in compiled.nodes.values():
        known = node.compiled
        inner = _find_in_written(node.written) if known is None else find_missing(known)
        problems += [replace(one, path=f"{node.path}.{one.path}") for one in inner]
    return problems[:MAX_PROBLEMS]


def _find_in_written(written: Mapping[str, Any]) -> list[Problem]:
    """Do the same for an operation whose component is not known here."""
    return [
        *_check_matrix(written.get("matrix")),
        *(
            _refuse(what, section, instead)
            for section, (what, instead) in _SECTIONS.items()
            if written.get(section)
        ),
    ]


def _check_matrix(matrix: Any) -> list[Problem]:
    if not isinstance(matrix, Mapping):
        return []
    policies = check_early_stopping(matrix.get("earlyStopping"), "matrix.earlyStopping")
    return [*check_search(matrix), *policies]


def _refuse(what: str, path: str, instead: str = "") -> Problem:
    message = f"{what} is checked, but not run by this version{instead}"
    return Problem("NotSupported", message, path)
