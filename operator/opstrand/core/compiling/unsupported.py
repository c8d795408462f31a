"""Parts of the format that this version checks and reports, but does not run.

Owns that list. `pod_rules` checks what only rendering knows (`plugins`).
"""

from __future__ import annotations

from opstrand.core.operation import CompiledOperation
from opstrand.errors import Problem

#: Kinds of runs that this version starts.
RUN_KINDS = ("job", "service")
#: Section -> its name in a sentence, and what to use instead today.
_SECTIONS = {
    "matrix": ("a matrix", ""),
    "schedule": ("a schedule", ""),
    "hooks": ("a hook", ""),
    "events": ("an event", ""),
    "build": ("a build", ""),
    "presets": ("a preset by its name", ": lay its file over this one with a further -f"),
    "mount": ("the upload of a folder", ": fetch files by init.git or init.file"),
}


def find_missing(compiled: CompiledOperation) -> list[Problem]:
    """Find what the operation requests and would not get."""
    problems = []
    if compiled.kind not in RUN_KINDS:
        what = "a pipeline" if compiled.kind == "dag" else f"a run of the kind '{compiled.kind}'"
        problems.append(
            Problem("NotSupported", f"{what} is checked, but not run by this version", "run.kind")
        )
    for section, (what, instead) in _SECTIONS.items():
        if getattr(compiled, section):
            problems.append(
                Problem(
                    "NotSupported",
                    f"{what} is checked, but not run by this version{instead}",
                    section,
                )
            )
    return problems
