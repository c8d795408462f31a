"""Find the character NUL, which no program, variable, path or name can hold.

It ends a text for the kernel. Owns that rule for everything that a plan hands to Kubernetes. Must
not know what the texts are for. An init file's content is bytes, and may hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.errors import Problem

_MESSAGE = "holds the character NUL, which no argument, variable, path or name can"


def find_nuls(value: Any, path: str) -> Iterator[Problem]:
    """Find every text in `value` that holds a NUL, keys included, with its path."""
    if isinstance(value, str):
        if "\0" in value:
            yield Problem("InvalidSpec", _MESSAGE, path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if "\0" in str(key):
                yield Problem("InvalidSpec", f"the key {key!r} {_MESSAGE}", path)
            elif key != "content":
                yield from find_nuls(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from find_nuls(inner, f"{path}[{index}]")
