"""The meaning of a plain YAML scalar, for each of the two readers that a file can be written for.

Owns the dialects: that of polyaxonfiles, and that of kubectl, whose files hold objects for the API
server. Owns which texts another reader would not read as text, so that a writer quotes them. Must
not know documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from opstrand.text import shorten

#: Characters of a scalar in an error message.
SHOWN = 60
TAG = "tag:yaml.org,2002:"
#: Tags whose scalars stay text: Kubernetes' reader makes text of them, or JSON has no such type.
_AS_TEXT = frozenset({f"{TAG}timestamp", f"{TAG}value", f"{TAG}str", f"{TAG}merge"})
#: No number that fits into 64 bits is longer; the time to parse a longer one grows with the square
#: of its length.
_MAX_NUMBER = 400
#: Explicit tag -> the Python types that its text must already have without the tag.
_TYPES: dict[str, tuple[type, ...]] = {
    f"{TAG}int": (int,),
    f"{TAG}float": (float, int),
    f"{TAG}bool": (bool,),
    f"{TAG}null": (type(None),),
}


class BadScalar(ValueError):
    """The text is not a value of its tag; the message says why."""


@dataclass(frozen=True)
class Dialect:
    """One way to read plain scalars. `read` returns the value of a plain scalar without a tag."""

    name: str
    read: Callable[[str], Any]
    #: Whether the reader first converts the file to JSON: a key such as `n` or `010` then becomes
    #: the value of its scalar, and 1.0 becomes 1.
    is_json: bool = False

    def construct(self, text: str, tag: str | None, *, is_plain: bool) -> Any:
        """The value of a scalar. Raises BadScalar."""
        if tag in (None, "!"):
            return self.read(text) if is_plain and tag is None else text
        if tag in _AS_TEXT:
            return text
        if tag not in _TYPES:
            raise BadScalar(f"the tag {shorten(str(tag), SHOWN)} is not supported here")
        value: Any = self.read(text)
        types = _TYPES[str(tag)]
        if type(value) not in types:
            raise BadScalar(
                f"'{shorten(text, SHOWN)}' is not {_article(str(tag).removeprefix(TAG))}"
            )
        return float(value) if tag == f"{TAG}float" and not self.is_json else value

    def construct_key(self, text: str, tag: str | None, *, is_plain: bool) -> str:
        """A key as JSON has it. Raises BadScalar for a scalar that cannot be a key."""
        if not self.is_json and tag in (None, "!"):
            return text
        value = self.construct(text, tag, is_plain=is_plain)
        if not self.is_json or isinstance(value, str):
            return text
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        kind = "null" if value is None else "a number with a fraction"
        raise BadScalar(f"kubectl reads the key {shorten(text, SHOWN)} as {kind}: quote it")


def needs_quotes(text: str) -> bool:
    """Whether kubectl or some reader of YAML 1.1 or 1.2 would not read this text as text when it is
    plain.
    """
    try:
        if not isinstance(_read_file(text), str) or not isinstance(_read_kubectl(text), str):
            return True
    except BadScalar:
        return True
    return _CORE_SCHEMA.fullmatch(text) is not None or text in ("=", "<<")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _too_long(text: str) -> BadScalar:
    return BadScalar(f"the number {shorten(text, SHOWN)} is too long; quote it if it is text")


# --- polyaxonfiles: YAML 1.1 as the published package reads it ------------------------------------


class _Scalars(SafeConstructor, Resolver):
    """The meaning of plain scalars in YAML 1.1, from PyYAML itself."""

    def __init__(self) -> None:
        SafeConstructor.__init__(self)
        Resolver.__init__(self)


_scalars: Any = _Scalars()
_READ_AS = frozenset(_TYPES)


def _read_file(text: str) -> Any:
    tag = _scalars.resolve(yaml.ScalarNode, text, (True, False))
    if tag not in _READ_AS:
        return text
    if len(text) > _MAX_NUMBER:
        raise _too_long(text)
    try:
        return _scalars.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError):
        # The text matches the pattern of a number but is not one: 0b_
        raise BadScalar(
            f"'{shorten(text, SHOWN)}' is not {_article(tag.removeprefix(TAG))}"
        ) from None


# --- objects: as kubectl reads a file, to JSON through go-yaml v2 ---------------------------------

_WORDS: dict[str, Any] = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False
    ),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
#: Go's integers with base 0, after the underscores are removed.
_GO_INTEGERS = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]+"), 16),
    (re.compile(r"[-+]?0[bB][01]+"), 2),
    (re.compile(r"[-+]?0[oO][0-7]+"), 8),
    (re.compile(r"[-+]?0[0-7]*"), 8),
    (re.compile(r"[-+]?[1-9][0-9]*"), 10),
)
_GO_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
#: Integers that Go keeps. A larger one of another base than 10 is text; a larger decimal one, a
#: float in Go, stays an integer here, which the reader refuses.
_GO_RANGE = range(-(2**63), 2**64)


def _read_kubectl(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) > _MAX_NUMBER:
        raise _too_long(text)
    for pattern, base in _GO_INTEGERS:
        if pattern.fullmatch(plain):
            value = int(plain, base)
            if value in _GO_RANGE or base == 10:
                return value
    if _GO_FLOAT.fullmatch(plain):
        number = float(plain)
        return text if number in (float("inf"), float("-inf")) else _as_go_prints(number)
    return text


def _as_go_prints(number: float) -> float | int:
    """A whole float as an integer: Go prints it without a point, so the API server reads one."""
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


#: The plain scalars that YAML 1.2 does not read as text.
_CORE_SCHEMA = re.compile(
    r"~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

FILE = Dialect("polyaxonfile", _read_file)
KUBECTL = Dialect("kubectl", _read_kubectl, is_json=True)
