"""File modes as chmod accepts them: octal (`0644`, `755`) or symbolic (`+x`, `u=rw,go-w`).

Pure: the operator validates a mode with it before there is a Pod, and the init container applies
it.
"""

from __future__ import annotations

import re

_OCTAL = re.compile(r"(0o)?[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxX]*)+)")
_ACTION = re.compile(r"([-+=])([rwxX]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


def apply_mode(text: str, current: int) -> int:
    """Return the mode that `chmod text` makes of `current`.

    Raises ValueError that shows what was found.
    """
    text = text.strip()
    if _OCTAL.fullmatch(text):
        return int(text.replace("0o", ""), 8)
    for clause in text.split(","):
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise ValueError(f"chmod accepts a mode such as 755, 0644 or +x, found {text!r}")
        who = "ugo" if not found.group(1) or "a" in found.group(1) else found.group(1)
        for operator, letters in _ACTION.findall(found.group(2)):
            current = _apply(current, who, operator, letters)
    return current


def _apply(current: int, who: str, operator: str, letters: str) -> int:
    # X means x if any user may execute the file already.
    plain = letters.replace("X", "x" if current & 0o111 else "")
    value = sum(_BITS[letter] for letter in set(plain))
    for one in who:
        bits = value << _SHIFTS[one]
        if operator == "+":
            current |= bits
        elif operator == "-":
            current &= ~bits
        else:
            current = current & ~(7 << _SHIFTS[one]) | bits
    return current
