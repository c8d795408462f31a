"""Joins: params whose values come from every run that a query finds.

Owns what a join may say, which runs of a project it finds, and how the values of many runs become
one. Must not read a cluster: the caller passes every run of the project. Source: the references
document ("you cannot provide ref to joins' params or matrix params").
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from opstrand.core.limits import JOINS
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.query import MOST, select
from opstrand.core.resolving.query_grammar import parse_count, parse_query, parse_sort
from opstrand.core.resolving.refs import Ask, Upstream, parse_ask
from opstrand.core.resolving.stored import NotSearched, StoredRuns, Unanswered
from opstrand.core.resolving.upstream_values import ABSENT, find_value, place_files
from opstrand.core.templates.lookups import is_template
from opstrand.core.templates.template import Evaluate, refuse, render
from opstrand.errors import Problem, SpecError
from opstrand.spec.params import PARAM_KEYS, JoinParam
from opstrand.text import suggest

#: The most runs that one search asks of the store.
MOST_ASKED = 2 * MOST
#: The searches that were asked of the store, and those that it has not answered; None: there is no
#: store.
Searched = Mapping[StoredRuns, Unanswered | None] | None
_KEYS = ("query", "sort", "limit", "offset", "params")
_NO_REF = "you cannot give a ref here: {why}"


def parse_joins(compiled: CompiledOperation) -> dict[str, tuple[int, JoinParam, Ask]]:
    """Parse every param of every join.

    Returns name to (index of the join, param, what is read of each run). Raises SpecError with all
    problems.
    """
    if isinstance(compiled.joins, str):
        raise SpecError(
            "InvalidSpec", "joins are a list, and no template can stand for it", "joins"
        )
    asked: dict[str, tuple[int, JoinParam, Ask]] = {}
    problems: list[Problem] = []
    if len(compiled.joins or ()) > JOINS:
        raise SpecError(
            "TooLarge",
            f"there are {len(compiled.joins or ())} joins; at most {JOINS} are searched",
            "joins",
        )
    for index, join in enumerate(compiled.joins or ()):
        problems += _add_join(index, join, compiled.params, asked)
    if problems:
        raise SpecError.of(problems)
    return asked


def _add_join(
    index: int,
    join: Any,
    params: Container[str],
    asked: dict[str, tuple[int, JoinParam, Ask]],
) -> list[Problem]:
    """Add the params of a join to `asked`, and return the problems of the join.

    `params` are the operation's own: no join may set one of them as well.
    """
    path = f"joins[{index}]"
    try:
        _check_keys(join, path)
    except SpecError as error:
        return [*error.problems]
    problems = [
        *_check_search(
            {key: item for key, item in find_search(join).items() if not _is_rendered_later(item)},
            path,
        )
    ]
    for name, written in (join.get("params") or {}).items():
        where = f"{path}.params.{name}"
        try:
            if name in params or name in asked:
                raise SpecError("InvalidSpec", f"'{name}' gets its value in two places", where)
            param = _parse_param(written, where)
            asked[name] = (index, param, parse_ask(param.value, f"{where}.value"))
        except SpecError as error:
            problems += error.problems
    return problems


#: Part of a search -> its check. A part that a template makes is checked once it is rendered.
_SEARCH: dict[str, Callable[[Any, str], object]] = {
    "query": parse_query,
    "sort": parse_sort,
    "limit": parse_count,
    "offset": parse_count,
}


def _is_rendered_later(written: Any) -> bool:
    return isinstance(written, str) and is_template(written)


def _check_search(asked: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Find the problems of a search that do not depend on the runs."""
    for key, written in asked.items():
        try:
            _SEARCH[key](written, f"{path}.{key}")
        except SpecError as error:
            yield from error.problems


def _check_keys(join: Any, path: str) -> None:
    if not isinstance(join, Mapping) or not isinstance(join.get("query"), str):
        raise SpecError(
            "InvalidSpec", "a join needs a query, and no template can stand for it", path
        )
    if not isinstance(join.get("params") or {}, Mapping):
        raise SpecError(
            "InvalidSpec",
            "a join's params are a mapping, and no template can stand for it",
            f"{path}.params",
        )
    if "ref" in join:
        raise SpecError(
            "RefInvalid", _NO_REF.format(why="a join's query names its runs"), f"{path}.ref"
        )
    for key in join:
        if key not in _KEYS:
            raise SpecError(
                "UnknownField", f"a join has no '{key}'{suggest(str(key), _KEYS)}", f"{path}.{key}"
            )


