"""A worker's job: the operations of a pipeline, and what became of each.

Owns what a worker must import for that. Must not decide what became of one: `runs.family` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from opstrand.runs.family import Family, Member, read_family

MODULE = __name__
_RUN = {"kind": "job", "container": {"image": "none", "args": ["{{ globals.name }}"]}}
_FIRST = {
    "metadata": {"name": "first", "namespace": "first", "uid": "1"},
    "spec": {
        "component": {
            "run": {"kind": "dag", "operations": [{"name": "a", "component": {"run": _RUN}}]}
        }
    },
    "status": {},
}


@cache
def warm_up() -> None:
    """Read a first pipeline, so that the workers do not each import what that needs."""
    read_members(_FIRST, ())


def read_members(pipeline: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The members of a pipeline's first level, with the keys of `api.v1.models.Member`."""
    family = read_family(dict(pipeline), [dict(run) for run in runs])
    return [_view(family, member) for member in family.members]


def _view(family: Family, member: Member) -> dict[str, Any]:
    return {
        "op": member.op,
        "name": member.name,
        "letter": member.letter,
        "phase": member.phase,
        "note": member.note,
        "is_best": member.is_best,
        "upstreams": [one.op for one in family.upstreams(member)],
        "params": dict(member.params),
    }
