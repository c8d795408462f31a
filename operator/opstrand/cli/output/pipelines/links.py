"""The edges between the runs of a pipeline that no value goes along: its dependencies and events.

An edge with values is in the status of the run that took them. Must not fetch anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opstrand.cli.output.lineage import Link
from opstrand.core.names import run_uuid
from opstrand.core.pipelines.children import find_outermost
from opstrand.runs.family import Family, read_family
from opstrand.runs.members import is_pipeline
from opstrand.types import Body


def list_dependencies(body: Body, runs: Sequence[Body]) -> list[Link]:
    """Return the edges of all pipelines around a run, and of those in it."""
    outermost = find_outermost(body)
    return [
        link
        for run in runs
        if is_pipeline(run) and find_outermost(run) == outermost
        for link in _iter_links(read_family(run, runs))
    ]


def _iter_links(family: Family) -> Iterator[Link]:
    for member in family.members:
        for upstream in family.upstreams(member):
            if member.body is not None and upstream.body is not None:
                yield Link(_uuid(upstream.body), _uuid(member.body), "dag", ())


def _uuid(body: Body) -> str:
    return run_uuid(str(body["metadata"]["uid"]))
