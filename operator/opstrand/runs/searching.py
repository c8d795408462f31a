"""Search among runs that are at hand: the one meaning of a query, on bodies.

Owns the page that a query selects. Must not know where runs are stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from opstrand.core.resolving.query import find
from opstrand.runs.bodies import run_uuid
from opstrand.runs.protocols import Fields, Found, Listed, RunNotFound, Search
from opstrand.types import Body


class ListedRuns(ABC):
    """The part of `Runs` that follows from a list of all runs of a project."""

    @abstractmethod
    async def list(self, project: str) -> Sequence[Listed]: ...

    async def search(self, project: str, search: Search) -> Found:
        return _search_listed(await self.list(project), search)

    async def named(self, project: str, name: str) -> Body:
        found = newest_named(await self.list(project), name)
        if found is None:
            raise RunNotFound(name)
        return found.whole

    async def find(self, project: str, uuids: Sequence[str]) -> Sequence[Body]:
        return _pick(await self.list(project), uuids)


def _search_listed(listed: Iterable[Listed], search: Search) -> Found:
    """The page of these runs. Raises SpecError."""
    found = select(listed, search)
    return Found(len(found), found[search.offset : search.offset + search.limit])


def select(listed: Iterable[Listed], search: Search) -> list[Fields]:
    """All runs for which the query holds, in its order. Raises SpecError."""
    return find(search.query, search.sort, map(search.fields, listed), read=read_field)


def sort(runs: Iterable[Fields], search: Search) -> list[Fields]:
    """Runs for which the query is known to hold, in its order."""
    return find(None, search.sort, runs, read=read_field)


def read_field(run: Any, field: str) -> Any:
    return run.read(field)


def newest_named(listed: Iterable[Listed], name: str) -> Listed | None:
    """The newest of these runs whose object has the name; None without one."""
    named = [one for one in listed if one.head["metadata"]["name"] == name]
    return max(named, key=_created_at, default=None)


def _created_at(one: Listed) -> str:
    return str(one.head["metadata"].get("creationTimestamp") or "")


def _pick(listed: Iterable[Listed], uuids: Sequence[str]) -> list[Body]:
    """The whole bodies of these runs."""
    wanted = set(uuids)
    return [one.whole for one in listed if run_uuid(one.head) in wanted]
