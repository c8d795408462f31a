"""What every reader of runs needs from an Operation's body: its uuid, name, phase and kind.

Owns the fallbacks for a body to which the operator has not written a status yet. Pure.
"""

from __future__ import annotations

from typing import Any

from opstrand.core.identity import (
    read_cloning_kind,
    read_iteration,
    read_original,
    read_schedule_at,
    read_taken_from,
)
from opstrand.core.names import find_controller
from opstrand.core.names import run_uuid as uuid_of
from opstrand.core.phase import FINAL, Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.types import Body, ObjectMeta

_JOBS = (
    "job",
    "service",
    "daskjob",
    "rayjob",
    "mpijob",
    "pytorchjob",
    "tfjob",
    "paddlejob",
    "xgbjob",
    "sparkjob",
)
_KINDS = frozenset(
    (*_JOBS, "dag", "matrix", "schedule", "cleaner", "watchdog", "notifier", "builder")
)
#: Sections that make runs, and their kinds.
_SECTIONS = {
    "matrix": ("mapping", "grid", "random", "hyperband", "bayes", "tpe", "iterative"),
    "schedule": ("cron", "interval", "datetime"),
}
#: Entries of the history after which another attempt begins.
_RESTARTS = (Phase.RETRYING.published, Phase.RESUMING.published)
#: Maximum characters of a name that is kept beside a head. A longer name is read from the whole
#: body.
_NAME = 1024
#: Maximum uuids of upstream runs that are kept beside a head.
_UPSTREAMS = 100


def run_uuid(body: Body) -> str:
    """32 hex digits: the uuid in the status, or else derived from the object's uid."""
    written = read_status(body).get("uuid")
    return str(written or uuid_of(body["metadata"].get("uid", "")))


def run_name(body: Body) -> str:
    """The run's name in the status or spec, or else the object's name.

    References and Pods use the object's own name, which never changes.
    """
    return str(
        read_status(body).get("name")
        or (body.get("spec") or {}).get("name")
        or body["metadata"]["name"]
    )


def files_uuid(body: Body) -> str:
    """The uuid of the run that made the files of this one."""
    return read_taken_from(body) or run_uuid(body)


def phase(body: Body) -> Phase:
    return parse_phase(read_status(body))


def is_final(body: Body) -> bool:
    return phase(body) in FINAL


def run_kind(body: Body) -> str | None:
    run = ((body.get("spec") or {}).get("component") or {}).get("run") or {}
    kind = str(read_status(body).get("kind") or run.get("kind"))
    return kind if kind in _KINDS else None


def run_runtime(body: Body) -> str | None:
    """What the kind of a run leaves open: which search a matrix does, and what a schedule is."""
    kind = run_kind(body)
    if kind not in _SECTIONS:
        return kind
    spec = body.get("spec") or {}
    section = spec.get(kind) or (spec.get("component") or {}).get(kind) or {}
    found = str(section.get("kind"))
    return found if found in _SECTIONS[kind] else kind


def pipeline_of(meta: ObjectMeta) -> dict[str, Any] | None:
    """The run that created this one, from the metadata of its object."""
    owner = find_controller({"metadata": meta})
    if owner is None:
        return None
    body: Body = {"metadata": meta}
    kind = "dag" if read_iteration(body) is None else "matrix"
    kind = kind if read_schedule_at(body) is None else "schedule"
    return {"uuid": uuid_of(owner["uid"]), "name": owner["name"], "kind": kind}


def meta_of(body: Body) -> dict[str, Any]:
    """What a run notes about itself; of a run of a matrix, also its index."""
    iteration = read_iteration(body)
    noted = read_status(body).get("meta") or {}
    return dict(noted) if iteration is None else {"iteration": iteration, **noted}


def original_of(body: Body) -> dict[str, Any] | None:
    """The run that this one was restarted or copied from, or whose result it took."""
    if taken_from := read_taken_from(body):
        name = (read_status(body).get("original") or {}).get("name")
        return {"uuid": taken_from, "name": name, "kind": "cache"}
    uuid = read_original(body["metadata"])
    return None if uuid is None else {"uuid": uuid, "kind": read_cloning_kind(body["metadata"])}


def read_beside(body: Body) -> dict[str, Any]:
    """The fields that are kept beside the head of a large run."""
    name = run_name(body)
    kept: dict[str, Any] = {
        "kind": run_kind(body),
        "runtime": run_runtime(body),
        "pipeline": pipeline_of(body["metadata"]),
    }
    kept["original"] = original_of(body)
    upstream = [one["uuid"] for one in read_status(body).get("upstream") or () if one.get("uuid")]
    if len(upstream) <= _UPSTREAMS:
        kept["upstream"] = upstream
    return kept | ({"name": name} if len(name) <= _NAME else {})


def list_restarts(body: Body) -> tuple[str, ...]:
    """Return when attempts began after the first one: what they wrote is later than that."""
    history = read_status(body).get("history") or ()
    return tuple(str(one["at"]) for one in history if one.get("status") in _RESTARTS)
