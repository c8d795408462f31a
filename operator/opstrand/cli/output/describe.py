"""Describe one run for the user: what it is, what happened to it, and what to do.

Owns the order and the text. Must not fetch anything: its caller passes the run and the runs around
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opstrand.cli.options import ANYWHERE, Target
from opstrand.cli.output.format import (
    duration_of,
    one_line,
    phase_styles,
    show_age,
    show_clock,
    show_phase,
    show_value,
)
from opstrand.cli.output.hooks import describe_hooks
from opstrand.cli.output.lineage import find_downstream
from opstrand.cli.output.pipelines.tree import describe_best, describe_family
from opstrand.cli.output.table import as_table
from opstrand.cli.output.ticks import describe_ticks
from opstrand.core.lifecycle.conditions import REPORT_KEPT, get_condition
from opstrand.core.names import find_controller, read_op, run_uuid
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.pipelines.children import is_child
from opstrand.core.recorded import read_status
from opstrand.core.resolving.bindings import Slot, bind_params
from opstrand.core.resolving.refs import Ref, iter_refs
from opstrand.core.resolving.run_values import (
    order_inputs,
    order_outputs,
    read_inputs,
    read_outputs,
)
from opstrand.core.resolving.scope import find_pipeline
from opstrand.core.templates.template import iter_texts
from opstrand.errors import Known, SpecError, advise
from opstrand.runs.compiling import compile_body
from opstrand.runs.family import read_family
from opstrand.runs.members import count_children, is_pipeline, is_schedule
from opstrand.spec.scalars import is_template
from opstrand.text import inline, show_seconds
from opstrand.types import Body, RecordedArtifact, RunStatus, UpstreamEdge

#: The most uuids in a line of a table; `-o json` has all.
_FEW = 3
#: The path that a message begins with, as a `Problem` is written.
_PATH = re.compile(r"[A-Za-z_][^\s:]*: ")
#: As `core.diagnosis.pending` begins the message about an init step that runs long.
_INIT_STEP = re.compile(r"init step '([^']+)'")


def describe_run(
    body: Body, others: Sequence[Body] = (), target: Target = ANYWHERE, *, whole: bool = False
) -> str:
    """Return everything that a status says, in sections; empty ones are left out.

    `others` are the runs of its project, `target` is where it was found. `whole`: every run of a
    pipeline, however many there are.
    """
    status = read_status(body)
    is_family = is_pipeline(body) and not is_schedule(body)
    family = read_family(body, others) if is_family else None
    sections = [
        _facts(body, target),
        describe_family(family, whole=whole) if family is not None else "",
        describe_ticks(body),
        _pairs("inputs", order_inputs(body)),
        _pairs("outputs", order_outputs(body)),
        _artifacts(status.get("artifacts") or ()),
        _upstream(status.get("upstream") or ()),
        _awaited(body, others),
        _downstream(find_downstream(body, others)),
        describe_hooks(body, others),
        _history(status.get("history") or ()),
    ]
    return "\n\n".join(section for section in sections if section)


def _facts(body: Body, target: Target) -> str:
    facts = _iter_facts(body, target)
    return "\n".join(f"{label + ':':<10} {value}" for label, value in facts if value)


def _iter_facts(body: Body, target: Target) -> Iterator[tuple[str, str]]:
    metadata, status = body["metadata"], read_status(body)
    phase = parse_phase(status)
    yield "name", metadata["name"]
    yield "project", metadata["namespace"]
    yield "uuid", run_uuid(metadata["uid"])
    yield "kind", status.get("kind") or ""
    yield "pipeline", _pipeline(body)
    yield "phase", show_phase(phase) + _reason(status, phase)
    yield "message", _indented(str(status.get("message") or ""))
    yield "cache", inline(str((status.get("cache") or {}).get("message") or ""))
    yield "to do", advise_run(body, target)
    yield (
        "not kept",
        inline(
            str((get_condition(status.get("conditions"), REPORT_KEPT) or {}).get("message") or "")
        ),
    )
    yield "created", _moment(metadata.get("creationTimestamp"))
    yield "started", _moment(status.get("startedAt"))
    yield "finished", _moment(status.get("finishedAt"))
    yield "duration", show_seconds(duration_of(body))
    yield "children", count_children(body)
    yield "best", describe_best(body)
    yield "attempt", str(status.get("attempt") or "")
    yield (
        "pod",
        " on ".join(
            part
            for part in (
                (status.get("pod") or {}).get("name"),
                (status.get("pod") or {}).get("node"),
            )
            if part
        ),
    )
    yield "service", _service(body)
    yield "tags", inline(", ".join(map(str, status.get("tags") or ())))
    yield "about", one_line(str(status.get("description") or ""), 200)


def _pipeline(body: Body) -> str:
    """Return which pipeline made this run, and for which of its operations."""
    controller = find_controller(body)
    return inline(f"{controller.get('name')}, {read_op(body)}") if controller is not None else ""


def _service(body: Body) -> str:
    """Return the service's addresses in the cluster, and the command that reaches it from here."""
    status = read_status(body)
    service = status.get("service")
    if not service or parse_phase(status).is_final:
        return ""
    reach = (
        f"from here: opstrand port-forward {body['metadata']['name']} -p "
        f"{body['metadata']['namespace']}"
    )
    return (
        ", ".join(f"{service['host']}:{port}" for port in service["ports"])
        + f"\n           {reach}"
    )


