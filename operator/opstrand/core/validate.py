"""Validate an operation completely before it is created.

That is its values, names in templates, and a trial of resolving and rendering. Owns the order of
these checks, for the command line and the API alike: nothing is created that is known to fail. Must
not look at runs: what needs one, or a hub's component, is left for later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

from opstrand.core.compiling.cache_rules import check_cache
from opstrand.core.compiling.check import check_values
from opstrand.core.compiling.doubts import check_in_hub, note_components, note_metrics
from opstrand.core.compiling.matrix import choose_first
from opstrand.core.compiling.unsupported import RUN_KINDS, find_missing
from opstrand.core.compiling.without_effect import find_idle
from opstrand.core.identity import Identity
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.matrix import matrix_names
from opstrand.core.planning.connections import Catalog
from opstrand.core.planning.init import make_step
from opstrand.core.planning.plan import CATALOG_NOT_GIVEN, compile_plan
from opstrand.core.pods.pod_rules import check_plan
from opstrand.core.pods.volumes import store_path
from opstrand.core.resolving.bindings import bind_params
from opstrand.core.resolving.joins import find_search
from opstrand.core.resolving.refs import Ref, collect_refs
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.resolving.waits import Waiting
from opstrand.core.templates.lookups import RAW, is_template, parse_plain
from opstrand.core.templates.meter import Evaluate, metered
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.text import find_nearest, suggest

#: Each stands for the result of a template; no file contains one.
_STAND_INS = ("/\u241a", "/\u241b")
#: When a run of a schedule is due, in the trial.
_ANY_TICK = "2026-01-31T10:00:00Z"
#: Problems that are only noted for a file that is not to run now: it may be written for another
#: version, or for a person to fill in.
_UNTIL_IT_RUNS = ("NotSupported", "Placeholder")
#: Names that every template can read besides the run's own values.
_ALWAYS = ("globals", "params", "connections", "init")
#: Parts of a pipeline that are validated as operations of their own.
_CHILDREN = ("operations", "components")


def validate_compiled(
    compiled: CompiledOperation,
    *,
    evaluate: Evaluate,
    complete: bool,
    is_run: bool = True,
    catalog: Catalog | None = None,
) -> tuple[list[Problem], list[str]]:
    """Return all problems, and notes on what is not validated here.

    `complete`: every required value must be there. `is_run`: the operation is about to be created,
    so what this version does not run is a problem too. `catalog`: the connections that it may name
    (None: not known).
    """
    evaluate = metered(evaluate)
    wrong = [*check_values(compiled, evaluate=evaluate), *check_cache(compiled)]
    problems = [one for one in wrong if complete or one.reason != "ParamRequired"]
    missing, notes = find_missing(compiled), list(find_idle(compiled))
    if is_run:
        problems += missing
    else:
        notes += [one.message for one in missing if one.reason in _UNTIL_IT_RUNS]
        problems += [one for one in missing if one.reason not in _UNTIL_IT_RUNS]
    problems += _validate_work(compiled, evaluate, catalog, is_sound=not wrong)
    problems += [] if catalog is None else validate_connections(compiled, catalog)
    notes += note_metrics(compiled)
    if not is_run:
        notes += note_components(compiled)
        notes += [f"{one.path}: {one.message}" for one in problems if one.reason in _UNTIL_IT_RUNS]
        problems = [one for one in problems if one.reason not in _UNTIL_IT_RUNS]
    return list(dict.fromkeys(problems)), list(dict.fromkeys(notes))


def _validate_work(
    compiled: CompiledOperation,
    evaluate: Evaluate,
    catalog: Catalog | None,
    *,
    is_sound: bool = True,
    is_child: bool = False,
) -> list[Problem]:
    """Find the problems of what would run. `is_sound`: its values have no problems."""
    problems = list(islice(_validate_names(compiled), MAX_PROBLEMS))
    if compiled.kind == "dag":
        return problems + list(
            islice(_validate_operations(compiled, evaluate, catalog), MAX_PROBLEMS)
        )
    if compiled.kind not in RUN_KINDS:
        # Which other names their templates may read is unknown here.
        return problems
    if is_sound:
        problems += _validate_fetched(compiled)
    # The runs of a matrix differ in values alone: what holds for the first one holds for all.
    run = choose_first(compiled) if is_sound and not problems else None
    if run is None or not _validate_plan(run, evaluate, catalog, problems, is_child=is_child):
        # If values are missing or wrong, check at least what needs none.
        problems += _validate_shape(compiled)
    return problems


def _validate_operations(
    pipeline: CompiledOperation, evaluate: Evaluate, catalog: Catalog | None
) -> Iterator[Problem]:
    """Do the same for every operation of a pipeline, each of which becomes a run.

    Their values were validated with the pipeline's graph.
    """
    for node in pipeline.nodes.values():
        found = (
            check_in_hub(node.written)
            if node.compiled is None
            else _validate_work(node.compiled, evaluate, catalog, is_child=True)
        )
        for one in dict.fromkeys(found):
            yield replace(one, path=f"{node.path}.{one.path}")


def _validate_plan(
    compiled: CompiledOperation,
    evaluate: Evaluate,
    catalog: Catalog | None,
    problems: list[Problem],
    *,
    is_child: bool,
) -> bool:
    """Add the problems that only resolving and rendering can find.

    Return whether the check is complete: it needed no other run, and found no problem.
    """
    if compiled.joins:
        return False
    try:
        refs = collect_refs(compiled)
        due = None if compiled.schedule is None else _ANY_TICK
        stand_in = replace(_find_stand_in(refs), is_independent=not is_child, schedule_at=due)
        resolved = resolve(compiled, stand_in, dict.fromkeys(refs), evaluate=evaluate)
        if isinstance(resolved, Waiting):
            return False
        schemas = None if catalog is None else catalog.schemas
        plan = compile_plan(
            compiled, resolved, stand_in, schemas, store_path=store_path(catalog), evaluate=evaluate
        )
        check_plan(plan, is_built=bool(compiled.build))
    except SpecError as error:
        # Without the catalog of connections, which is the cluster's, what a template reads of one
        # is unknown here.
        problems += (one for one in error.problems if one.reason != CATALOG_NOT_GIVEN)
        return False
    return True


def _validate_fetched(compiled: CompiledOperation) -> Iterator[Problem]:
    """Find every value of another run that `toInit` could not fetch, whatever the value will be."""
    for slot in bind_params(compiled).slots:
        if slot.to_init and slot.ask is not None:
            try:
                make_step(slot, _STAND_INS[0])
            except SpecError as error:
                yield from error.problems


def _find_stand_in(refs: Iterable[Ref]) -> Identity:
    """Return an identity for the trial that no ref names; none of it is shown."""
    asked = {ref.target for ref in refs}
    uuid = next(text for number in count() if (text := f"{number:032x}") not in asked)
    return Identity(uuid=uuid, name="check", project="check")


def validate_connections(compiled: CompiledOperation, catalog: Catalog) -> Iterator[Problem]:
    """Find every named connection that the catalog does not have.

    A name that a template gives is known when it is rendered.
    """
    named = [
        (f"run.connections[{index}]", name)
        for index, name in enumerate(_list(compiled.run.get("connections")))
    ]
    steps = enumerate(_list(compiled.run.get("init")))
    named += [
        (f"run.init[{index}].connection", step.get("connection"))
        for index, step in steps
        if isinstance(step, Mapping)
    ]
    for path, name in named:
        if isinstance(name, str) and not is_template(name):
            try:
                catalog.find(name, path)
            except SpecError as error:
                yield from error.problems


def _list(value: Any) -> list[Any]:
    """Return a section's items; none if a template makes the whole section."""
    return list(value) if isinstance(value, list | tuple) else []


