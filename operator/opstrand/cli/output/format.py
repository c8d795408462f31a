"""How data looks: tables, times, YAML, JSON. Only this module knows widths and colours of values.

Must not fetch anything, and knows runs only by the fields of their objects.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from opstrand.cli.output.console import paint
from opstrand.cli.output.table import as_table
from opstrand.core.names import run_uuid
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.runs.members import count_children
from opstrand.text import inline, printable, printable_json, show_seconds
from opstrand.types import Body

_STYLES = {
    Phase.SUCCEEDED: "green",
    Phase.RUNNING: "cyan",
    Phase.PROCESSING: "cyan",
    Phase.FAILED: "red",
    Phase.UPSTREAM_FAILED: "red",
    Phase.STOPPED: "yellow",
    Phase.SKIPPED: "yellow",
    Phase.RETRYING: "yellow",
    Phase.RESUMING: "yellow",
    Phase.STOPPING: "yellow",
}


def as_json(value: Any) -> str:
    """Return indented JSON with all letters as they are; control characters become JSON escapes."""
    return printable_json(json.dumps(value, indent=2, ensure_ascii=False))


def as_yaml(value: Any, *, several: bool = False) -> str:
    """Return YAML that every parser reads alike; `several`: a sequence of documents."""
    from opstrand.spec.yaml_writer import write_documents, write_yaml

    return write_documents(value) if several else write_yaml(value)


def phase_styles() -> dict[str, str]:
    return {phase.value: style for phase, style in _STYLES.items()}


def show_phase(phase: Phase, *, for_people: bool = False) -> str:
    """Return the phase in its colour: for stdout, or `for_people` for stderr."""
    return paint(phase.value, _STYLES.get(phase, ""), sys.stderr if for_people else sys.stdout)


def show_value(value: Any) -> str:
    """Return a value on one line as JSON, which distinguishes 1 from "1"."""
    return inline(json.dumps(value, ensure_ascii=False))


def one_line(text: str, limit: int = 100) -> str:
    """Return `text` on one line, cut to `limit`."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def parse_time(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)


def show_age(text: str | None, now: datetime | None = None) -> str:
    """Return how long ago: `3m` as kubectl prints it; empty without a time."""
    moment = parse_time(text)
    return (
        ""
        if moment is None
        else show_seconds(((now or datetime.now(UTC)) - moment).total_seconds())
    )


def show_clock(text: str | None) -> str:
    """Return a date and time in this machine's time zone."""
    moment = parse_time(text)
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration_of(body: Body) -> float | None:
    """Return the seconds that a run took, or has taken so far."""
    status = read_status(body)
    if status.get("duration") is not None:
        return float(status["duration"])
    started = parse_time(status.get("startedAt"))
    if started is None or parse_phase(status).is_final:
        return None
    return (datetime.now(UTC) - started).total_seconds()


_COLUMNS = ("NAME", "KIND", "PHASE", "REASON", "STARTED", "DURATION")
#: The columns that a narrow terminal has no room for, the first first.
_SPARE = ("MESSAGE", "KIND", "STARTED", "DURATION", "REASON", "CHILDREN")
#: A table in a pipe has room for any message; what ends a run may be pages long.
_LONGEST_MESSAGE = 300
#: With `-o wide` a terminal folds the lines: nothing is cut.
_UNCUT = 0


def runs_table(
    runs: Sequence[Body],
    *,
    wide: bool = False,
    with_project: bool = False,
    has_heads: bool = True,
) -> str:
    """Return the table of `opstrand ls`. CHILDREN is there if a run of it is a pipeline."""
    counts = [count_children(run) for run in runs]
    heads = [
        *(("PROJECT",) if with_project else ()),
        *_COLUMNS,
        *(("CHILDREN",) if any(counts) else ()),
        *(("POD", "UUID") if wide else ()),
        "MESSAGE",
    ]
    rows = [
        [
            *([run["metadata"]["namespace"]] if with_project else []),
            *_run_row(run),
            *([count] if any(counts) else []),
            *(_wide_cells(run) if wide else []),
            one_line(str(read_status(run).get("message") or ""), _LONGEST_MESSAGE),
        ]
        for run, count in zip(runs, counts, strict=True)
    ]
    return as_table(
        heads,
        rows,
        phase_styles(),
        spare=[head for head in _SPARE if head in heads],
        width=_UNCUT if wide else None,
        has_heads=has_heads,
    )


def _run_row(body: Body) -> list[str]:
    metadata, status = body["metadata"], read_status(body)
    phase = parse_phase(status)
    reason = status.get("reason") or ""
    return [
        metadata["name"],
        status.get("kind") or "",
        phase.value,
        "" if reason == phase.value else reason,
        show_age(status.get("startedAt")),
        show_seconds(duration_of(body)),
    ]


def _wide_cells(body: Body) -> list[str]:
    pod = read_status(body).get("pod") or {}
    return [pod.get("name") or "", run_uuid(body["metadata"]["uid"])]


def name_of(body: Body) -> str:
    """Return the name as kubectl prints it with `-o name`, so that both tools accept it."""
    return f"operation.opstrand.dev/{body['metadata']['name']}"


def slim(body: Body) -> dict[str, Any]:
    """Return an object without `managedFields`, as kubectl shows it."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        **body,
        "metadata": metadata,
    }


def show_objects(objects: Sequence[Body], output: str, *, single: bool = False) -> str:
    """Return objects as `json`, `yaml`, `name` or `jsonpath=TEMPLATE`."""
    if output == "name":
        return "".join(name_of(one) + "\n" for one in objects)
    shown = [slim(one) for one in objects]
    whole: Any = (
        shown[0] if single else {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": shown}
    )
    if output.startswith("jsonpath="):
        from opstrand.cli.output.jsonpath import print_jsonpath

        return print_jsonpath(output.removeprefix("jsonpath="), whole)
    return as_json(whole) if output == "json" else as_yaml(whole)