def _reason(status: RunStatus, phase: Phase) -> str:
    """Return the reason, and for a run that waits or hangs since when."""
    reason = status.get("reason")
    suffix = f" ({reason})" if reason and reason != phase.value else ""
    history = status.get("history") or ()
    waits = phase in (
        Phase.WAITING,
        Phase.QUEUED,
        Phase.STARTING,
        Phase.RETRYING,
        Phase.RESUMING,
        Phase.STOPPING,
    )
    return suffix + (f" for {show_age(history[-1].get('at'))}" if waits and history else "")


def advise_run(body: Body, target: Target) -> str:
    """Return what to do about the state of a run; empty if there is nothing to do."""
    metadata, status = body["metadata"], read_status(body)
    phase = parse_phase(status)
    if phase in (Phase.SUCCEEDED, Phase.PROCESSING) or status.get("reason") == phase.value:
        return ""
    message = str(status.get("message") or "")
    step = _INIT_STEP.match(message)
    known = Known(
        run=metadata["name"],
        flags=target.flags(metadata["namespace"]),
        step=step[1] if step else "",
        is_local=target.is_local,
        has_path=bool(_PATH.match(message)),
    )
    return advise(str(status.get("reason") or ""), known)


def _indented(text: str) -> str:
    return "\n           ".join(inline(line) for line in text.splitlines())


def _moment(text: str | None) -> str:
    return f"{show_clock(text)} ({show_age(text)} ago)" if text else ""


def _pairs(title: str, values: Mapping[str, Any] | None) -> str:
    if not values:
        return ""
    return "\n".join(
        [
            f"{title}:",
            *(
                f"  {inline(name)}: {one_line(show_value(value), 200)}"
                for name, value in values.items()
            ),
        ]
    )


def _artifacts(artifacts: Sequence[RecordedArtifact]) -> str:
    rows = [
        [
            f"  {one.get('name')}",
            str(one.get("kind") or ""),
            str(one.get("path") or ""),
            "input" if one.get("isInput") else "output",
        ]
        for one in artifacts
    ]
    return "artifacts:\n" + as_table(["  NAME", "KIND", "PATH", "ROLE"], rows) if rows else ""


def _upstream(edges: Sequence[UpstreamEdge]) -> str:
    rows = [
        [
            # The original of a copy may be gone: the edge has no name of it.
            f"  {edge.get('name') or '-'}",
            str(edge.get("kind")),
            _values(edge),
            str(edge.get("uuid")),
        ]
        for edge in edges
    ]
    return "upstream:\n" + as_table(["  RUN", "KIND", "VALUES", "UUID"], rows) if rows else ""


def _awaited(body: Body, others: Sequence[Body]) -> str:
    """List the runs that a waiting run refers to, with their current phases.

    The run's own message is from the time when it began to wait.
    """
    if parse_phase(read_status(body)) is not Phase.WAITING:
        return ""
    pipeline = _find_pipeline(body, others)
    phases = {
        str(ref): parse_phase(read_status(run)).value
        for run in others
        for ref in _refs_to(run, pipeline)
    }
    asked: dict[str, list[str]] = {}
    try:
        for name, ref, ask in iter_refs(compile_body(body).params):
            asked.setdefault(str(ref), []).append(f"{name} = {ask}")
    except SpecError:
        return ""  # the operator is about to report it
    rows = [
        [f"  {ref}", phases.get(ref, "not there"), one_line(", ".join(asks))]
        for ref, asks in asked.items()
    ]
    return "asks:\n" + as_table(["  RUN", "PHASE", "VALUES"], rows, phase_styles()) if rows else ""


