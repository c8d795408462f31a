"""The whole judgement of an operation that is to be created: values, names in templates, and a trial of resolving and rendering.

Owns the order of these checks, for the command line and the API alike: nothing is created that could be known to fail. Must not look at
runs: what needs one, or a hub's component, is left for later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.compiled import Compiled
from opstrand.core.compiling.check import check_values
from opstrand.core.compiling.prepare import RUN_KINDS
from opstrand.core.identity import Identity
from opstrand.core.nearest import suggest
from opstrand.core.pods.plan import compile_plan
from opstrand.core.pods.pod_rules import check_plan
from opstrand.core.resolving.refs import collect_refs
from opstrand.core.resolving.resolve import Waiting, resolve
from opstrand.core.templates.lookups import is_template, parse_plain
from opstrand.core.templates.template import Evaluate
from opstrand.errors import Problem, SpecError

#: A judge needs somebody to judge for; nothing of it is shown.
_SOMEBODY = Identity(uuid="0" * 32, name="check", project="check")
#: How an error about a connection's part begins.
_OF_CATALOG = ("'connections' has no '", "'init' has no '")
#: Names that every template can read besides the run's own values.
_ALWAYS = ("globals", "params", "connections", "init")


def judge_compiled(compiled: Compiled, *, evaluate: Evaluate, complete: bool) -> tuple[list[Problem], list[str]]:
    """All that is wrong, and notes of what is not judged here. `complete`: it is about to run, so every required value must be there."""
    wrong = check_values(compiled, evaluate=evaluate)
    problems = [one for one in wrong if complete or one.reason != "ParamRequired"]
    if compiled.matrix or compiled.kind == "dag":
        # Their runs get values of their own: only what holds for all of them is judged here.
        what = "a matrix" if compiled.matrix else "a pipeline"
        return problems, [f"{what} is checked, but not run by this version"]
    problems += _judge_names(compiled, _collect_names(compiled))
    if compiled.kind not in RUN_KINDS:
        # What their templates may read besides is known to who runs them.
        return problems, [f"a run of the kind '{compiled.kind}' is checked, but not run by this version"]
    if not problems and not wrong:
        problems += _judge_plan(compiled, evaluate)
    return problems, []


def _judge_plan(compiled: Compiled, evaluate: Evaluate) -> tuple[Problem, ...]:
    """What only resolving and rendering can find, as far as no other run is needed."""
    try:
        resolved = resolve(compiled, _SOMEBODY, dict.fromkeys(collect_refs(compiled)), evaluate=evaluate)
        if not isinstance(resolved, Waiting) and not compiled.joins:
            check_plan(compile_plan(compiled, resolved, _SOMEBODY, evaluate=evaluate))
    except SpecError as error:
        # The catalog of connections is the cluster's: what a template reads of one is not known here.
        return tuple(one for one in error.problems if not any(words in one.message for words in _OF_CATALOG))
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
