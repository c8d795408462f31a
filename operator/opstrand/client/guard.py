"""Keep errors of a tracking call out of the program that makes it: each is said once.

Owns which methods are guarded and the line on stderr. `async_req=False` asks to wait for the API's
answer, so a refusal is raised there. Must not guard what returns data: a program that reads its
inputs must know that there are none.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import Any, Callable, TypeVar

from .errors import ClientError

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])

#: How the names of methods begin that report, and return nothing.
REPORTS = ("log_", "set_", "sync_")
#: Lines that are printed at most, and characters of each.
_MOST_NOTES = 100
_MOST_TEXT = 400

_noted: set[tuple[str, str]] = set()


def guard_reports(cls: Class) -> Class:
    """Decorate a class: its own methods that report (`log_`, `set_`, `sync_`) never raise."""
    for name, one in list(vars(cls).items()):
        if name.startswith(REPORTS) and callable(one):
            setattr(cls, name, guarded(one))
    return cls


def guarded(function: Function) -> Function:
    """Make a function print its error once, and return None instead of raising it."""
    name = function.__name__

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        return attempt(name, function, *arguments, **options)

    return call  # type: ignore[return-value]


def attempt(name: str, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """Call a function whose error is printed once under this name, instead of being raised."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        if options.get("async_req") is False and isinstance(error, ClientError):
            raise
        note(name, error)
        return None


def note(name: str, problem: Any) -> None:
    """Print what a call could not do, the first time that it happens."""
    text = _describe(problem)
    # The text may have a value in it that changes with each call.
    kind = type(problem).__name__ if isinstance(problem, BaseException) else text
    if (name, kind) in _noted or len(_noted) >= _MOST_NOTES:
        return
    _noted.add((name, kind))
    say(f"{name}: {text}; the program goes on")


def say(text: str) -> None:
    """Print a line on stderr. Never raises: it may be closed, or anything that the program has put
    in its place.
    """
    with contextlib.suppress(Exception):
        if sys.stderr is not None:
            print(f"opstrand: {text}", file=sys.stderr)
            sys.stderr.flush()


def _describe(problem: Any) -> str:
    try:
        text = str(problem) or type(problem).__name__
    except Exception:  # an error of the program itself may have no text
        text = type(problem).__name__
    line = ascii(" ".join(text.split()))[1:-1]
    return line if len(line) <= _MOST_TEXT else f"{line[:_MOST_TEXT]}..."