def _find_pipeline(body: Body, others: Sequence[Body]) -> Body | None:
    """Return the pipeline whose operations `ops.NAME` means for this run; None if it has none."""
    by_uid = {str(run["metadata"]["uid"]): run for run in others}
    return find_pipeline(body, by_uid.get)


def _refs_to(run: Body, pipeline: Body | None) -> tuple[Ref, ...]:
    """Return the refs that mean `run`, for the runs of `pipeline` or for those of none."""
    exact = Ref("runs", run_uuid(run["metadata"]["uid"]))
    if pipeline is None:
        return exact, Ref("ops", run["metadata"]["name"])
    if run is pipeline:
        return exact, Ref("dag")
    is_sibling = is_child(run, str(pipeline["metadata"]["uid"]))
    return (exact, Ref("ops", read_op(run))) if is_sibling else (exact,)


def _values(edge: UpstreamEdge) -> str:
    return one_line(
        ", ".join(f"{name} = {asked}" for name, asked in (edge.get("values") or {}).items())
    )


def _downstream(runs: Sequence[Body]) -> str:
    rows = [
        [
            f"  {run['metadata']['name']}",
            parse_phase(read_status(run)).value,
            run_uuid(run["metadata"]["uid"]),
        ]
        for run in runs
    ]
    return (
        "downstream:\n" + as_table(["  RUN", "PHASE", "UUID"], rows, phase_styles()) if rows else ""
    )


_HISTORY = ("  TIME", "STATUS", "REASON", "MESSAGE")


def _history(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"  {show_clock(one.get('at'))}",
            str(one.get("status")),
            str(one.get("reason") or ""),
            one_line(str(one.get("message") or "")),
        ]
        for one in entries
    ]
    return "history:\n" + as_table(_HISTORY, rows, wraps=True) if rows else ""


def explain_values(body: Body, component: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return each value of a run: what it is (absent until it is frozen) and where it came from.

    `component` is the hub's, if the run has not frozen its own yet. Raises SpecError for an
    operation that is invalid.
    """
    compiled = compile_body(body, component)
    known = {"inputs": read_inputs(body), "outputs": read_outputs(body)}
    return [
        _explain_slot(
            slot, known["outputs" if slot.section == "outputs" else "inputs"], read_status(body)
        )
        for slot in bind_params(compiled).slots
    ]


def _explain_slot(slot: Slot, values: Mapping[str, Any], status: RunStatus) -> dict[str, Any]:
    known = {"value": values[slot.name]} if slot.name in values else {}
    written = slot.ask is None and any(is_template(text) for text in iter_texts(slot.value))
    source = "template" if written else slot.source
    detail = (
        f"{slot.ref} {slot.ask}"
        if slot.ref
        else (str(slot.ask) if slot.ask else (_show_written(slot.value) if written else ""))
    )
    runs = [
        one["uuid"]
        for one in status.get("upstream") or ()
        if slot.name in (one.get("values") or {})
    ]
    found: dict[str, Any] = (
        {"runs": runs} if slot.join is not None and known else {"run": runs[0]} if runs else {}
    )
    return {"name": slot.name, **known, "source": source, "detail": detail, **found}


def _show_written(value: Any) -> str:
    return value if isinstance(value, str) else show_value(value)


def show_explanation(values: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of `opstrand get --explain`."""
    rows = [
        [
            one["name"],
            one_line(show_value(one["value"]), 60) if "value" in one else "-",
            one["source"],
            one_line(one["detail"], 80),
            one.get("run") or _count(one.get("runs")),
        ]
        for one in values
    ]
    return as_table(["PARAM", "VALUE", "SOURCE", "FROM", "RUN"], rows)


def _count(runs: Sequence[str] | None) -> str:
    """Return the number of runs that a join found, and their uuids if they are few."""
    if runs is None:
        return ""
    suffix = f": {', '.join(runs)}" if 0 < len(runs) <= _FEW else ""
    return f"{len(runs)} run{'s' * (len(runs) != 1)}{suffix}"
