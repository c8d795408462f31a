"""A worker's job: the whole decision about one run, from its body and the other objects that its
file refers to.

Owns what a worker must import for that, which is all that it imports: no HTTP, no event loop, no
Kubernetes client. Must not start or call a worker: `controller.decision` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.decide import decide
from opstrand.core.identity import read_identity
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.packed import STATUS, empty, from_parcel
from opstrand.core.phase import is_frozen, parse_phase
from opstrand.core.pipelines.outline import Outline, read_outline
from opstrand.core.pods.volumes import store_path
from opstrand.core.recorded import read_own_status
from opstrand.core.resolving.joins import list_searches
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.stored import StoredRuns
from opstrand.core.resolving.upstream import read_found, read_upstream
from opstrand.core.templates.evaluation import evaluate_traced
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.cron import read_cron
from opstrand.types import OperationBody

MODULE = __name__
_JOB = {
    "component": {
        "run": {
            "kind": "job",
            "container": {"image": "none", "args": ["{{ globals.name }}", "{{ 1 + 1 }}"]},
        }
    }
}
_MATRIX = {"matrix": {"kind": "grid", "params": {"a": {"kind": "choice", "value": [1]}}}}
_SCHEDULE = {"schedule": {"kind": "interval", "frequency": 60}}
_DAG = {"component": {"run": {"kind": "dag", "operations": [{"name": "a", **_JOB}]}}}
#: Files that use every module that is imported by name: all runtimes, all matrices, the template
#: language.
_FIRST: tuple[Mapping[str, Any], ...] = (_JOB, {**_JOB, **_MATRIX}, {**_JOB, **_SCHEDULE}, _DAG)


@cache
def warm_up() -> None:
    """Decide about built-in files only.

    What a first decision imports must not count as a run's time, nor be imported again by each
    worker.
    """
    settings, now = Settings(), datetime(2000, 1, 1, tzinfo=UTC)
    read_cron("CRON_TZ=Europe/Berlin @daily")
    for spec in _FIRST:
        body: OperationBody = {
            "metadata": {"name": "first", "namespace": "none", "uid": "0"},
            "spec": spec,
        }
        decide(
            Snapshot(body, _prepare_parcels(settings, body, None), now, settings, evaluate_traced)
        )


@dataclass(frozen=True)
class Needs:
    """What a run's file needs of the rest of the cluster."""

    refs: frozenset[Ref]
    missing_component: str
    has_joins: bool
    #: The Components that the operations of a pipeline name, and hooks.
    components: frozenset[str] = frozenset()
    #: What its joins ask of the store, as far as that is known.
    searches: frozenset[StoredRuns] = frozenset()


def decide_run(
    settings: Settings,
    body: Any,
    component: Any,
    upstream: Mapping[Ref, Any] | None,
    now: datetime,
    seen: Mapping[str, Any],
    components: Mapping[str, Any] | None = None,
    project: Sequence[Any] = (),
) -> Decision | Needs:
    """A worker's job: the whole decision.

    If `upstream` is None and the decision needs other objects, returns which. User data that the
    status keeps is returned only where it changed.
    """
    from opstrand.workers.worker import evaluate

    whole: OperationBody = from_parcel(body) or {}
    prepared = _prepare_parcels(settings, whole, component)
    if upstream is None and not is_frozen(read_own_status(whole)):
        needs = _find_needs(prepared, is_over=parse_phase(read_own_status(whole)).is_final)
        if needs is not None:
            return needs
    bodies = {ref: from_parcel(one) for ref, one in (upstream or {}).items()}
    store = store_path(seen["catalog"])
    places = (store, read_identity(whole, settings).context_root)
    others = {ref: read_found(one, settings, *places) for ref, one in bodies.items()}
    runs = _read_runs(project, settings, places)
    snapshot = Snapshot(
        whole,
        prepared,
        now,
        settings,
        evaluate,
        upstream=others,
        project=runs,
        components=_read_specs(components or {}),
        **seen,
    )
    decision = decide(snapshot)
    if decision.status is None or not isinstance(body, bytes):
        return decision
    return replace(decision, status=_empty_unchanged(decision.status, whole.get("status") or {}))


def read_pipeline(settings: Settings, body: Any) -> Outline:
    """Another job: read the operations of a pipeline that is frozen. Raises SpecError."""
    whole: OperationBody = from_parcel(body) or {}
    prepared = prepare(whole, settings=settings)
    if prepared.compiled is None:
        raise SpecError("ComponentNotFound", "the pipeline's own component is gone")
    return read_outline(prepared.compiled, whole)


def _prepare_parcels(
    settings: Settings, body: Mapping[str, Any], component: Any
) -> Prepared | SpecError:
    found = from_parcel(component)
    try:
        return prepare(
            body, settings=settings, component=None if found is None else found.get("spec") or {}
        )
    except SpecError as error:
        return error


def _read_specs(components: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: (from_parcel(one) or {}).get("spec") or {} for name, one in components.items()}


def _read_runs(
    project: Sequence[Any], settings: Settings, places: tuple[str, str]
) -> tuple[Upstream, ...]:
    """Return the runs of the project, each once: of two bodies of one run, the first counts."""
    runs: dict[str, Upstream] = {}
    for one in project:
        if (found := from_parcel(one)) is not None:
            run = read_upstream(found, settings, *places)
            runs.setdefault(run.uuid, run)
    return tuple(runs.values())


def _empty_unchanged(status: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status without the user data that is the same as before."""
    return {
        key: value if key in STATUS or before.get(key) is not value else empty(value)
        for key, value in status.items()
    }


def _find_needs(prepared: Prepared | SpecError, *, is_over: bool) -> Needs | None:
    """Return what is needed; None: nothing. A run that is over refers to nothing any more."""
    if isinstance(prepared, SpecError):
        return None
    if is_over:
        missing = prepared.missing_component
        return Needs(frozenset(), missing, has_joins=False) if missing else None
    compiled = prepared.compiled
    needs = Needs(
        prepared.refs,
        prepared.missing_component,
        has_joins=compiled is not None and bool(compiled.joins),
        components=prepared.components.union(prepared.hook_components),
        searches=frozenset() if compiled is None else list_searches(compiled),
    )
    return needs if needs != _NOTHING else None


_NOTHING = Needs(frozenset(), "", has_joins=False)
