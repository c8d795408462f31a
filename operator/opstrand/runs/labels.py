"""Label selectors, as kubectl writes them: `a=b`, `a!=b`, `a`, `!a`, `a in (b, c)`, `a notin (b)`,
with commas between them.

Pure: what a selector asks for is the same for every store of runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_KEY = r"[\w./-]+"
_PRESENT = re.compile(rf"\s*(?P<no>!?)\s*(?P<key>{_KEY})\s*")
_EQUAL = re.compile(rf"\s*(?P<key>{_KEY})\s*(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*)\s*")
_AMONG = re.compile(rf"\s*(?P<key>{_KEY})\s+(?P<no>not)?in\s*\((?P<values>[\w.,\s-]*)\)\s*")
#: A comma inside brackets does not end a requirement.
_COMMA = re.compile(r",(?![^(]*\))")

Matches = Callable[[Mapping[str, str]], bool]


class NoSelector(ValueError):
    """A part of a selector that cannot be read; the text is that part."""


def parse_selector(text: str) -> Matches:
    """A function that decides whether an object with these labels is meant. Raises `NoSelector`."""
    parts = [_parse_part(part) for part in _COMMA.split(text) if part.strip()]
    return lambda labels: all(part(labels) for part in parts)


def _parse_part(text: str) -> Matches:
    if found := _PRESENT.fullmatch(text):
        return _present(found["key"], is_wanted=not found["no"])
    if found := _EQUAL.fullmatch(text):
        return _among(found["key"], {found["value"]}, is_wanted=found["sign"] != "!=")
    if found := _AMONG.fullmatch(text):
        values = {value.strip() for value in found["values"].split(",")}
        return _among(found["key"], values, is_wanted=not found["no"])
    raise NoSelector(text.strip())


def _present(key: str, *, is_wanted: bool) -> Matches:
    return lambda labels: (key in labels) == is_wanted


def _among(key: str, values: set[str], *, is_wanted: bool) -> Matches:
    return lambda labels: (labels.get(key) in values) == is_wanted
