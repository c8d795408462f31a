"""Reading JSON of the API server, whatever its depth: it stores ten thousand levels, and Python
reads less than one thousand.

Owns the cut: what lies deeper than anything that a run may contain becomes null before it is
parsed, so that one object ends no watch and no list. What is left is still too deep for a run,
which is refused for that as ever. Must not know what is read.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

#: Levels that are kept: more than a valid object has, with the list or event around it, and few
#: enough for every recursive reader.
LEVELS = 100
#: Bytes that are cut in a thread.
_LONG = 128 * 1024
_QUOTED = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(_QUOTED + rb"|[\[{]+|[\]}]+")
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))


def read_json(raw: bytes) -> Any:
    """The value of the text, cut. Raises ValueError for what is no JSON."""
    return json.loads(cut(raw))


async def read_large_json(raw: bytes) -> Any:
    """The same, where it may be long: the event loop goes on while the text is cut."""
    return json.loads(await cut_beside(raw))


async def cut_beside(raw: bytes) -> bytes:
    """`cut`, in a thread where the text is long: it looks at every bracket, for as long as a
    quarter of a second.
    """
    return cut(raw) if len(raw) < _LONG else await asyncio.to_thread(cut, raw)


def cut(raw: bytes) -> bytes:
    """The text with null for every list and object below the last level that is kept."""
    return _cut(raw) if _is_deep(raw) else raw


def _is_deep(raw: bytes) -> bool:
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    # A bracket is in a text where an odd number of quotes stands before it: two quotes side by side
    # change that for none.
    marks = plain.translate(None, _NO_MARKS).replace(b'""', b"")
    if marks.count(b"[") + marks.count(b"{") <= LEVELS:
        return False
    left = b"".join(marks.split(b'"')[::2])
    for _ in range(LEVELS // 2):
        if not left:
            return False
        # The innermost level of everything goes at once, or two of them: a loop over single
        # brackets would take ten times as long.
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
    # A text that ends in the middle is no JSON, and stays none.
    return b"".join([*parts, raw[kept_from:] if depth <= LEVELS else b""])
