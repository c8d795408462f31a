"""What of the format this version does not run: every part is parsed and checked, and what would not be done is said, never ignored.

Owns that list. What only rendering knows (`plugins`) is `pod_rules`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstrand.core.compiled import Compiled
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
    "mount": ("the upload of a folder", ": bring files by init.git or init.file"),
}
#: Fields of a pipeline's operation, which an operation alone may have all the same.
_IN_PIPELINES = ("dependencies", "trigger", "skip_on_upstream_skip")


def find_missing(compiled: Compiled) -> list[Problem]:
    """What the operation asks for and would not get."""
    problems = []
    if compiled.kind not in RUN_KINDS:
        what = "a pipeline" if compiled.kind == "dag" else f"a run of the kind '{compiled.kind}'"
        problems.append(Problem("NotSupported", f"{what} is checked, but not run by this version", "run.kind"))
    for section, (what, instead) in _SECTIONS.items():
        if getattr(compiled, section):
            problems.append(Problem("NotSupported", f"{what} is checked, but not run by this version{instead}", section))
    return problems


def find_unused(compiled: Compiled) -> Iterator[str]:
    """What the operation says that changes nothing here, in words."""
    if isinstance(compiled.cache, Mapping) and compiled.cache.get("disable") is False:
        yield "cache: no earlier result is taken by this version; the run always runs"
    for name in _IN_PIPELINES:
        if getattr(compiled, name):
            key = "skipOnUpstreamSkip" if name == "skip_on_upstream_skip" else name
            yield f"{key}: is for the operations of a pipeline; alone, an operation waits for the runs that its params refer to"