def _parse_param(written: Any, path: str) -> JoinParam:
    if isinstance(written, JoinParam):
        return written
    if isinstance(written, Mapping) and written.get("ref") is not None:
        raise SpecError(
            "RefInvalid", _NO_REF.format(why="a join's query names its runs"), f"{path}.ref"
        )
    try:
        return JoinParam.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SpecError(
            "InvalidSpec", first["msg"], ".".join([path, *map(str, first["loc"])])
        ) from None


def read_join(
    ask: Ask, runs: Sequence[Upstream], charge: Callable[[Any], None] = lambda value: None
) -> Any:
    """Make one value from many runs, in their order.

    It is a list, with null for a run without the value, or one ArtifactsType of all their files.
    `charge` is called with the value of each run as soon as it is read, and may raise to stop.
    """
    values: list[Any] = []
    for run in runs:
        value = place_files(ask.files, run.uuid) if ask.section == "files" else find_value(ask, run)
        values.append(None if value is ABSENT else value)
        charge(values[-1])
    return _join_files(values) if ask.section == "files" else values


def _join_files(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for key, entries in part.items():
            if isinstance(entries, list):
                joined.setdefault(key, []).extend(entries)
            else:
                joined[key] = entries
    return joined


def check_matrix(matrix: Any, path: str = "matrix") -> list[Problem]:
    """Check that a matrix has literal values only: every param with a ref in it is refused."""
    if isinstance(matrix, Mapping):
        if matrix.get("ref") is not None and set(matrix) <= PARAM_KEYS | {"kind"}:
            message = _NO_REF.format(
                why="a matrix spans values that are known beforehand; use it as a param beside it"
            )
            return [Problem("RefInvalid", message, f"{path}.ref")]
        return [
            problem
            for key, item in matrix.items()
            for problem in check_matrix(item, f"{path}.{key}")
        ]
    if isinstance(matrix, list | tuple):
        return [
            problem
            for i, item in enumerate(matrix)
            for problem in check_matrix(item, f"{path}[{i}]")
        ]
    return []


def find_search(join: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search part of a join, all of which may have templates."""
    return {key: join[key] for key in _SEARCH if join.get(key) is not None}


def search(
    join: Mapping[str, Any],
    project: Sequence[Upstream],
    values: Mapping[str, Any],
    path: str,
    *,
    searched: Searched = None,
    evaluate: Evaluate = refuse,
) -> Sequence[Upstream]:
    """Return the runs of the project that a join finds now, in its order.

    Templates in the search read `values`, and what they print are values. Raises NotSearched if
    there is a store that has not answered the search.
    """
    found = render(find_search(join), values, path, evaluate=evaluate, traced=True)
    problems = list(_check_search(found, path))
    if problems:
        raise SpecError.of(problems)
    if searched is not None:
        ask = _ask_of(found)
        if ask.most > MOST_ASKED:
            words = f"an offset of at most {MOST_ASKED - MOST} can be searched"
            raise SpecError("TooLarge", words, f"{path}.offset")
        answer = searched.get(ask)
        if ask not in searched or answer is not None:
            raise NotSearched(ask, path, answer)
    return select(
        found.get("query"),
        found.get("sort"),
        found.get("limit"),
        found.get("offset"),
        project,
        path=path,
    )


def list_searches(compiled: CompiledOperation) -> frozenset[StoredRuns]:
    """Return what the joins ask of the store, as far as no template decides about it.

    A search that is wrong is left out: `search` reports it.
    """
    return frozenset(_list_asks(find_search(join) for join in compiled.joins or ()))


def _list_asks(searches: Iterable[Mapping[str, Any]]) -> Iterator[StoredRuns]:
    for found in searches:
        with suppress(SpecError):
            if not any(map(_is_rendered_later, found.values())):
                yield _ask_of(found)


def _ask_of(found: Mapping[str, Any]) -> StoredRuns:
    """Return what a search asks of the store: no other stored run can be on its page."""
    limit, offset = (parse_count(found.get(key), key) for key in ("limit", "offset"))
    most = offset + min(limit or MOST, MOST)
    return StoredRuns(found.get("query") or "", found.get("sort") or "", most)
