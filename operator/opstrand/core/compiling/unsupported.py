"""What of the format this version does not run: every part is parsed and checked, and what would
not be done is said, never ignored.

Owns that list. What only rendering knows (`plugins`) is `pod_rules`' business.
"""

from __future__ import annotations

from opstrand.core.operation import Compiled
from opstrand.errors import Problem

#: Kinds of runs that this version starts.
RUN_KINDS = ("job", "service")
#: Section -> its name in a sentence, and what does the same today.
_SECTIONS = {
    "matrix": ("a matrix", ""),
    "schedule": ("a schedule", ""),
    "hooks": ("a hook", ""),
    "events": ("an event", ""),
    "build": ("a build", ""),
    "presets": ("a preset by its name", ": lay its file over this one with a further -f"),
    "mount": ("the upload of a folder", ": fetch files by init.git or init.file"),
}


def find_missing(compiled: Compiled) -> list[Problem]:
    """What the operation asks for and would not get."""
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
