"""Take a new run to its freeze: validate it, wait for its refs, resolve it, record the result.

Nothing is created before the record. Must not look at the run's objects: a run that has some
belongs to its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.core.compiling.matrix import share
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.compiling.schedule import share_with_schedule
from opstrand.core.identity import read_copied
from opstrand.core.lifecycle.cache_key import make_cache_key, refuse_unknown_names
from opstrand.core.lifecycle.conditions import REFS_RESOLVED, get_condition
from opstrand.core.lifecycle.retry import read_platform_retries
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, end
from opstrand.core.operation import CompiledOperation
from opstrand.core.packed import unpack
from opstrand.core.phase import Phase
from opstrand.core.pipelines.hooks import find_hook_edge
from opstrand.core.pipelines.hub import FROZEN, freeze_components
from opstrand.core.planning.frozen_catalog import freeze_catalog
from opstrand.core.recorded import read_status
from opstrand.core.resolving.resolve import Resolved, read_frozen, resolve
from opstrand.core.resolving.upstream import edge_to_dict
from opstrand.core.resolving.waits import Waiting
from opstrand.core.runtimes.attempts import catalog_of
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.event_gate import find_unmet_event, list_event_edges
from opstrand.core.runtimes.gates import find_gate, suggest_name, wait, wait_for_approval
from opstrand.core.runtimes.hooks import check_made_plugins, find_missing_hook, with_hooks
from opstrand.core.runtimes.registry import RUNTIMES
from opstrand.errors import SpecError

#: Edges of a matrix that each of its runs gets, at most: there may be ten thousand runs, and as
#: many edges of a join.
_MOST_EDGES = 100


def start(snapshot: Snapshot) -> Decision:
    """Decide the next step of a run that is not frozen."""
    return with_hooks(snapshot, _start(snapshot))


def _start(snapshot: Snapshot) -> Decision:
    try:
        return find_gate(snapshot, *_OTHER_GATES) or _resolve(snapshot)
    except SpecError as error:
        return end(
            snapshot, _PHASE_OF_ERROR.get(error.reason, Phase.FAILED), error.reason, error.message
        )


#: Gates of sections with a module of their own.
_OTHER_GATES = (find_missing_hook, find_unmet_event)
#: Errors that end the run because of an upstream rather than as its own failure.
_PHASE_OF_ERROR = {"UpstreamFailed": Phase.UPSTREAM_FAILED, "UpstreamSkipped": Phase.SKIPPED}

#: Waits that do not end by themselves: the upstream runs, or the store will answer.
_PATIENT = ("UpstreamPending", "StoreUnavailable")


def _resolve(snapshot: Snapshot) -> Decision:
    """Resolve the values of a run that every gate lets pass, and freeze them."""
    prepared = snapshot.prepared
    assert isinstance(prepared, Prepared)
    assert prepared.compiled is not None
    if _was_frozen(snapshot):
        return _freeze(snapshot, prepared, read_frozen(snapshot.status))
    found = resolve(
        _find_own_part(prepared.compiled),
        prepared.identity,
        snapshot.upstream,
        project=snapshot.project,
        searched=snapshot.searched,
        evaluate=snapshot.evaluate,
    )
    if isinstance(found, Waiting) and not found.reason:
        # Nothing is written for the moment that the store takes to answer.
        return Decision(asks=found.asks)
    if isinstance(found, Waiting):
        return wait(
            snapshot,
            found.reason,
            found.message,
            near=suggest_name(snapshot),
            patient=found.reason in _PATIENT,
        )
    return _freeze(snapshot, prepared, found)


def _find_own_part(compiled: CompiledOperation) -> CompiledOperation:
    """Return the part of an operation whose values are the run's own, not those of its runs."""
    if compiled.schedule is not None:
        return share_with_schedule(compiled)
    return share(compiled)


def _was_frozen(snapshot: Snapshot) -> bool:
    """Return whether the values were frozen and only the rest of the frozen facts is lost.

    Such values are not resolved a second time.
    """
    known = get_condition(snapshot.status.get("conditions"), REFS_RESOLVED) or {}
    return known.get("status") == "True" and "inputs" in snapshot.status


