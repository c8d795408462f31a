"""Mask secrets in texts that many people can read, such as a log's end in a status.

Owns what looks like a secret, and what only looks like one: the words of an error about a file or a
field. Pure. A program must not log a secret that this module cannot recognize.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from functools import lru_cache

_HIDDEN = "***"
#: Shorter values are ordinary words: hiding them would hide the message.
_SHORTEST = 4
#: Values of a setting that no one uses as a password.
_SETTINGS = frozenset({"true", "false", "none", "null", "yes", "disabled", "enabled", "default"})

#: The words of a variable's name: DB_PASSWORD, githubToken, api-key.
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_SECRET_WORD = re.compile(
    r"\w*(?:password|passwd|passphrase|secret|token|credential|apikey)s?|pass|pwd|o?auth"
    r"|authorization"
)
_KEYS = frozenset({"api", "access", "private"})
#: A name that ends in one of these is about a secret and holds none: TOKEN_FILE, AUTH_TYPE.
_ABOUT = re.compile(
    r"file|path|dir|url|uri|host|name|store|type|mode|enabled|ttl|length|count|limit"
    r"|parallelism"
)
#: Before `token`, these make a language model's word of it: max_tokens, pad_token.
_OF_A_MODEL = re.compile(r"max|min|num|n|pad|eos|bos|unk|cls|sep|mask")

# name=value and name: value, the value in quotes or not. A search begins where a name does and
# nowhere inside it, so that it takes time in proportion to the text.
_FIELD = re.compile(
    r"""(?ix) (?P<before> / | \b(?:unexpected|unrecognized|illegal)\s+ | (?<![\w-]) )
    (?P<name> [\w-]* (?: password|passwd|secret|token|api[_-]?key|access[_-]?key|credentials? ) )
    (?P<sign> ["']?\s*[=:]\s*["']? )
    (?P<value> [^\s"',;&}]{3,} )"""
)
#: What programs say of a file or field that happens to have such a name, by its first word.
_COMPLAINT = re.compile(
    r"""(?ix) (?: (?: no|is|was|has|are|must|may|should|can|could|does|did|this|value|too|bad|field
        |file|text[ ]file|access|permission|operation|device|stale|resource ) [ ]+ [a-z]
    | line[ ]+\d | (?: not|cannot|can't|denied|required|missing|empty|invalid|expected|expecting
        |unexpected|unknown|unauthorized|forbidden|expired|unable|failed|error|read-only
        |input/output ) (?![^\s.,;:"'}\])]) )"""
)
#: How a system's message about a file begins: "Permission denied", "Text file busy".
_SENTENCE = re.compile(r"[A-Z][a-z]+[ ][a-z]")
_SCHEME = re.compile(
    r"""(?ix) (?P<header> \bauthorization["']?\s*[:=]\s*["']? )?
    (?P<scheme> \b(?:bearer|basic)\s+ ) (?P<value> [\w.~+/=-]{8,} )"""
)
#: A word of a sentence: "basic authentication", "Bearer authentication."
_ORDINARY = re.compile(r"[A-Za-z]?[a-z]+(?:-[a-z]+)*[.]?|[A-Z]+")
_IN_URL = re.compile(r"(://)[^/@\s]+(?=@)")
#: Tokens with a recognizable prefix. The header of a JSON Web Token is short.
_BARE = re.compile(
    r"\b(?:eyJ[\w-]{10,2000}\.[\w-]{10,}\.[\w-]*|gh[pousr]_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,})"
)


# The same few names are in every Pod: a start of the operator reads those of 10,000.
@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or _ABOUT.fullmatch(words[-1]):
        return False
    if any(left in _KEYS and right == "key" for left, right in itertools.pairwise(words)):
        return True
    return any(_SECRET_WORD.fullmatch(word) for word in words) and not _is_of_a_model(words)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without these values and without what looks like a password or token."""
    hidden = {one for one in secrets if len(one) >= _SHORTEST and one.lower() not in _SETTINGS}
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _FIELD.sub(_mask_field, text)
    text = _SCHEME.sub(_mask_scheme, text)
    text = _IN_URL.sub(rf"\1{_HIDDEN}", text)
    return _BARE.sub(_HIDDEN, text)


def _mask_field(match: re.Match[str]) -> str:
    if _is_complaint(match) or _is_of_a_model(_WORD.findall(match["name"].lower())):
        return match.group()
    return f"{match['before']}{match['name']}{match['sign']}{_HIDDEN}"


def _is_complaint(match: re.Match[str]) -> bool:
    """Return whether an error about something of this name follows, and not its value:
    `/etc/passwd: Permission denied`, `password: must not be empty`, `unexpected token: x`.
    """
    if ":" not in match["sign"]:
        return False
    if match["before"].strip() not in ("", "/"):
        return True
    start = match.start("value")
    is_file = match["before"] == "/" and match["sign"] == ": "
    if is_file and _SENTENCE.match(match.string, start):
        return True
    return _COMPLAINT.match(match.string, start) is not None


def _is_of_a_model(words: list[str]) -> bool:
    return words[-1] in ("token", "tokens") and any(map(_OF_A_MODEL.fullmatch, words[:-1]))


def _mask_scheme(match: re.Match[str]) -> str:
    header = match["header"] or ""
    if not header and _ORDINARY.fullmatch(match["value"]):
        return match.group()
    return f"{header}{match['scheme']}{_HIDDEN}"
