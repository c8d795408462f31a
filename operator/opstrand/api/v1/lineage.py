"""The runs around a run: what it took values from, what took values from it, and so on.

Owns the walk and its limits. Which edges a run has is in its status.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import OWNER, RUNS
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import Lineage, LineageEdge, LineageQuery, LineageRun
from opstrand.api.v1.request import find_run, parse_query
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import phase, run_kind, run_name, run_uuid
from opstrand.runs.protocols import Found, Listed, Runs, Search
from opstrand.types import Body

#: Runs of one answer, at most.
_MOST = 300
#: Whole bodies that are read at a time: each may take megabytes.
_AT_A_TIME = 50


async def read_lineage(request: web.Request) -> web.Response:
    query = parse_query(request, LineageQuery)
    body = await find_run(request, Verb.GET_RUN)
    walk = _Walk(request.app[RUNS], body["metadata"]["namespace"], request.app[OWNER])
    walk.add([body])
    await walk.go_up(body, query.depth)
    await walk.go_down(body, query.depth)
    return answer_json(request, walk.as_model(run_uuid(body)).as_json())


@dataclass
class _Walk:
    """What was found so far."""

    runs: Runs
    project: str
    owner: str
    found: dict[str, LineageRun] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], LineageEdge] = field(default_factory=dict)
    is_cut: bool = False

    def add(self, bodies: Iterable[Body]) -> list[Body]:
        """Note these runs; returns those for which there is room."""
        kept = []
        for body in bodies:
            uuid = run_uuid(body)
            if not self._has_room(uuid):
                break
            name, kind = run_name(body), run_kind(body)
            self.found[uuid] = LineageRun(uuid=uuid, name=name, kind=kind, phase=phase(body).value)
            kept.append(body)
        return kept

    def _has_room(self, uuid: str) -> bool:
        if uuid in self.found or len(self.found) < _MOST:
            return True
        self.is_cut = True
        return False

    def _add_edges(self, body: Body) -> list[str]:
        """Note what a run took its values from; returns the uuids of those runs."""
        uuid, upstreams = run_uuid(body), []
        for edge in read_status(body).get("upstream") or ():
            above, kind = str(edge["uuid"]), str(edge.get("kind") or "run")
            if not self._has_room(above):
                continue
            # It may be gone; then this is all that is known of it.
            name = str(edge.get("name") or above)
            self.found.setdefault(above, LineageRun(uuid=above, name=name))
            upstreams.append(above)
            values = dict(edge.get("values") or {})
            self.edges[above, uuid, kind] = LineageEdge(
                upstream=above, downstream=uuid, kind=kind, values=values
            )
        return upstreams

    async def go_up(self, body: Body, depth: int) -> None:
        wanted, seen = set(self._add_edges(body)), {run_uuid(body)}
        for left in reversed(range(depth)):
            level = sorted(wanted - seen)
            seen.update(level)
            wanted = set()
            for start in range(0, len(level), _AT_A_TIME):
                some = level[start : start + _AT_A_TIME]
                for one in self.add(await self.runs.find(self.project, some)):
                    wanted.update(self._add_edges(one) if left else ())

    async def go_down(self, body: Body, depth: int) -> None:
        level, seen = [run_uuid(body)], {run_uuid(body)}
        for _ in range(depth):
            level = await self._add_below(level, seen)
            if not level:
                return

    async def _add_below(self, level: Sequence[str], seen: set[str]) -> list[str]:
        """Note the runs that took values from these and are not `seen`; returns their uuids.

        Each is unpacked only if there is room for it, and none is held.
        """
        below: list[str] = []
        offset, count = 0, 1
        while offset < count:
            page = await self._find_below(level, offset)
            offset, count = offset + _AT_A_TIME, page.count
            for one in page.runs:
                uuid = run_uuid(one.run.head)
                if uuid in seen:
                    continue
                if not self._has_room(uuid):
                    return below
                seen.add(uuid)
                below.append(uuid)
                for body in self.add([one.run.whole]):
                    self._add_edges(body)
        return below

    async def _find_below(self, uuids: Sequence[str], offset: int) -> Found:
        def fields(run: Listed) -> Searched:
            return Searched(run, self.owner)

        query = f"upstream: {'|'.join(uuids)}"
        search = Search(query, None, offset, _AT_A_TIME, fields=fields)
        return await self.runs.search(self.project, search)

    def as_model(self, uuid: str) -> Lineage:
        return Lineage(
            run=uuid,
            runs=list(self.found.values()),
            edges=list(self.edges.values()),
            is_cut=self.is_cut,
        )
