"""`kubectl opstrand ...`: what kubectl asks of a plugin beside running it.

Owns the answer to a completion, in the form that kubectl's own completion reads: a word a line, and
last a number that says whether files are completed too. Must print nothing else.
"""

from __future__ import annotations

import sys
from contextlib import suppress

#: Of cobra's directives: complete files too; complete nothing else.
_FILES_TOO, _NOTHING_ELSE = ":0", ":4"


def complete() -> int:
    """Print how the last of the arguments may go on: the script `kubectl_complete-opstrand`."""
    from click.shell_completion import ShellComplete

    from opstrand.cli.app import make_app

    *words, last = sys.argv[1:] or [""]
    directive = _NOTHING_ELSE
    with suppress(Exception):
        for item in ShellComplete(make_app(), {}, "opstrand", "").get_completions(words, last):
            if item.type == "file":
                directive = _FILES_TOO
            else:
                print(item.value)
    print(directive)
    return 0
