"""Match the params of an operation with the inputs and outputs of its component.

Owns the rules that need no value: what is declared, what is required, which names are reserved, and
where each value comes from. Must not resolve refs or render templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.joins import parse_joins
from opstrand.core.resolving.refs import Ask, Ref, check_ref
from opstrand.core.resolving.upstream_values import example
from opstrand.core.resolving.validation import Validator, make_validator
from opstrand.core.templates.template import Evaluate, refuse
from opstrand.core.values.safe import is_too_deep
from opstrand.core.values.types import convert, is_known
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.io import IO, RESERVED_NAMES
from opstrand.spec.params import JoinParam, Param
from opstrand.text import shorten, suggest

Section = Literal["contexts", "inputs", "outputs"]
Source = Literal["literal", "default", "ref", "join", "matrix", "template"]


@dataclass(frozen=True)
class Slot:
    """One value that a run is to have.

    It is `name` in `section`, from `value` (as written), or from `ask` of `ref`, or of the join
    `join`.
    """

    name: str
    section: Section
    io: IO | None
    source: Source
    path: str
    value: Any = None
    ref: Ref | None = None
    ask: Ask | None = None
    join: int | None = None
    connection: str | None = None
    to_init: bool = False
    to_env: str | None = None

    def as_default(self) -> Slot:
        return replace(self, source="default", path=f"{self.section}.{self.name}")


@dataclass(frozen=True)
class Bindings:
    """The slots of an operation, and what is wrong with them.

    They are in the order of `inputs` (context values, then declared ones), then `outputs`.
    """

    slots: tuple[Slot, ...]
    problems: tuple[Problem, ...]


def bind_params(compiled: CompiledOperation) -> Bindings:
    """Return where each value of an operation comes from. Made once for each compiled operation.

    Raises SpecError for joins that cannot be read.
    """
    if compiled.bindings is None:
        # The operation is frozen: this is what follows from it, and not a change.
        object.__setattr__(compiled, "bindings", _make_bindings(compiled, parse_joins(compiled)))
    kept: Bindings = compiled.bindings
    return kept


def _make_bindings(
    compiled: CompiledOperation, asked: Mapping[str, tuple[int, JoinParam, Ask]]
) -> Bindings:
    """Match params and declarations. `asked` are the params of joins, by name."""
    problems: list[Problem] = []
    slots = [*_make_contexts(compiled, asked, problems)]
    declared: tuple[tuple[Section, tuple[IO, ...]], ...] = (
        ("inputs", compiled.inputs),
        ("outputs", compiled.outputs),
    )
    for section, ios in declared:
        for io in {io.name: io for io in ios}.values():
            try:
                slot = _make_declared(io, section, compiled.params.get(io.name), asked.get(io.name))
            except SpecError as error:
                problems.extend(error.problems)
            else:
                slots.extend([slot] if slot else [])
    return Bindings(tuple(slots), tuple(problems))


def _make_contexts(
    compiled: CompiledOperation, asked: Mapping[str, Any], problems: list[Problem]
) -> Iterator[Slot]:
    declared = [io.name for io in (*compiled.inputs, *compiled.outputs)]
    known = frozenset(declared)
    for name, param in [*compiled.params.items(), *((n, a[1]) for n, a in asked.items())]:
        if name in known:
            continue
        if len(problems) >= MAX_PROBLEMS:
            return
        try:
            _check_undeclared(name, param, declared, compiled.strict_params)
            yield _make_slot(name, "contexts", None, param, asked.get(name))
        except SpecError as error:
            problems.extend(error.problems)


def _check_undeclared(
    name: str, param: Param | JoinParam, declared: list[str], strict: bool
) -> None:
    path = f"params.{name}"
    if name in RESERVED_NAMES:
        raise SpecError(
            "InvalidSpec", f"'{name}' is a reserved name; call the param something else", path
        )
    if param.context_only is False:
        message = (
            f"'{name}' matches no input or output, and contextOnly is "
            f"false{suggest(name, declared)}"
        )
        raise SpecError("ParamUndeclared", message, path)
    if strict and not param.context_only:
        message = (
            f"'{name}' is undeclared: declare an input or output, or set contextOnly: "
            f"true{suggest(name, declared)}"
        )
        raise SpecError("ParamUndeclared", message, path)


def _make_slot(
    name: str,
    section: Section,
    io: IO | None,
    param: Param | JoinParam,
    joined: tuple[int, JoinParam, Ask] | None,
) -> Slot:
    """Make the slot of a value that was given.

    A param's own connection, toInit and toEnv win over the declaration's.
    """
    source: Source = "join" if joined else "literal"
    ref = ask = None
    if isinstance(param, Param) and param.ref is not None:
        ref, ask = check_ref(name, param)
        source = "ref"
    if is_too_deep(param.value):
        raise SpecError("ParamInvalid", f"'{name}' is nested too deeply", f"params.{name}")
    to_env = param.to_env if isinstance(param, Param) else None
    slot = Slot(
        name=name,
        section=section,
        io=io,
        source=source,
        path=f"params.{name}" if joined is None else f"joins[{joined[0]}].params.{name}",
        value=param.value,
        ref=ref,
        ask=joined[2] if joined else ask,
        join=joined[0] if joined else None,
        connection=param.connection or (io.connection if io else None),
        to_init=bool(param.to_init if param.to_init is not None else io and io.to_init),
        to_env=to_env or (io.to_env if io else None),
    )
    _check_fit(slot)
    return slot


def _check_fit(slot: Slot) -> None:
    """Check that the declaration accepts what is read of another run, before there is a run.

    Only values whose shape is the same for every run can be checked.
    """
    if slot.io is None or slot.ask is None:
        return
    given = example(slot.ask)
    if slot.join is not None and slot.ask.section != "files":
        given = [] if given is None else [given]
    if given is None:
        return
    try:
        convert(given, slot.io.type, is_list=bool(slot.io.is_list))
    except SpecError:
        if not is_known(slot.io.type):
            return  # the declaration's own check reports it
        what = f"{slot.ask} of {slot.ref}" if slot.ref else "a join"
        named = slot.io.type or "values"
        wanted = (
            f"a list of {named}"
            if slot.io.is_list
            else f"one {named}"
            if isinstance(given, list)
            else named
        )
        hint = "; declare isList: true" if isinstance(given, list) and not slot.io.is_list else ""
        message = (
            f"{shorten(what, 100)} gives {_SHAPES[type(given)]}, and this accepts {wanted}{hint}"
        )
        raise SpecError("ParamInvalid", message, f"{slot.path}.value") from None


_SHAPES: dict[type, str] = {dict: "a mapping", list: "a list", str: "a text", int: "a number"}


def _make_declared(
    io: IO, section: Section, param: Param | None, joined: tuple[int, JoinParam, Ask] | None
) -> Slot | None:
    """Make the slot of a declared input or output; None for an output without a value yet."""
    given: Param | JoinParam | None = joined[1] if joined else param
    if given is not None and (
        joined or (param and param.ref is not None) or given.value is not None
    ):
        return _make_slot(io.name, section, io, given, joined)
    if io.has_default:
        return _make_slot(io.name, section, io, _with_value(given, io.value), None).as_default()
    explicit_null = io.type is None and given is not None and "value" in given.model_fields_set
    if not (io.is_optional or explicit_null or _is_delayed(io, section)):
        raise _require(io, section, f"params.{io.name}")
    if section == "outputs":
        return None
    return _make_slot(io.name, section, io, _with_value(given, None), None).as_default()


def _with_value(given: Param | JoinParam | None, value: Any) -> Param:
    """Return a param with another value that keeps where the value goes."""
    param = given if isinstance(given, Param) else Param.model_construct()
    return param.model_copy(update={"value": value})


def _is_delayed(io: IO, section: Section) -> bool:
    """Return whether the value may still be missing now.

    True for outputs, False for inputs, unless the declaration says otherwise.
    """
    if io.delay_validation is not None:
        return io.delay_validation
    if io.validation is not None and io.validation.delay is not None:
        return io.validation.delay
    return section == "outputs"


def _require(io: IO, section: Section, path: str) -> SpecError:
    wanted = f" ({io.type})" if io.type else ""
    return SpecError(
        "ParamRequired", f"{section[:-1]} '{io.name}'{wanted} is required and got no value", path
    )


def bind(
    value: Any, slot: Slot, *, evaluate: Evaluate = refuse, validator: Validator | None = None
) -> Any:
    """Return the final value of a slot: converted by its declaration and checked against its rules.

    `validator`: the prepared rules of the declaration.
    """
    io = slot.io
    if value is None and io is not None:
        if io.is_required and io.type is not None and slot.source != "default":
            raise _require(io, slot.section, slot.path)
        return None
    bound = convert(value, io.type if io else None, is_list=bool(io and io.is_list), path=slot.path)
    if io is not None and bound is not None:
        (validator or make_validator(io)).check(bound, slot.path, evaluate)
    return bound
