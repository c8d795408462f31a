"""How a run looks on the wire: from an Operation's body to the shapes that the published client
reads.

Owns the mapping of phases and fields, and nothing else. Pure. The published client refuses unknown
keys in statuses, log lines and artifacts (measured, 2.18.0), so these contain exactly the keys that
it knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from opstrand.api.contents import Content
from opstrand.core.identity import read_schedule_at
from opstrand.core.phase import published_status
from opstrand.core.recorded import read_status
from opstrand.core.resolving.run_values import order_inputs, order_outputs
from opstrand.core.resolving.upstream import pending, updated_at, wait_time
from opstrand.runs.bodies import (
    meta_of,
    original_of,
    pipeline_of,
    run_kind,
    run_name,
    run_runtime,
    run_uuid,
)
from opstrand.types import Body

_ARTIFACT_KEYS = {"isInput": "is_input", "meta": "meta_info"}


def run_view(body: Body, owner: str, content: Content | None = None) -> dict[str, Any]:
    """The answer to GET run; in a list, `content` is left out.

    `settings` is never null: the published command line reads its fields without a check.
    """
    meta, spec, status = body["metadata"], body.get("spec") or {}, read_status(body)
    view = {
        **_identity(body, owner),
        "tags": status.get("tags") if status.get("tags") is not None else spec.get("tags"),
        "description": status.get("description") or spec.get("description"),
        "created_at": meta.get("creationTimestamp"),
        "updated_at": updated_at(body),
        "schedule_at": read_schedule_at(body),
        "started_at": status.get("startedAt"),
        "finished_at": status.get("finishedAt"),
        "wait_time": wait_time(body),
        "duration": status.get("duration"),
        "is_managed": True,
        "managed_by": "agent",
        "is_approved": spec.get("isApproved"),
        "pending": pending(body),
        "status": published_status(read_status(body)),
        "inputs": order_inputs(body),
        "outputs": order_outputs(body),
        "cost": _cost(spec),
        "meta_info": meta_of(body),
        "readme": (status.get("meta") or {}).get("readme"),
        "pipeline": pipeline_of(meta),
        "original": original_of(body),
        "settings": {"namespace": meta["namespace"]},
    }
    if content is not None:
        view |= {"content": content.compiled, "raw_content": content.sent}
    return view


def _cost(spec: Mapping[str, Any]) -> float | None:
    """The cost that the file gives; None for a template, which only the operator renders."""
    given = spec.get("cost", (spec.get("component") or {}).get("cost"))
    try:
        cost = float("nan") if given is None or isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        return None
    return cost if math.isfinite(cost) else None


def _identity(body: Body, owner: str) -> dict[str, Any]:
    return {
        "uuid": run_uuid(body),
        "name": run_name(body),
        "owner": owner,
        "project": body["metadata"]["namespace"],
        "kind": run_kind(body),
        "runtime": run_runtime(body),
    }


def statuses_view(body: Body) -> dict[str, Any]:
    """The answer to GET statuses: the status and its history, oldest first, with no further key."""
    return {
        "uuid": run_uuid(body),
        "status": published_status(read_status(body)),
        "status_conditions": conditions_view(body),
    }


def conditions_view(body: Body) -> list[dict[str, Any]]:
    history: list[Mapping[str, Any]] = list(read_status(body).get("history") or ())
    if not history or history[0].get("status") != "created":
        history.insert(0, {"status": "created", "at": body["metadata"].get("creationTimestamp")})
    now = published_status(read_status(body))
    # The history has phases only; a reason of Starting is shown as a status of its own.
    if history[-1].get("status") != now:
        status = read_status(body)
        history.append(
            {
                "status": now,
                "reason": status.get("reason"),
                "message": status.get("message"),
                "at": updated_at(body),
            }
        )
    return [_condition(entry) for entry in history]


def _condition(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One condition, with no null: the published table takes its columns from the first condition,
    and leaves out those that are null in the others.
    """
    return {
        "type": entry["status"],
        "status": "True",
        "reason": entry.get("reason") or "",
        "message": entry.get("message") or "",
        "last_update_time": entry.get("at"),
        "last_transition_time": entry.get("at"),
    }


def artifact_view(item: Mapping[str, Any], uuid: str) -> dict[str, Any]:
    """One entry of the lineage table, with no key beyond the published eight."""
    view = {_ARTIFACT_KEYS.get(key, key): value for key, value in item.items()}
    return {"run": uuid, "is_input": False, **view}


def stored_artifact(item: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `artifact_view`, without null values."""
    names = {wire: stored for stored, wire in _ARTIFACT_KEYS.items()}
    known = ("name", "kind", "path", "state", "summary", "meta_info", "connection", "is_input")
    return {names.get(key, key): item[key] for key in known if item.get(key) is not None}


def clone_view(body: Body) -> dict[str, Any]:
    """One entry of the clones tab: a run that was restarted or copied from another, or took its
    result.
    """
    kind, runtime = run_kind(body), run_runtime(body)
    facts = {"uuid": run_uuid(body), "name": run_name(body), "kind": kind, "runtime": runtime}
    cloning_kind = (original_of(body) or {}).get("kind")
    return {**facts, "status": published_status(read_status(body)), "cloning_kind": cloning_kind}


#: Kinds of edges that the published client does not know, and the one that it takes them for.
_EDGE_KINDS = {"copy": "manual"}


def edge_view(edge: Mapping[str, Any], side: str, far: Body | None) -> dict[str, Any]:
    """One entry of the upstream or downstream tab.

    `side` names the tab; `far` is the run at the other end, if it still exists.
    """
    kinds = (run_kind(far), run_runtime(far)) if far else (None, None)
    name = edge.get("name") or (run_name(far) if far else None)
    run = {"uuid": edge["uuid"], "name": name, "kind": kinds[0], "runtime": kinds[1]}
    return {
        "values": edge.get("values") or {},
        "kind": _EDGE_KINDS.get(kind := edge.get("kind", "run"), kind),
        "statuses": None,
        side: run,
    }
