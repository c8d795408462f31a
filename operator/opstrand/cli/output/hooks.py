"""The hooks of a run, as `opstrand get` shows them: which fired, which did not, and why.

Owns the table. Must not fetch anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opstrand.cli.output.format import one_line, phase_styles
from opstrand.cli.output.table import as_table
from opstrand.core.names import find_hooked
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.hooks import (
    FIRED,
    NOT_DUE,
    OPEN,
    REFUSED,
    UNREAD,
    name_hook_run,
    read_record,
)
from opstrand.core.recorded import read_status
from opstrand.types import Body

_WORDS = {
    OPEN: "not decided yet",
    UNREAD: "not decided yet",
    FIRED: "fired",
    NOT_DUE: "not due",
    REFUSED: "cannot run",
}


def describe_hooks(body: Body, others: Sequence[Body]) -> str:
    """Return the table; empty for a run without hooks. `others`: the runs of its project."""
    record = read_record(read_status(body))
    made = {one["metadata"]["name"]: one for one in others if find_hooked(one) is not None}
    problems = {one.get("hook"): str(one.get("message") or "") for one in record.problems}
    rows = [
        [
            f"  hooks[{index}]",
            _WORDS.get(letter, letter),
            *_describe_run(name_hook_run(body, index, record.round), made),
            one_line(problems.get(index, "")),
        ]
        for index, letter in enumerate(record.states)
    ]
    header = ["  HOOK", "STATE", "RUN", "PHASE", "MESSAGE"]
    return "hooks:\n" + as_table(header, rows, phase_styles()) if rows else ""


def _describe_run(name: str, made: Mapping[str, Body]) -> tuple[str, str]:
    run = made.get(name)
    return ("", "") if run is None else (name, parse_phase(read_status(run)).value)
