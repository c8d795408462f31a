"""Plain templates, which cost and risk nothing to evaluate.

Their expressions are names, attributes, items and constants. Owns which templates are plain,
and their values. Must not evaluate anything more than a look-up: a caller that gets None from
`parse_plain` must pass the text to an evaluator with limits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_NAME = r"[^\W\d]\w*"
_TEXT = r"'[^'\\]*'|\"[^\"\\]*\""
# A longer number, or one with an exponent, might be impossible to store: the evaluator decides.
_NUMBER = r"\d{1,15}\.\d{1,15}|\d{1,15}"
_OUTPUT = re.compile(
    rf"\{{\{{(?P<before>-?)\s*(?P<head>{_NAME}|{_TEXT}|{_NUMBER})"
    rf"(?P<tail>(?:\.{_NAME}|\[\s*(?:{_TEXT}|-?\d+)\s*\])*)\s*(?P<after>-?)\}}\}}"
)
_STEP = re.compile(rf"\.({_NAME})|\[\s*(?:({_TEXT})|(-?\d+))\s*\]")
_COMMENT = re.compile(r"\{#(?P<before>-?).*?(?P<after>-?)#\}", re.DOTALL)
_MARK = re.compile(r"\{\{|\{%|\{#")
#: The advice for a text whose braces are not a template.
RAW = "braces that are text stand between {% raw %} and {% endraw %}"
_CONSTANTS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "none": None,
    "None": None,
}
#: Keywords of the template language: never names, so that the real parser reports their misuse.
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else"})


class Undefined(Exception):
    """A look-up found a name that does not exist.

    `owner` is the expression so far ('' for the top), `known` what it has.
    """

    def __init__(self, name: str, owner: str, known: Collection[str] | None) -> None:
        super().__init__(name)
        self.name = name
        self.owner = owner
        self.known = known


@dataclass(frozen=True)
class Lookup:
    """`head.step.step`: `head` is a name, or with `constant` a value."""

    head: Any
    steps: tuple[str | int, ...] = ()
    constant: bool = False

    @property
    def is_private(self) -> bool:
        names = [*self.steps, *([] if self.constant else [self.head])]
        return any(isinstance(name, str) and name.startswith("_") for name in names)


@dataclass(frozen=True)
class Plain:
    """A template of nothing but text and look-ups.

    `lone` is the one look-up that is the whole text, and so keeps its type.
    """

    pieces: tuple[str | Lookup, ...]

    @property
    def lone(self) -> Lookup | None:
        return (
            self.pieces[0] if len(self.pieces) == 1 and isinstance(self.pieces[0], Lookup) else None
        )


def is_template(text: str) -> bool:
    """Return whether a text is rendered at all. A comment alone is not, as in the package."""
    return "{{" in text or "{%" in text


def parse_plain(text: str) -> Plain | None:
    """Return the pieces of a plain template.

    None if it needs more than look-ups, or is no valid template.
    """
    return _parse_cached(text) if len(text) <= _CACHED else _parse(text)


#: Longer texts (whole files) are parsed each time: caching them would hold megabytes.
_CACHED = 1000


@lru_cache(maxsize=4096)
def _parse_cached(text: str) -> Plain | None:
    return _parse(text)


def _parse(text: str) -> Plain | None:
    pieces: list[str | Lookup] = []
    at, trim = 0, False
    while mark := _MARK.search(text, at):
        pattern = {"{{": _OUTPUT, "{#": _COMMENT}.get(mark[0])
        tag = pattern.match(text, mark.start()) if pattern else None
        lookup = _parse_lookup(tag) if tag and pattern is _OUTPUT else None
        if tag is None or (pattern is _OUTPUT and lookup is None):
            return None
        _add_text(pieces, text[at : mark.start()], trim, bool(tag["before"]))
        if lookup is not None:
            pieces.append(lookup)
        at, trim = tag.end(), bool(tag["after"])
    _add_text(pieces, text[at:], trim, False)
    return Plain(tuple(pieces))


def _add_text(pieces: list[str | Lookup], text: str, trim_left: bool, trim_right: bool) -> None:
    text = text.lstrip() if trim_left else text
    text = text.rstrip() if trim_right else text
    if text:
        pieces.append(text)


def _parse_lookup(tag: re.Match[str]) -> Lookup | None:
    head = tag["head"]
    if head in _KEYWORDS:
        return None
    steps = tuple(
        name or (int(index) if index else quoted[1:-1])
        for name, quoted, index in _STEP.findall(tag["tail"])
    )
    if head[0] in "'\"":
        return Lookup(head[1:-1], steps, constant=True)
    if head[0].isdigit():
        return Lookup(float(head) if "." in head else int(head), steps, constant=True)
    if head in _CONSTANTS:
        return Lookup(_CONSTANTS[head], steps, constant=True)
    return Lookup(head, steps)


def look_up(lookup: Lookup, context: Mapping[str, Any]) -> Any:
    """Return the value of a look-up. Raises Undefined if a part of it does not exist."""
    if lookup.constant:
        value, so_far = lookup.head, repr(lookup.head)
    else:
        value, so_far = _step(context, lookup.head, ""), lookup.head
    for step in lookup.steps:
        value = _step(value, step, so_far)
        so_far = f"{so_far}.{step}" if isinstance(step, str) else f"{so_far}[{step}]"
    return value


def _step(value: Any, step: str | int, owner: str) -> Any:
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        raise Undefined(str(step), owner, value)
    if isinstance(value, list | str) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    raise Undefined(str(step), owner, None)


_WORD = re.compile(rf"{_TEXT}|(?P<dot>\.\s*)?(?P<name>{_NAME})")
_PARAMS = re.compile(
    rf"(?<![\w.])params\b\s*(?:\.\s*(?P<name>{_NAME})|\[\s*(?P<text>{_TEXT})\s*\])?"
)
# An open quote runs to the end, so that a hostile text is read once and not once per quote.
_TOKEN = re.compile(
    r"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)|\}\}|%\}", re.DOTALL
)


@dataclass(frozen=True)
class Names:
    """What a template may read: top-level names, and names of `params`.

    `every` means that it reads `params` as a whole.
    """

    top: frozenset[str]
    params: frozenset[str] = frozenset()
    every: bool = False


def find_names(text: str) -> Names:
    """Find the names in a text without the template language's parser.

    So it may return more names than are read (a loop's own variable), but never fewer.
    """
    plain = parse_plain(text)
    if plain is not None:
        return _collect_names(piece for piece in plain.pieces if isinstance(piece, Lookup))
    top: set[str] = set()
    params: set[str] = set()
    every = False
    for tag in _iter_tags(text):
        top.update(word["name"] for word in _WORD.finditer(tag) if word["name"] and not word["dot"])
        for used in _PARAMS.finditer(tag):
            name = used["name"] or (used["text"] or "")[1:-1]
            every = every or name in ("", "as_args")
            params.add(name)
    return Names(frozenset(top - {"params"}), frozenset(params - {"", "as_args"}), every)


def _collect_names(lookups: Iterable[Lookup]) -> Names:
    top: set[str] = set()
    params: set[str] = set()
    every = False
    for lookup in lookups:
        if lookup.head != "params" or lookup.constant:
            top.update([] if lookup.constant else [lookup.head])
        elif lookup.steps and lookup.steps[0] != "as_args":
            params.add(str(lookup.steps[0]))
        else:
            every = True
    return Names(frozenset(top), frozenset(params), every)


def _iter_tags(text: str) -> Iterator[str]:
    """Yield the insides of `{{ }}` and `{% %}` in order; an unclosed one runs to the end."""
    at = 0
    while mark := _MARK.search(text, at):
        close = {"{{": "}}", "{%": "%}"}.get(mark[0])
        if close is None:
            at = text.find("#}", mark.end()) + 2
            at = at if at > 1 else len(text)
            continue
        ends = (token for token in _TOKEN.finditer(text, mark.end()) if token[0] == close)
        end = next(ends, None)
        yield text[mark.end() : end.start() if end else len(text)]
        at = end.end() if end else len(text)
