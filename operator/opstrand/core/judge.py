"""Everything that can be said about a compiled operation before any run exists: for `opstrand check`, and for a pipeline's operations.

Owns putting together the judges of values (`core.check`), of the matrix, and of joins, and which types what is asked of a run can have.
Must not need an upstream.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from opstrand.core.check import check_values
from opstrand.core.matrix import check_spaces, given_names
from opstrand.core.refs import Ask
from opstrand.core.template import Evaluate, refuse
from opstrand.errors import Problem
from opstrand.spec.io import IO
from opstrand.spec.params import Param

if TYPE_CHECKING:
    from opstrand.core.compile import Compiled

#: Stands for a value that comes later: it is not judged, and nothing is missing.
_LATER = "{{ later }}"


def check_operation(compiled: Compiled, *, evaluate: Evaluate = refuse) -> list[Problem]:
    """Every problem of an operation that needs no other run to be seen. A pipeline's graph is judged when it is compiled."""
    spaces = check_spaces(compiled.matrix, compiled.inputs) if compiled.matrix is not None else []
    late = {name: Param(value=_LATER) for name in given_names(compiled.matrix)}
    values = check_values(replace(compiled, params={**compiled.params, **late}), evaluate=evaluate)
    return [*spaces, *values, *_check_joined(compiled)]


def _check_joined(compiled: Compiled) -> list[Problem]:
    """A join gives a list of values, so its input must be one."""
    joined = {name for join in compiled.joins or () for name in _names(join)}
    problems = []
    for io in compiled.inputs:
        if io.name in joined and not _takes_list(io):
            message = f"a join gives a list, and this is one {io.type}; declare it with isList: true"
            problems.append(Problem("InvalidSpec", message, f"params.{io.name}"))
    return problems


def _names(join: object) -> Iterable[str]:
    params = join.get("params") if isinstance(join, dict) else None
    return params if isinstance(params, dict) else ()


def _takes_list(io: IO) -> bool:
    bare = (io.type or "any").lower()
    return bool(io.is_list) or bare in ("any", "list", "artifacts") or bare.startswith("list[")


_DICT = ("dict", "any")
_TEXT = ("str", "any", "path")
_GLOBALS = {"condition": ("dict", "str", "any"), "duration": ("float", "str", "any")}


def expected_types(ask: Ask) -> tuple[str, ...]:
    """The types of an input that can take what is asked; empty if any may."""
    if ask.section == "artifacts" and ask.name:
        return ()
    if ask.section == "globals" and ask.name:
        moment = ("datetime", "date", *_TEXT) if ask.name.endswith("_at") else _TEXT
        return _GLOBALS.get(ask.name, moment)
    if ask.section == "files":
        return ("artifacts", *_DICT)
    return (*_DICT, "str") if ask.section in ("io", "artifacts") else _DICT