def _freeze(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Decision:
    """Record everything that the run will ever need before its objects exist.

    Later changes to other objects do not affect the run.
    """
    assert prepared.compiled is not None
    refuse_unknown_names(prepared)
    kind = prepared.compiled.runtime
    frozen = RUNTIMES[kind].freeze(snapshot, prepared, resolved)
    if frozen.plan.condition is False:
        return end(
            snapshot, Phase.SKIPPED, "ConditionFalse", "its conditions say that it should not run"
        )
    if frozen.plan.is_approved is False:
        return wait_for_approval(snapshot)
    check_made_plugins(prepared, frozen.plan.plugins)
    facts = {**_list_facts(snapshot, prepared, resolved, frozen, kind), **frozen.facts}
    status = advanced(snapshot, frozen.phase, frozen.reason, frozen.message, **facts)
    # A run that took a result and was resumed has one of its own from now on.
    status.pop("original", None)
    prepared.check_total(snapshot.body, status)
    return Decision(
        status,
        frozen.actions,
        freeze=True,
        requeue_after=frozen.requeue_after,
        plan=frozen.plan,
        cache=make_cache_key(prepared, resolved, frozen.plan) if frozen.has_result else None,
    )


def _list_facts(
    snapshot: Snapshot, prepared: Prepared, resolved: Resolved, frozen: Frozen, kind: str
) -> dict[str, Any]:
    """Return what the status records of any run at its freeze."""
    known = snapshot.status
    facts: dict[str, Any] = {
        "inputs": dict(resolved.inputs),
        # Keep what the API reported before the freeze.
        "outputs": {**resolved.outputs, **known.get("outputs", {})},
        "artifacts": _merge_artifacts(frozen.artifacts, known.get("artifacts", ())),
        "tags": list(dict.fromkeys((*prepared.tags, *known.get("tags", ())))),
        "meta": dict(known.get("meta", {})),
        "catalog": freeze_catalog(frozen.plan, catalog_of(snapshot)),
        "attempt": int(known.get("attempt") or 0),
        "upstream": _list_edges(snapshot, resolved),
    }
    if known.get("uuid"):
        # Write the kind again: if it was edited by hand, the run would be frozen over and over.
        facts["kind"] = kind
    platform_retries = read_platform_retries(snapshot.body, frozen.plan)
    if platform_retries is not None:
        facts["platformRetries"] = platform_retries
    if resolved.outputs:
        # The API owns `outputs`: a later attempt is rendered from these.
        facts["frozenOutputs"] = dict(resolved.outputs)
    if frozen.plan.termination:
        facts["termination"] = dict(frozen.plan.termination)
    if prepared.description and "description" not in known:
        facts["description"] = prepared.description
    if prepared.frozen_component is not None:
        facts["component"] = dict(prepared.frozen_component)
    used = {name: spec for name, spec in snapshot.components.items() if name in prepared.components}
    if used:
        facts[FROZEN] = freeze_components(used)
    return facts


def _list_edges(snapshot: Snapshot, resolved: Resolved) -> list[Any]:
    """Return the edges to the runs that this one takes values or files from."""
    copied = read_copied(snapshot.body["metadata"])
    known = (one for one in snapshot.status.get("upstream", ()) if one.get("kind") != "copy")
    taken = [
        *map(edge_to_dict, resolved.edges),
        *_copy_edges(snapshot),
        *list_event_edges(snapshot),
    ] or list(known)
    return taken if copied is None else [*taken, {"uuid": copied.uuid, "kind": "copy"}]


def _copy_edges(snapshot: Snapshot) -> list[Any]:
    """Return the edges of the matrix that made this run: it read what this run got as literals.

    The run of a hook has one to the run that ended.
    """
    hooked = find_hook_edge(snapshot.body)
    if hooked is not None:
        return [hooked]
    maker = snapshot.maker
    if maker is None or read_status(maker).get("kind") != "matrix":
        return []
    edges = read_status(unpack(maker)).get("upstream") or ()
    return list(edges)[:_MOST_EDGES]


def _merge_artifacts(
    own: Sequence[Mapping[str, Any]], reported: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Merge the plan's lineage with earlier reported artifacts by name; the reported win."""
    return [dict(one) for one in {one["name"]: one for one in (*own, *reported)}.values()]