def _validate_shape(compiled: CompiledOperation) -> Iterator[Problem]:
    """Find the problems of the Pod that do not depend on what its templates give."""
    first, second = (_try_shape(compiled, text) for text in _STAND_INS)
    others = set(second)
    yield from (one for one in first if one in others)


def _try_shape(compiled: CompiledOperation, text: str) -> Sequence[Problem]:
    """Find the problems of the Pod if every template in it gives this text."""
    run = {key: _fill(part, text) for key, part in compiled.run.items() if not _is_made(part)}
    own = {"queue": _fill(compiled.queue, text)}
    for name, section in {"plugins": compiled.plugins, "termination": compiled.termination}.items():
        own[name] = {} if isinstance(section, str) else _fill(section, text)
    bare = replace(
        compiled,
        run=run,
        **own,
        conditions=None,
        is_approved=None,
        cache=None,
        presets=(),
        cost=None,
        mount=(),
    )
    try:
        check_plan(
            compile_plan(bare, Resolved({}, {}), _find_stand_in(())), is_built=bool(compiled.build)
        )
    except SpecError as error:
        return error.problems
    return ()


def _is_made(part: Any) -> bool:
    """Return whether a template makes a whole section, or one of its items.

    Its shape is unknown then.
    """
    return any(
        isinstance(one, str) and is_template(one)
        for one in (part if isinstance(part, list | tuple) else [part])
    )


