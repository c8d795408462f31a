"""Words of other tools for our commands: each is answered by the word here and the whole line.

Owns that list. A synonym is never run: a script that works with one would not be understood by the
next reader, and some words mean more elsewhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

#: Word -> our words. `ops` and other prefixes of whole groups lead to nothing.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "apply": ("run",),
    "create": ("run",),
    "submit": ("run",),
    "start": ("run",),
    "exec-run": ("run",),
    "lint": ("check",),
    "validate": ("check",),
    "template": ("render",),
    "compile": ("render",),
    "list": ("ls",),
    "ps": ("ls",),
    "describe": ("get",),
    "inspect": ("get",),
    "status": ("get",),
    "statuses": ("get",),
    "show": ("get",),
    "watch": ("get", "-w"),
    "events": ("get",),
    "log": ("logs",),
    "delete": ("rm",),
    "remove": ("rm",),
    "cancel": ("stop",),
    "kill": ("stop",),
    "terminate": ("stop",),
    "rerun": ("restart",),
    "resubmit": ("restart",),
    "retry": ("restart",),
    "copy": ("cp",),
    "shell": ("exec",),
    "attach": ("logs", "-f"),
    "tail": ("logs", "-f"),
    "hub": ("components",),
    "component": ("components",),
    "ops": (),
    "op": (),
    "operations": (),
    "operation": (),
    "runs": (),
}
#: What stands behind a word of other tools and has no meaning here: `delete operation NAME`.
_TYPES = ("operation", "operations", "ops", "op", "run", "runs", "pod", "pods")


def translate(words: Sequence[str]) -> list[str] | None:
    """Return the line that would have worked, without `opstrand`; None for an unknown word."""
    found = SYNONYMS.get(words[0])
    if found is None:
        return None
    rest = list(words[1:])
    if not found:
        return (translate(rest) or rest) if rest else ["ls"]
    if found[0] not in ("run", "check", "render") and rest[:1] and rest[0] in _TYPES:
        rest = rest[1:]
    return [*found, *rest]


def describe(words: Sequence[str]) -> str | None:
    """Return the sentence that names our word and the whole line; None for an unknown word."""
    line = translate(words)
    if line is None:
        return None
    ours = f"here it is `{line[0]}`" if SYNONYMS[words[0]] else "a command stands first here"
    return f"there is no command {words[0]!r}: {ours}: {shlex.join(['opstrand', *line])}"
