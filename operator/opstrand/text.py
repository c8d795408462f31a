"""Text that others wrote, made fit to be shown to a person.

Owns `printable`: what a terminal would act on, or what would change how a line reads, is shown as an escape. Pure, and
must import nothing of ours.
"""

from __future__ import annotations

import re

#: C0 but tab and newline, DEL, C1, half characters; line and paragraph separators; what turns the direction of text.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_OTHER_THAN_COLOUR = re.compile(
    r"""
    \x1b\[ (?![0-9;:]*m) [0-?]*[ -/]*[@-~]?      # CSI: everything but SGR, which is colour
    | \x1b[\]P^_X] [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)?   # OSC, DCS, PM, APC, SOS with their text
    | \x1b (?!\[[0-9;:]*m) [ -/]*[0-~]?        # any other escape
    | [\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]
    """,
    re.VERBOSE,
)


def printable(text: str) -> str:
    """`text` with its newlines and tabs, and every other character that a terminal would act on as an escape."""
    return CONTROLS.sub(_escape, text)


def inline(text: str) -> str:
    """`text` for a place that has one line: newlines are shown as escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def printable_json(document: str) -> str:
    """A JSON document that means the same, with every such character as JSON's own escape."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def keep_colours(text: str) -> str:
    """A program's own output for a terminal: its colours, tabs, carriage returns and backspaces stay, every other
    control sequence goes (it could write the title or the clipboard, move the cursor over what was said before, or
    have the terminal type an answer)."""
    return _OTHER_THAN_COLOUR.sub("", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
