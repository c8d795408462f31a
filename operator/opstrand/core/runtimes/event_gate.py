"""What a run waits for with `events`: that other runs reach a status.

Owns the wait and its end. The runs are looked up as those of refs are, so their changes wake this
run. A pipeline waits itself for events of its operations, before it makes the run that has them.
Must not decide which statuses make up for which: `pipelines.events` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.lifecycle.transitions import end
from opstrand.core.limits import MESSAGE
from opstrand.core.names import run_uuid
from opstrand.core.phase import Phase
from opstrand.core.pipelines.events import Happened, has_reached, read_statuses
from opstrand.core.resolving.refs import Ref, Upstream, list_event_refs
from opstrand.core.resolving.stored import Unanswered
from opstrand.core.runtimes.gates import suggest_name, wait
from opstrand.errors import SpecError
from opstrand.text import shorten


def find_unmet_event(snapshot: Snapshot) -> Decision | None:
    """Return the wait for the events that have not happened; None if all have.

    Raises SpecError RefToItself for an event of the run itself.
    """
    waits: list[str] = []
    absent: Decision | None = None
    for index, event, ref in _iter_events(snapshot):
        path, found = f"events[{index}]", snapshot.upstream.get(ref)
        if not isinstance(found, Upstream):
            absent = absent or _wait_for_run(snapshot, ref, found, path)
            continue
        if found.uuid == run_uuid(snapshot.body["metadata"]["uid"]):
            raise SpecError("RefToItself", f"'{ref}' is this very run", f"{path}.ref")
        happened, wanted = _find_happened(event, found)
        if happened == "never":
            words = f"{path}: '{found.name}' has ended ({found.phase}), and never reached {wanted}"
            return end(snapshot, Phase.UPSTREAM_FAILED, "UpstreamFailed", words)
        if happened == "not yet":
            waits.append(f"{path}: waits for '{found.name}' to reach {wanted}")
    if absent is not None or not waits:
        return absent
    return wait(snapshot, "UpstreamPending", shorten("; ".join(waits), MESSAGE), patient=True)


def list_event_edges(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the edges to the runs whose events a run waited for."""
    found = (snapshot.upstream.get(ref) for _, _, ref in _iter_events(snapshot))
    edges = {one.uuid: one.name for one in found if isinstance(one, Upstream)}
    return [
        {"uuid": uuid, "name": name, "kind": "event", "values": {}} for uuid, name in edges.items()
    ]


def _iter_events(snapshot: Snapshot) -> Iterator[tuple[int, Mapping[str, Any], Ref]]:
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError) or prepared.compiled is None:
        return
    if prepared.compiled.schedule is not None:
        return
    refs = list_event_refs(prepared.compiled.events, is_alone=prepared.identity.is_alone)
    events = prepared.compiled.events or ()
    yield from ((index, events[index], ref) for index, ref in refs.items())


def _wait_for_run(snapshot: Snapshot, ref: Ref, found: Unanswered | None, path: str) -> Decision:
    """Wait for the run of an event, which is not known."""
    if found is None:
        words = f"{path}.ref: there is no run '{ref}' here"
        return wait(snapshot, "UpstreamNotFound", words, near=suggest_name(snapshot))
    if not found.trouble:
        return NOTHING
    words = f"{path}.ref: it is not known whether there is a run '{ref}': {found.trouble}"
    return wait(snapshot, "StoreUnavailable", words, patient=True)


def _find_happened(event: Mapping[str, Any], found: Upstream) -> tuple[Happened, str]:
    """Return whether an event has happened, and the statuses that it is about."""
    statuses = read_statuses(event)
    is_started = found.globals.get("started_at") is not None
    happened = has_reached(statuses, Phase(found.phase), is_started=is_started)
    return happened, " or ".join(sorted(statuses))
