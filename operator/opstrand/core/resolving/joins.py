"""Joins: params whose values come from every run that a query finds.

Owns what a join may say and how the values of many runs become one. Must not find runs: the shell selects them with `query` and
passes them to `resolve(joined=...)`, by the join's index. Source: the references document ("you cannot provide ref to joins' params or
matrix params").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from opstrand.core.compiled import Compiled
from opstrand.core.identity import Identity
from opstrand.core.nearest import suggest
from opstrand.core.resolving.query import select
from opstrand.core.resolving.reading import list_artifacts, place_files
from opstrand.core.resolving.refs import REF_GLOBALS, Ask, Upstream, parse_ask
from opstrand.core.templates.context import Scope
from opstrand.core.templates.template import Evaluate, refuse, render
from opstrand.errors import Problem, SpecError
from opstrand.spec.params import PARAM_KEYS, JoinParam

_KEYS = ("query", "sort", "limit", "offset", "params")
_NO_REF = "you cannot give a ref here: {why}"


def parse_joins(compiled: Compiled) -> dict[str, tuple[int, JoinParam, Ask]]:
    """Every param of every join: name to (index of the join, param, what is asked of each run). SpecError if one is wrong."""
    asked: dict[str, tuple[int, JoinParam, Ask]] = {}
    for index, join in enumerate(compiled.joins or ()):
        path = f"joins[{index}]"
        _check_keys(join, path)
        for name, written in (join.get("params") or {}).items():
            where = f"{path}.params.{name}"
            if name in compiled.params or name in asked:
                raise SpecError("InvalidSpec", f"'{name}' gets its value in two places", where)
            param = _parse_param(written, where)
            asked[name] = (index, param, parse_ask(param.value, f"{where}.value"))
    return asked


def _check_keys(join: Any, path: str) -> None:
    if not isinstance(join, Mapping) or not isinstance(join.get("query"), str):
        raise SpecError("InvalidSpec", "a join needs a query, and no template can stand for it", path)
    if not isinstance(join.get("params") or {}, Mapping):
        raise SpecError("InvalidSpec", "a join's params are a mapping, and no template can stand for it", f"{path}.params")
    if "ref" in join:
        raise SpecError("RefInvalid", _NO_REF.format(why="a join's query names its runs"), f"{path}.ref")
    for key in join:
        if key not in _KEYS:
            raise SpecError("UnknownField", f"a join has no '{key}'{suggest(str(key), _KEYS)}", f"{path}.{key}")


def _parse_param(written: Any, path: str) -> JoinParam:
    if isinstance(written, JoinParam):
        return written
    if isinstance(written, Mapping) and written.get("ref") is not None:
        raise SpecError("RefInvalid", _NO_REF.format(why="a join's query names its runs"), f"{path}.ref")
    try:
        return JoinParam.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SpecError("InvalidSpec", first["msg"], ".".join([path, *map(str, first["loc"])])) from None


def read_join(ask: Ask, runs: Sequence[Upstream]) -> Any:
    """One value from many runs, in their order: a list with null where a run has none, or one ArtifactsType of all their files."""
    if ask.section == "files":
        return _join_files([place_files(ask.files, run.uuid) for run in runs])
    return [_read_one(ask, run) for run in runs]


def _join_files(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for key, entries in part.items():
            if isinstance(entries, list):
                joined.setdefault(key, []).extend(entries)
            else:
                joined[key] = entries
    return joined


def _read_one(ask: Ask, run: Upstream) -> Any:
    inputs, outputs, artifacts = dict(run.inputs or {}), dict(run.outputs or {}), list_artifacts(run)
    paths = {"base": run.uuid, "outputs": f"{run.uuid}/outputs", **artifacts}
    sections: dict[str, dict[str, Any]] = {
        "globals": {key: run.globals.get(key) for key in REF_GLOBALS},
        "io": {"inputs": inputs, "outputs": outputs, "artifacts": artifacts},
        "inputs": inputs,
        "outputs": outputs,
        "artifacts": paths,
    }
    section = sections[ask.section]
    return section.get(ask.name, section.get(ask.name.rpartition(".")[2])) if ask.name else section


def check_matrix(matrix: Any, path: str = "matrix") -> list[Problem]:
    """A matrix spans literal values: every param with a ref in it is refused."""
    if isinstance(matrix, Mapping):
        if matrix.get("ref") is not None and set(matrix) <= PARAM_KEYS | {"kind"}:
            message = _NO_REF.format(why="a matrix spans values that are known beforehand; take it as a param beside it")
            return [Problem("RefInvalid", message, f"{path}.ref")]
        return [problem for key, item in matrix.items() for problem in check_matrix(item, f"{path}.{key}")]
    if isinstance(matrix, list | tuple):
        return [problem for i, item in enumerate(matrix) for problem in check_matrix(item, f"{path}[{i}]")]
    return []


@dataclass(frozen=True)
class Search:
    """What a join looks for, with its templates rendered: the arguments of `core.resolving.query.select`."""

    query: str
    sort: str | None = None
    limit: int | None = None
    offset: int | None = None


def render_searches(compiled: Compiled, identity: Identity, *, evaluate: Evaluate = refuse) -> tuple[Search, ...]:
    """The searches of an operation's joins, in order. Their templates read `globals` and params that are literals."""
    if not compiled.joins:
        return ()
    parse_joins(compiled)
    scope = Scope(identity, evaluate=evaluate)
    for name, param in compiled.params.items():
        if param.ref is None:
            scope.add(name, param.value)
    return tuple(_render_search(join, f"joins[{i}]", scope, evaluate) for i, join in enumerate(compiled.joins))


def find_joined(
    compiled: Compiled, identity: Identity, project: Sequence[Upstream], *, evaluate: Evaluate = refuse
) -> dict[int, Sequence[Upstream]]:
    """For each join (by its index) the runs of the project that its query finds now, never the run itself."""
    others = [run for run in project if run.uuid != identity.uuid]
    searches = render_searches(compiled, identity, evaluate=evaluate)
    return {i: select(one.query, one.sort, one.limit, one.offset, others, path=f"joins[{i}]") for i, one in enumerate(searches)}


def _render_search(join: Mapping[str, Any], path: str, scope: Scope, evaluate: Evaluate) -> Search:
    written = {key: value for key, value in join.items() if key != "params" and value is not None}
    rendered = render(written, scope.values, path, evaluate=evaluate)
    sort = rendered.get("sort")
    return Search(str(rendered["query"]), None if sort is None else str(sort), rendered.get("limit"), rendered.get("offset"))
