"""Why an operation of a pipeline has not started, or never will, as one sentence.

Owns the words. Whether it may start is decided by `core.pipelines.progress`, as in the operator.
Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opstrand.core.phase import Phase, parse_phase
from opstrand.core.pipelines.letters import (
    ABSENT,
    CACHED,
    FAILED,
    PUBLISHED,
    SKIPPED,
    STARTED,
    STOPPED,
    SUCCEEDED,
    UPSTREAM_FAILED,
    WAITING,
    Children,
)
from opstrand.core.pipelines.progress import Graph
from opstrand.core.pipelines.triggers import DEFAULT_TRIGGER
from opstrand.core.recorded import read_status
from opstrand.types import Body

#: What a letter says of a run whose object is not there.
WORDS = {
    ABSENT: "not created",
    WAITING: Phase.WAITING.value,
    STARTED: Phase.RUNNING.value,
    SUCCEEDED: Phase.SUCCEEDED.value,
    CACHED: Phase.SUCCEEDED.value,
    FAILED: Phase.FAILED.value,
    STOPPED: Phase.STOPPED.value,
    SKIPPED: Phase.SKIPPED.value,
    UPSTREAM_FAILED: Phase.UPSTREAM_FAILED.value,
}
#: Upstreams that a sentence lists.
_FEW = 4
#: Phases in which a pipeline has not made its first run.
_BEFORE = (Phase.CREATED, Phase.WAITING, Phase.QUEUED, Phase.STARTING)


def explain_pipeline(pipeline: Body) -> str:
    """Return why no operation of this pipeline starts; empty if it makes runs."""
    status = read_status(pipeline)
    phase = parse_phase(status)
    name = pipeline["metadata"]["name"]
    if phase in _BEFORE:
        reason = str(status.get("reason") or "")
        suffix = f" ({reason})" if reason and reason != phase.value else ""
        return f"the pipeline {name} has not started: {phase.value}{suffix}"
    return f"the pipeline {name} is stopping" if phase is Phase.STOPPING else ""


def explain_limit(children: Children) -> str:
    """Return why an operation whose turn it is has no run."""
    limit = children.concurrency
    if limit is None:
        return "next; the operator runs as many at once as its settings allow"
    if children.alive < limit:
        return "next"
    return f"waits for a place: {children.alive} of {limit} run (concurrency)"


def explain_upstreams(graph: Graph, at: int, words: Sequence[str], children: Children) -> str:
    """Return which upstreams an operation waits for; `words` are the phases of all operations."""
    op = graph.ops[at]
    open_ones = [one for one in op.upstreams if children.states[one] not in PUBLISHED]
    listed = _list(graph, open_ones or op.upstreams, words)
    return f"waits for {listed}{_describe_trigger(op.trigger)}"


def explain_no_run(
    graph: Graph | None, at: int, words: Sequence[str], children: Children, pipeline: Body
) -> str:
    """Return why an operation ended without a run, or what became of its run."""
    letter = children.states[at]
    upstreams = () if graph is None else graph.ops[at].upstreams
    if letter == UPSTREAM_FAILED and graph is not None:
        bad = [one for one in upstreams if children.states[one] not in (SUCCEEDED, CACHED, SKIPPED)]
        trigger = _describe_trigger(graph.ops[at].trigger)
        return f"not run: {_list(graph, bad or upstreams, words)}{trigger}"
    if letter == SKIPPED and graph is not None:
        skipped = [one for one in upstreams if children.states[one] == SKIPPED]
        return f"not run: {_list(graph, skipped, words)}" if skipped else "its run is gone"
    if letter == STOPPED and _was_stopped(pipeline):
        return "not run, or its run is gone: the pipeline was stopped"
    return "its run is gone"


def _describe_trigger(trigger: str) -> str:
    return "" if trigger == DEFAULT_TRIGGER else f"; trigger {trigger}"


def _was_stopped(pipeline: Body) -> bool:
    asked = ((pipeline.get("spec") or {}).get("control") or {}).get("stop")
    return bool(asked) or parse_phase(read_status(pipeline)) in (Phase.STOPPING, Phase.STOPPED)


def _list(graph: Graph, ops: Sequence[int], words: Sequence[str]) -> str:
    named = [f"{graph.ops[one].name} ({words[one]})" for one in ops[:_FEW]]
    rest = len(ops) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def read_failures(pipeline: Body) -> Mapping[str, str]:
    """Return what a pipeline kept of its failed operations: the reason and the message of each."""
    stored = (read_status(pipeline).get("children") or {}).get("failures")
    return {
        str(one.get("op")): ": ".join(
            str(one[key]) for key in ("reason", "message") if one.get(key)
        )
        for one in (stored if isinstance(stored, list) else ())
        if isinstance(one, Mapping)
    }
