"""Mask secrets in texts that many people can read, such as a log's end in a status.

Owns what looks like a secret. Pure. A program must not log a secret that this module cannot
recognize.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token|credential|api_?key|access_?key|private_?key|auth",
    re.IGNORECASE,
)
_HIDDEN = "***"
_PATTERNS = (
    # name=value and name: value, the value in quotes or not
    re.compile(
        r"""(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|credentials?)["']?\s*[=:]\s*["']?)[^\s"',;&}]{3,}"""
    ),
    re.compile(r"(?i)\b((?:authorization:\s*)?(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(://)[^/@\s]+(?=@)"),
)
#: Tokens with a recognizable prefix.
_BARE = re.compile(
    r"\b(?:eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|gh[pousr]_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,})"
)
#: Shorter values are ordinary words: hiding them would hide the message.
_SHORTEST = 4


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name holds a secret."""
    return _NAME.search(name) is not None


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without these values and without what looks like a password or token."""
    for secret in sorted((one for one in secrets if len(one) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: match.group(1) + _HIDDEN, text)
    return _BARE.sub(_HIDDEN, text)
