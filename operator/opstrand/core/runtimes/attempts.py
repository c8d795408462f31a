"""An attempt of a run that exists: rendered again from what was frozen, and its objects.

Owns what jobs and services share about attempts. Must not decide whether another attempt is due.
"""

from __future__ import annotations

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.diagnosis.observation import Fault
from opstrand.core.lifecycle.actions import Create
from opstrand.core.lifecycle.retry import Spent, backoff
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced
from opstrand.core.phase import Phase
from opstrand.core.planning.connections import Catalog
from opstrand.core.planning.frozen_catalog import restore_catalog
from opstrand.core.pods.attempt import Attempt, render_attempt
from opstrand.core.resolving.resolve import Resolved, read_frozen
from opstrand.errors import SpecError

#: Reasons of failures that the platform caused: another attempt is charged to the platform.
PLATFORM_REASONS = (
    "Evicted",
    "Preempted",
    "NodeLost",
    "NodeRefused",
    "PodLost",
    "PodDeleted",
    "DeploymentLost",
)


def create_objects(attempt: Attempt) -> tuple[Create, ...]:
    """Return the actions that create an attempt's objects. Repeating them creates them once."""
    return tuple(Create(manifest) for manifest in attempt.manifests)


def recreate(snapshot: Snapshot) -> Decision:
    """Create the missing objects of a frozen run.

    Either the operator died between the freeze and the POST, or another attempt is due.
    """
    attempt = render_again(snapshot, elapsed=_elapsed(snapshot))
    is_next = snapshot.phase in (Phase.RETRYING, Phase.RESUMING)
    status = (
        advanced(snapshot, Phase.STARTING, "PodCreated", "", podDigest=attempt.digest)
        if is_next
        else None
    )
    # Once the Pod exists, the obstacle (quota, a service account) is gone: look again, so that the
    # status says so.
    was_kept_away = (
        snapshot.phase is Phase.STARTING and snapshot.status.get("reason") != "PodCreated"
    )
    return Decision(
        status,
        create_objects(attempt),
        requeue_after=0.0 if was_kept_away else None,
        plan=attempt.plan,
    )


def render_again(snapshot: Snapshot, *, elapsed: int) -> Attempt:
    """Render the attempt that the status names from what was frozen. Raises SpecError."""
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    if prepared.compiled is None:
        raise SpecError("ComponentNotFound", f"Component {prepared.missing_component!r} is gone")
    return render_attempt(
        prepared,
        read_frozen(snapshot.status),
        body=snapshot.body,
        number=int(snapshot.status.get("attempt") or 0),
        settings=snapshot.settings,
        evaluate=snapshot.evaluate,
        elapsed=elapsed,
        catalog=catalog_of(snapshot),
        is_resumed="resumedAt" in snapshot.status,
    )


def catalog_of(snapshot: Snapshot) -> Catalog | None:
    """Return the connections of the run: those with which it started, else those of now."""
    return restore_catalog(snapshot.status.get("catalog"), snapshot.catalog)


def _elapsed(snapshot: Snapshot) -> int:
    """Return the seconds that earlier attempts took.

    `timeout` is for the whole run, from its start or its last resumption: a later attempt gets what
    they left.
    """
    return int(snapshot.since(snapshot.began))


def backoff_left(snapshot: Snapshot) -> float:
    """Return the seconds until the next attempt may begin."""
    if snapshot.phase is not Phase.RETRYING:
        return 0.0
    fault = Fault.PLATFORM if snapshot.status.get("reason") in PLATFORM_REASONS else Fault.USER
    length = backoff(Spent.parse(snapshot.status), fault, first=snapshot.settings.retry_backoff)
    return max(0.0, length - snapshot.since(snapshot.last_step or snapshot.stamp))


def restore_documents(snapshot: Snapshot) -> tuple[Create, ...]:
    """Create the deleted ConfigMap that a Pod waits for again, with the same content."""
    try:
        manifest = render_again(snapshot, elapsed=0).rendered.config_map
    except SpecError:
        # The Pod's own trouble is reported, and waited for with patience.
        return ()
    return () if manifest is None else (Create(manifest, is_optional=True),)


def render_first(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Attempt:
    """Render the attempt that a freeze creates. Raises SpecError."""
    return render_attempt(
        prepared,
        resolved,
        body=snapshot.body,
        number=int(snapshot.status.get("attempt") or 0),
        settings=snapshot.settings,
        evaluate=snapshot.evaluate,
        catalog=catalog_of(snapshot),
    )
