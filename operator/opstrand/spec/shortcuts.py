"""The root shortcuts `cmd`, `env` and `resources`, which stand for parts of the main container.

Owns their shape and what `resources` means in Kubernetes. `core.compiling.shortcuts` merges them
into the container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from opstrand.spec.problems import describe, fail, fail_at
from opstrand.spec.scalars import Accepts

_CPU = re.compile(r"\d+(\.\d+)?m?\Z")
_MEMORY = re.compile(r"\d+(\.\d+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?\Z")
_COUNT = re.compile(r"\d{1,18}\Z")
_SUFFIXES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SUFFIXES |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)}
_GPU = "nvidia.com/gpu"


def _validate_command(value: Any) -> Any:
    lines = value if isinstance(value, list) else [value]
    if not lines:
        raise fail("InvalidSpec", "expected a command, found an empty list")
    for line in lines:
        if not isinstance(line, str) or not line.strip():
            raise fail(
                "InvalidSpec",
                f"expected a command (text or a list of lines), found {describe(line)}",
            )
    return value


def _validate_variables(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise fail("InvalidSpec", f"expected a mapping of names to text, found {describe(value)}")
    wrong = [
        ((name,), "InvalidSpec", f"expected text, found {describe(inner)}; quote it")
        for name, inner in value.items()
        if not isinstance(inner, str)
    ]
    if wrong:
        raise fail_at(wrong, value)
    return value


def _validate_resources(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise fail("InvalidSpec", f"expected a mapping of resources, found {describe(value)}")
    wrong = []
    for name, amount in value.items():
        try:
            _range(name, amount)
        except ValueError as error:
            wrong.append(((name,), "InvalidSpec", str(error)))
    if wrong:
        raise fail_at(wrong, value)
    return value


Command = Annotated[Any, BeforeValidator(_validate_command), Accepts("text or list of text")]
Variables = Annotated[dict[str, str], BeforeValidator(_validate_variables)]
Amount = Annotated[Any, Accepts("number, quantity, or a range such as 1..2")]
ResourceShortcut = Annotated[dict[str, Amount], BeforeValidator(_validate_resources)]


def spread_resources(resources: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The `requests` and `limits` that the shortcut stands for.

    `cpu: 1` is a request, `cpu: 1..2` a request and a limit, a count such as `gpu: 1` both.
    """
    spread: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for name, amount in resources.items():
        for side, quantity in zip(spread.values(), _range(name, amount), strict=True):
            if quantity is not None:
                side[_GPU if name == "gpu" else name] = quantity
    return {side: quantities for side, quantities in spread.items() if quantities}


def _range(name: str, amount: Any) -> tuple[Any, Any]:
    if name == _GPU:
        raise ValueError("write it as `gpu`")
    if name not in ("cpu", "memory", "gpu") and "/" not in name:
        raise ValueError(
            "unknown resource; use cpu, memory, gpu, or an extended one such as example.org/device"
        )
    is_count = name not in ("cpu", "memory")
    if isinstance(amount, bool) or not isinstance(amount, (int, float, str)):
        raise ValueError(f"expected a number or a range such as 1..2, found {describe(amount)}")
    if not isinstance(amount, str):
        if amount < 0 or (is_count and not isinstance(amount, int)):
            raise ValueError(
                f"expected a {'whole ' if is_count else ''}number from 0, found {describe(amount)}"
            )
        return (amount, amount) if is_count else (amount, None)
    return _text_range(name, amount, is_count)


def _text_range(name: str, amount: str, is_count: bool) -> tuple[Any, Any]:
    low, dots, high = (part.strip() for part in amount.partition(".."))
    if not low and not high:
        raise ValueError("needs a request, a limit, or both (1..2)")
    request, limit = (_parse_bound(name, part, is_count) for part in (low, high))
    if low and high and _amount(low) > _amount(high):
        raise ValueError(f"the request {low} is above the limit {high}")
    return (request, request) if is_count and not dots else (request, limit)


def _parse_bound(name: str, text: str, is_count: bool) -> int | str | None:
    """Return one end of a range: a count as a number, a quantity as text, None if it is open."""
    if not text:
        return None
    pattern = _COUNT if is_count else _CPU if name == "cpu" else _MEMORY
    if not pattern.match(text):
        raise ValueError(
            f"'{text}' is no amount of {name}; use container.resources for other quantities or "
            "templates"
        )
    return int(text) if is_count else text


def _amount(text: str) -> float:
    digits = text.rstrip("".join(set("".join(_SUFFIXES))))
    return float(digits) * _SUFFIXES.get(text[len(digits) :], 1.0)
