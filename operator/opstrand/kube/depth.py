"""Read JSON of the API server at any depth: the server stores ten thousand levels, and Python's
parser reads fewer than one thousand.

Owns the cut: whatever lies deeper than anything that a run may contain becomes null before the text
is parsed, so that one object cannot end a watch or a list. What is left is still too deep for a
run, and validation refuses it for that. Must not know what is read.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

#: Levels that are kept: more than a valid object has, including the list or event around it, and
#: few enough for every recursive reader.
LEVELS = 100
#: Texts of more bytes are cut in a thread.
_LONG = 128 * 1024
_QUOTED = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(_QUOTED + rb"|[\[{]+|[\]}]+")
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))


def read_json(raw: bytes) -> Any:
    """The value of the text after the cut. Raises ValueError where it is not JSON."""
    return json.loads(cut(raw))


async def read_large_json(raw: bytes) -> Any:
    """`read_json` for a text that may be long: the cut does not block the event loop."""
    return json.loads(await cut_beside(raw))


async def cut_beside(raw: bytes) -> bytes:
    """`cut`, in a thread where the text is long: checking every bracket can take a quarter of a
    second.
    """
    return cut(raw) if len(raw) < _LONG else await asyncio.to_thread(cut, raw)


def cut(raw: bytes) -> bytes:
    """The text with null in place of every list and object below the last kept level."""
    return _cut(raw) if _is_deep(raw) else raw


def _is_deep(raw: bytes) -> bool:
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    # A bracket is inside a string if an odd number of quotes precedes it; removing two adjacent
    # quotes does not change that for any bracket.
    marks = plain.translate(None, _NO_MARKS).replace(b'""', b"")
    if marks.count(b"[") + marks.count(b"{") <= LEVELS:
        return False
    left = b"".join(marks.split(b'"')[::2])
    for _ in range(LEVELS // 2):
        if not left:
            return False
        # Each round removes the innermost one or two levels everywhere: a loop over single brackets
        # would take ten times as long.
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return bool(left)


def _cut(raw: bytes) -> bytes:
    parts: list[bytes] = []
    depth = kept_from = 0
    for token in _TOKEN.finditer(raw):
        at, count = token.start(), token.end() - token.start()
        if raw[at] in b"[{":
            if depth <= LEVELS < depth + count:
                parts += [raw[kept_from : at + LEVELS - depth], b"null"]
            depth += count
        elif raw[at] in b"]}":
            if depth > LEVELS >= depth - count:
                kept_from = at + depth - LEVELS
            depth -= count
    # A truncated text is not JSON, and the cut does not make it JSON.
    return b"".join([*parts, raw[kept_from:] if depth <= LEVELS else b""])
