"""Read a run as other runs that refer to it see it, from its Operation's body.

Owns which parts of a body are facts for other runs. Must not interpret them: `resolve` says what
can be read and what is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.identity import (
    CONTEXT_ROOT,
    read_identity,
    read_outermost,
    read_pipeline,
    read_taken_from,
    render_globals,
    render_paths,
)
from opstrand.core.phase import CACHE_PENDING, Phase, is_frozen, parse_phase, published_status
from opstrand.core.recorded import parse_moment, read_status
from opstrand.core.resolving.refs import Edge, Upstream
from opstrand.core.resolving.run_values import read_inputs, read_outputs, read_plugins
from opstrand.core.resolving.stored import Unanswered
from opstrand.core.resolving.upstream_values import WITHOUT_RUN_GLOBALS
from opstrand.settings import Settings
from opstrand.types import RunStatus, ServiceFacts


def read_upstream(
    body: Mapping[str, Any],
    settings: Settings,
    store_path: str = "",
    context_root: str = CONTEXT_ROOT,
) -> Upstream:
    """Read the run of this Operation.

    `store_path` is where the artifacts store would be mounted whole, `context_root` where the
    referring run finds files that are fetched for it. The inputs are known and final from the
    freeze on; outputs and artifacts count from the run's end on, except for a join, which uses what
    exists when it searches.
    """
    status = read_status(body)
    phase = parse_phase(status)
    identity = replace(read_identity(body, settings), context_root=context_root)
    taken_from = read_taken_from(body) or ""
    # What others read of a run that took a result is of the run that has it.
    shown = replace(identity, uuid=taken_from) if taken_from else identity
    # A run that ended before its freeze has no inputs, not even an empty set.
    frozen = is_frozen(status) or (phase.is_final and "inputs" in status)
    shared = {
        **render_globals(shown),
        **render_paths(shown, read_plugins(body), store_path),
        "status": published_status(status),
        "condition": _condition(status),
        "started_at": status.get("startedAt"),
        "finished_at": status.get("finishedAt"),
        "duration": status.get("duration"),
        # Further fields that a join's query may name. A run may give itself another name.
        "shown_name": status.get("name") or identity.name,
        "kind": status.get("kind"),
        "runtime": status.get("kind"),
        "tags": status.get("tags") or [],
        "description": status.get("description"),
        "meta_info": _meta(status, identity.iteration),
        "updated_at": updated_at(body),
        "wait_time": wait_time(body),
        "is_managed": True,
        "pending": pending(body),
        "pipeline": read_pipeline(body),
        "controller": read_outermost(body),
        "original": identity.original_uuid,
        "cache_key": status.get("cacheKey"),
        "upstream": status.get("upstream") or [],
    }
    if "service" in status:
        shared |= _address(status["service"])
    if not identity.uuid:
        shared = {name: shared[name] for name in WITHOUT_RUN_GLOBALS}
    return Upstream(
        uuid=identity.uuid,
        name=identity.name,
        phase=phase.value,
        globals=shared,
        # Whole maps in the stored order: a retry reads the frozen copy, whose keys are in
        # alphabetical order, and must render the same.
        inputs=read_inputs(body) if frozen else None,
        outputs=read_outputs(body) if frozen else None,
        artifacts=tuple(status.get("artifacts") or ()),
        done=phase.is_final,
        frozen=frozen,
        deleting="deletionTimestamp" in body["metadata"],
        original=taken_from,
    )


def read_found(
    found: Mapping[str, Any] | Unanswered | None, settings: Settings, *places: str
) -> Upstream | Unanswered | None:
    """Read what was found of a run that is referred to; `places` as in `read_upstream`."""
    if found is None or isinstance(found, Unanswered):
        return found
    return read_upstream(found, settings, *places)


def _meta(status: RunStatus, iteration: int | None) -> dict[str, Any]:
    noted = status.get("meta") or {}
    return dict(noted) if iteration is None else {"iteration": iteration, **noted}


def updated_at(body: Mapping[str, Any]) -> str | None:
    """Return when the run took its last step."""
    history = read_status(body).get("history") or ()
    at: str | None = history[-1].get("at") if history else body["metadata"].get("creationTimestamp")
    return at


def wait_time(body: Mapping[str, Any]) -> float | None:
    """Return the seconds from the run's creation to its start."""
    created, started = (
        parse_moment(body["metadata"].get("creationTimestamp")),
        parse_moment(read_status(body).get("startedAt")),
    )
    return None if created is None or started is None else (started - created).total_seconds()


_PENDING = {"AwaitingApproval": "approval", CACHE_PENDING: "cache"}


def pending(body: Mapping[str, Any]) -> str | None:
    """Return the published name of what must happen before the run goes on."""
    status = read_status(body)
    if parse_phase(status) is not Phase.WAITING:
        return None
    return _PENDING.get(str(status.get("reason")))


def _address(service: ServiceFacts) -> dict[str, Any]:
    root = str(service["baseUrl"]).rpartition("/")[0]
    urls = [f"{root}/{port}" for port in service["ports"]]
    return {
        "host": service["host"],
        "ports": list(service["ports"]),
        "base_url": urls[0],
        "base_urls": urls,
    }


def edge_to_dict(edge: Edge) -> dict[str, Any]:
    """Return an edge as the status stores it."""
    facts = {"uuid": edge.uuid, "name": edge.name, "kind": edge.kind, "values": dict(edge.values)}
    return {**facts, "original": edge.original} if edge.original else facts


def _condition(status: RunStatus) -> dict[str, Any] | None:
    """Return the last entry of the history in the published vocabulary."""
    history = status.get("history") or ()
    if not history:
        return None
    last = history[-1]
    return {
        "type": last["status"],
        "status": True,
        "reason": last.get("reason"),
        "message": last.get("message"),
        "last_update_time": last.get("at"),
        "last_transition_time": last.get("at"),
    }
