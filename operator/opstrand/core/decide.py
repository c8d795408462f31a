"""The state machine of a run: from a snapshot to a decision.

`decide` is pure, total and idempotent: the same snapshot gives the same decision, and a snapshot
that already shows a decision's effects gives none. Looking again makes up for whatever was lost (an
event, an operator). Every kind of run stands behind `runtimes.base.Runtime`; here no kind is named.
Must not execute anything.

    (nothing) ── start ──▶ Waiting ──▶ Starting ─── advance ───▶ Running
        │                                 ▲                        │
        ▼                                 └─────── Retrying ◀──────┤
      Failed | Skipped |                                           ▼
      UpstreamFailed | Stopped                     Succeeded | Failed | Stopped
        │                                                          │
        └──────────────────────▶ Resuming ◀────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Iterator

from opstrand.core import names
from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.admission import Verdict
from opstrand.core.lifecycle.asks import Ask, Get, Known
from opstrand.core.lifecycle.resume import find_new
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.phase import Phase
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.core.runtimes.hooks import (
    fire_hooks,
    give_up_hooks,
    list_hook_asks,
    refuse_hook,
    renew_hooks,
)
from opstrand.core.runtimes.registry import runtime_of
from opstrand.core.runtimes.resuming import find_resume
from opstrand.core.runtimes.starting import start
from opstrand.core.templates.meter import metered
from opstrand.errors import SpecError


def list_asks(snapshot: Snapshot) -> list[Ask]:
    """Return what must still be asked about this run before a decision; empty: nothing more."""
    asks = [*_list_pipeline_asks(snapshot)]
    if snapshot.is_frozen or snapshot.phase.is_final:
        asks += runtime_of(snapshot.status).asks(snapshot)
    if snapshot.phase.is_final:
        asks += list_hook_asks(snapshot)
    return [ask for ask in asks if ask not in snapshot.answers]


def _list_pipeline_asks(snapshot: Snapshot) -> Iterator[Ask]:
    """Yield what must be known of the pipeline that made this run: it is gone only after a GET."""
    controller = names.find_controller(snapshot.body)
    is_over = snapshot.phase.is_final and not find_new(snapshot.body, snapshot.status)
    if controller is None or is_over:
        return
    known = Known("Operation", str(controller.get("name") or ""))
    yield known
    answer = snapshot.answers.get(known)
    if answer is not None and answer.uid != controller.get("uid"):
        yield Get(known.kind, known.name)


def needs_file(snapshot: Snapshot) -> bool:
    """Return whether the decision needs what the run's polyaxonfile says."""
    if snapshot.phase.is_final:
        return has_open_hooks(snapshot.status)
    return not snapshot.is_frozen or runtime_of(snapshot.status).needs_file(snapshot)


def decide(snapshot: Snapshot) -> Decision:
    """Decide what to do about this run now. All rendering for one decision shares one budget."""
    snapshot = snapshot.changed(evaluate=metered(snapshot.evaluate))
    if snapshot.phase.is_final:
        runtime = runtime_of(snapshot.status)
        resumed = find_resume(snapshot, runtime)
        if resumed is not None:
            return renew_hooks(resumed)
        return fire_hooks(snapshot) or runtime.clear(snapshot)
    if not snapshot.is_frozen:
        return start(snapshot)
    return runtime_of(snapshot.status).advance(snapshot)


def decide_refusal(snapshot: Snapshot, refusal: Refusal) -> Decision | None:
    """Decide after the API server refused an object; None if the refusal is not about the run."""
    if snapshot.phase.is_final:
        return refuse_hook(snapshot, refusal)
    return runtime_of(snapshot.status).refused(snapshot, refusal)


def fail(snapshot: Snapshot, reason: str, message: str) -> Decision:
    """End the run with a failure that its objects did not cause.

    One that is over stays as it ended: the failure is that of its hooks.
    """
    if snapshot.phase.is_final:
        return give_up_hooks(snapshot, SpecError(reason, message))
    verdict = Verdict(Phase.FAILED, reason, message)
    return runtime_of(snapshot.status).end_early(snapshot, verdict)
