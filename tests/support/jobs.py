"""Jobs for tests of the worker pool: they exceed limits, break, or return what they must not."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, NoReturn

from opstrand.errors import SpecError


def eat_memory() -> NoReturn:
    kept: list[list[int]] = []
    while True:
        kept.append([0] * 1000)


def eat_in_one_piece() -> int:
    return len(b"a" * 2**30)


def refuse_it() -> None:
    raise SpecError("TooLarge", "it is too large", "a.b")


def leave(code: int) -> None:
    os._exit(code)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def read_niceness() -> int:
    return os.nice(0)


def read_pids() -> tuple[int, int]:
    """Return the pid of the worker, and the pid of the process from which it was forked."""
    return os.getpid(), os.getppid()


def list_modules() -> list[str]:
    return sorted(sys.modules)


def count(word: str, items: list[int]) -> tuple[str, int]:
    return word, len(items)


class _Code:
    def __reduce__(self) -> Any:
        return print, ("this must not be run",)


def answer_with_code() -> _Code:
    return _Code()