def _fill(value: Any, text: str) -> Any:
    """Return the value with `text` for every text that has a template in it, keys too."""
    if isinstance(value, str):
        return text if is_template(value) else value
    if isinstance(value, Mapping):
        return {_fill(key, text): _fill(item, text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_fill(item, text) for item in value)
    return value


def _collect_names(compiled: CompiledOperation) -> list[str]:
    """Return the names that templates of this operation can read."""
    params = [join.get("params") for join in compiled.joins or () if isinstance(join, Mapping)]
    joined = [name for given in params if isinstance(given, Mapping) for name in given]
    declared = [io.name for io in (*compiled.inputs, *compiled.outputs)]
    return list(
        dict.fromkeys([*declared, *compiled.params, *joined, *matrix_names(compiled.matrix)])
    )


def _validate_names(compiled: CompiledOperation) -> Iterator[Problem]:
    """Find every look-up of an undeclared name.

    An expression that is more than a look-up may test a name: rendering checks it.
    """
    names = _collect_names(compiled)
    values = {
        f"params.{name}": param.value
        for name, param in compiled.params.items()
        if param.ref is None
    }
    values |= {
        f"{section}.{io.name}": io.value
        for section in ("inputs", "outputs")
        for io in getattr(compiled, section)
    }
    yield from _find_unknown(values, (*names, "globals", "params"))
    own = {
        "conditions": compiled.conditions,
        "termination": compiled.termination,
        "plugins": compiled.plugins,
        "queue": compiled.queue,
    }
    own |= {
        f"joins[{index}]": find_search(join)
        for index, join in enumerate(compiled.joins or ())
        if isinstance(join, Mapping)
    }
    own |= {f"run.{key}": value for key, value in compiled.run.items() if key not in _CHILDREN}
    yield from _find_unknown(own, (*names, *_ALWAYS))


def _find_unknown(parts: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Problem]:
    names = frozenset(known)
    for path, text in (one for part, value in parts.items() for one in _iter_texts(value, part)):
        plain = parse_plain(text) if is_template(text) else None
        for lookup in plain.pieces if plain else ():
            if not isinstance(lookup, str) and not lookup.constant and lookup.head not in names:
                way_out = "" if find_nearest(str(lookup.head), known) else f"; {RAW}"
                yield Problem(
                    "TemplateError",
                    f"there is no '{lookup.head}'{suggest(str(lookup.head), known)}{way_out}",
                    path,
                )


def _iter_texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text with its path, unlike `template.iter_texts`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _iter_texts(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _iter_texts(item, f"{path}[{index}]")
