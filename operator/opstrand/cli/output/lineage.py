"""Which run took values from which, and was made of which: the edges between runs, as a graph.

Owns walking it. Must not fetch anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core.identity import read_cloning_kind, read_original
from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.text import inline
from opstrand.types import Body


@dataclass(frozen=True)
class Link:
    """`downstream` took `values` (param: the requested value) from `upstream`; both are uuids."""

    upstream: str
    downstream: str
    kind: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Graph:
    """Runs by uuid, and the links between them.

    A run whose object is gone is a node without a phase.
    """

    names: Mapping[str, str]
    phases: Mapping[str, str]
    links: tuple[Link, ...]

    @classmethod
    def of(cls, runs: Sequence[Body], dependencies: Sequence[Link] = ()) -> Graph:
        """Return the graph of the edges that the runs recorded, and of these others.

        Of two runs that have an edge with values, another one without says nothing.
        """
        names, phases, links = {}, {}, []
        for run in runs:
            uuid = run_uuid(run["metadata"]["uid"])
            names[uuid], phases[uuid] = run["metadata"]["name"], parse_phase(read_status(run)).value
            for edge in read_status(run).get("upstream") or ():
                names.setdefault(edge["uuid"], edge.get("name") or edge["uuid"])
                links.append(
                    Link(
                        edge["uuid"],
                        uuid,
                        edge.get("kind") or "run",
                        tuple((edge.get("values") or {}).items()),
                    )
                )
            original, kind = read_original(run["metadata"]), read_cloning_kind(run["metadata"])
            # A copy has an edge for the files that it took.
            if original is not None and kind == "restart":
                names.setdefault(original, original)
                links.append(Link(original, uuid, kind, ()))
        recorded = {(link.upstream, link.downstream) for link in links}
        links += [one for one in dependencies if (one.upstream, one.downstream) not in recorded]
        return cls(names, phases, tuple(links))

    def around(self, uuid: str, *, up: bool, down: bool, depth: int) -> Graph:
        """Return the part of the graph within `depth` links, upwards, downwards, or both."""
        kept: dict[Link, None] = {}
        if up:
            self._walk(uuid, depth, kept, upwards=True)
        if down:
            self._walk(uuid, depth, kept, upwards=False)
        nodes = {uuid, *(link.upstream for link in kept), *(link.downstream for link in kept)}
        return Graph(
            {one: self.names.get(one, one) for one in sorted(nodes)},
            {one: phase for one, phase in self.phases.items() if one in nodes},
            tuple(kept),
        )

    def _walk(self, uuid: str, depth: int, kept: dict[Link, None], *, upwards: bool) -> None:
        level, seen = {uuid}, {uuid}
        for _ in range(depth):
            links = [
                link
                for link in self.links
                if (link.downstream if upwards else link.upstream) in level
            ]
            kept.update(dict.fromkeys(links))
            level = {link.upstream if upwards else link.downstream for link in links} - seen
            seen |= level
            if not level:
                return

    def as_dict(self, uuid: str) -> dict[str, Any]:
        nodes = [
            {"uuid": one, "name": name, "phase": self.phases.get(one)}
            for one, name in self.names.items()
        ]
        edges = [
            {
                "upstream": link.upstream,
                "downstream": link.downstream,
                "kind": link.kind,
                "values": dict(link.values),
            }
            for link in self.links
        ]
        return {"run": uuid, "nodes": nodes, "edges": edges}

    def as_dot(self) -> str:
        """Return the graph for Graphviz: the arrows point the way the values went."""
        nodes = [f"  {_quote(one)} [label={_quote(self._label(one))}];" for one in self.names]
        edges = [
            f"  {_quote(link.upstream)} -> {_quote(link.downstream)} "
            f"[label={_quote(_describe(link))}];"
            for link in self.links
        ]
        return "\n".join(
            ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];", *nodes, *edges, "}"]
        )

    def as_tree(self, uuid: str) -> str:
        """Return two trees under the run's name: its upstream runs and its downstream runs."""
        return "\n".join(
            [self._label(uuid), *self._grow(uuid, upwards=True), *self._grow(uuid, upwards=False)]
        )

    def _grow(self, uuid: str, *, upwards: bool) -> Iterator[str]:
        """Yield one line for each link.

        The branches of a run are shown only once: if every line repeated them, a few dozen runs
        that share theirs would take forever.
        """
        branches: dict[str, list[Link]] = {}
        for link in self.links:
            branches.setdefault(link.downstream if upwards else link.upstream, []).append(link)
        shown = {uuid}
        todo = _pile(branches.get(uuid, []), "")
        while todo:
            link, indent, is_last = todo.pop()
            other = link.upstream if upwards else link.downstream
            further = branches.get(other, [])
            again = "  (see above)" if further and other in shown else ""
            branch = (
                f"{indent}{'`' if is_last else '|'}{'<-' if upwards else '->'} {self._label(other)}"
            )
            words = f"  {described}" if (described := _describe(link)) else ""
            yield f"{branch}{words}{again}"
            if not again:
                todo += _pile(further, indent + ("   " if is_last else "|  "))
            shown.add(other)

    def _label(self, uuid: str) -> str:
        return inline(f"{self.names.get(uuid, uuid)} ({self.phases.get(uuid, 'gone')})")


def _pile(branches: Sequence[Link], indent: str) -> list[tuple[Link, str, bool]]:
    """Return links with their indent and whether each is the last of its run, the first on top."""
    return [(link, indent, link is branches[-1]) for link in reversed(branches)]


def find_downstream(body: Body, runs: Sequence[Body]) -> list[Body]:
    """Return those of the runs that took values from this one."""
    uuid = run_uuid(body["metadata"]["uid"])
    return [
        run
        for run in runs
        if any(edge.get("uuid") == uuid for edge in read_status(run).get("upstream") or ())
    ]


def _describe(link: Link) -> str:
    """Return what went along a link, and its kind if it is none of a plain ref."""
    values = inline(", ".join(f"{name} = {asked}" for name, asked in link.values))
    return "  ".join(filter(None, (values, "" if link.kind == "run" else f"[{link.kind}]")))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
