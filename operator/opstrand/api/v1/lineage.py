"""The runs around a run: what it took values from, what took values from it, and so on.

Owns the walk and its limits. Which edges a run has is in its status.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from opstrand.runs.protocols import Runs, Search
from opstrand.types import Body

#: Runs of one answer, at most.
_MOST = 300


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
            if len(self.found) >= _MOST:
                self.is_cut = True
                break
            uuid = run_uuid(body)
            name, kind = run_name(body), run_kind(body)
            self.found[uuid] = LineageRun(uuid=uuid, name=name, kind=kind, phase=phase(body).value)
            kept.append(body)
        return kept

    def _add_edges(self, body: Body) -> list[str]:
        """Note what a run took its values from; returns the uuids of those runs."""
        uuid, upstreams = run_uuid(body), []
        for edge in read_status(body).get("upstream") or ():
            above, kind = str(edge["uuid"]), str(edge.get("kind") or "run")
            if above not in self.found:
                if len(self.found) >= _MOST:
                    self.is_cut = True
                    continue
                # It may be gone; then this is all that is known of it.
                self.found[above] = LineageRun(uuid=above, name=str(edge.get("name") or above))
            upstreams.append(above)
            values = dict(edge.get("values") or {})
            self.edges[above, uuid, kind] = LineageEdge(
                upstream=above, downstream=uuid, kind=kind, values=values
            )
        return upstreams

    async def go_up(self, body: Body, depth: int) -> None:
        level, seen = [body], {run_uuid(body)}
        for _ in range(depth):
            wanted = {uuid for one in level for uuid in self._add_edges(one)} - seen
            if not wanted:
                return
            seen |= wanted
            level = self.add(await self.runs.find(self.project, sorted(wanted)))

    async def go_down(self, body: Body, depth: int) -> None:
        level, seen = [run_uuid(body)], {run_uuid(body)}
        for _ in range(depth):
            below = [one for uuid in level for one in await self._find_below(uuid)]
            fresh = {run_uuid(one): one for one in below if run_uuid(one) not in seen}
            if not fresh:
                return
            seen |= fresh.keys()
            for one in self.add(fresh.values()):
                self._add_edges(one)
            level = [uuid for uuid in fresh if uuid in self.found]

    async def _find_below(self, uuid: str) -> list[Body]:
        def fields(run: object) -> Searched:
            return Searched(run, self.owner)  # type: ignore[arg-type]

        search = Search(f"upstream: {uuid}", None, 0, _MOST, fields=fields)
        return [one.run.whole for one in (await self.runs.search(self.project, search)).runs]

    def as_model(self, uuid: str) -> Lineage:
        return Lineage(
            run=uuid,
            runs=list(self.found.values()),
            edges=list(self.edges.values()),
            is_cut=self.is_cut,
        )
