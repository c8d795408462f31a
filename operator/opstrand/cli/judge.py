"""Judging a submission without a cluster: every error that can be known before anything is created, in one list.

Owns the order of the checks and what is not yet known (other runs' values, a hub's component, values that a component's user will give).
Every rule itself lives in `spec` and `core`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.cli.submission import Submission
from opstrand.core.check import check_values
from opstrand.core.compile import Compiled, compile_operation
from opstrand.core.identity import Identity
from opstrand.core.init_steps import encode, render_init_document
from opstrand.core.limits import INIT_FILES, check_size
from opstrand.core.lookups import is_template, parse_plain
from opstrand.core.nearest import suggest
from opstrand.core.plan import Plan, compile_plan
from opstrand.core.refs import collect_refs
from opstrand.core.resolve import Waiting, resolve
from opstrand.core.template import Evaluate
from opstrand.errors import Problem, SpecError
from opstrand.settings import Settings
from opstrand.spec.polyaxonfile import parse_operation

#: A judge needs somebody to judge for; nothing of it is shown.
_SOMEBODY = Identity(uuid="0" * 32, name="check", project="check")
#: Names that every template can read besides the run's own values.
_ALWAYS = ("globals", "params", "connections", "init")


@dataclass(frozen=True)
class Verdict:
    """All that is wrong, in the order of the files, and what could not be judged here."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def require(self) -> None:
        """Raise what is wrong as one error."""
        if self.problems:
            raise SpecError.of(self.problems)


def judge(submission: Submission, *, evaluate: Evaluate, complete: bool) -> Verdict:
    """The verdict on an operation. `complete`: it is about to run, so that every required value must be there."""
    try:
        operation = parse_operation(submission.spec)
        if operation.hub_ref and operation.component is None:
            return Verdict(notes=(f"the component {operation.hub_ref!r} of the hub is not looked at here",))
        compiled = compile_operation(operation)
    except SpecError as error:
        return Verdict(submission.place(error).problems)
    problems, notes = _judge_compiled(compiled, evaluate, complete or not submission.is_component or bool(submission.given))
    placed = submission.place(SpecError.of(problems)).problems if problems else ()
    return Verdict(tuple(sorted(dict.fromkeys(placed), key=lambda one: (one.source, one.line or 0, one.column or 0))), tuple(notes))


def _judge_compiled(compiled: Compiled, evaluate: Evaluate, complete: bool) -> tuple[list[Problem], list[str]]:
    wrong = check_values(compiled, evaluate=evaluate)
    problems = [one for one in wrong if complete or one.reason != "ParamRequired"]
    if compiled.matrix or compiled.kind == "dag":
        # Their runs get values of their own: only what holds for all of them is judged here.
        what = "a matrix" if compiled.matrix else "a pipeline"
        return problems, [f"{what} is checked, but not run by this version"]
    problems += _judge_names(compiled, _collect_names(compiled))
    if not problems and not wrong:
        problems += _judge_plan(compiled, evaluate)
    return problems, []


def _judge_plan(compiled: Compiled, evaluate: Evaluate) -> tuple[Problem, ...]:
    """What only resolving and rendering can find, as far as no other run is needed."""
    try:
        resolved = resolve(compiled, _SOMEBODY, dict.fromkeys(collect_refs(compiled)), evaluate=evaluate)
        if not isinstance(resolved, Waiting) and not compiled.joins:
            check_init_files(compile_plan(compiled, resolved, _SOMEBODY, evaluate=evaluate))
    except SpecError as error:
        return error.problems
    return ()


def _collect_names(compiled: Compiled) -> list[str]:
    """The names that templates of this operation can read."""
    joined = [name for join in compiled.joins or () for name in join.get("params") or {}]
    declared = [io.name for io in (*compiled.inputs, *compiled.outputs)]
    return list(dict.fromkeys([*declared, *compiled.params, *joined]))


def _judge_names(compiled: Compiled, names: list[str]) -> Iterator[Problem]:
    """Every look-up in `run` of a name that nobody declared. What is more than a look-up may test a name, and is judged by rendering."""
    known = [*names, *_ALWAYS]
    for path, text in _iter_texts(compiled.run, "run"):
        plain = parse_plain(text) if is_template(text) else None
        for lookup in plain.pieces if plain else ():
            if not isinstance(lookup, str) and not lookup.constant and lookup.head not in known:
                yield Problem("TemplateError", f"there is no '{lookup.head}'{suggest(str(lookup.head), known)}", path)


def _iter_texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text with its path: unlike `template.iter_texts`, which needs none."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _iter_texts(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _iter_texts(item, f"{path}[{index}]")


def check_init_files(plan: Plan) -> None:
    """Whether the init files fit into a cluster at all. Raises SpecError TooLarge with both sizes."""
    if plan.kind == "job" and plan.condition is not False:
        check_size(encode(render_init_document(plan, Settings())).encode(), INIT_FILES, "the init files", "run.init")
