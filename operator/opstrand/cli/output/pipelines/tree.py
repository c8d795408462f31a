"""The tree of a pipeline as a table: each run's phase, duration, name, and why it did not run.

Owns which runs are shown and which are only counted, so that a pipeline of hundreds stays readable.
Must not decide what became of a run: `family` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.cli.output.format import (
    duration_of,
    one_line,
    phase_styles,
    show_value,
)
from opstrand.cli.output.table import as_table
from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import ABSENT
from opstrand.core.recorded import read_status
from opstrand.runs.family import Family, Member
from opstrand.runs.members import count_children
from opstrand.runs.reasons import WORDS
from opstrand.text import inline, show_seconds
from opstrand.types import Body

#: Runs on all levels above which those that succeeded are counted instead of shown.
_MANY = 40
#: Of a long level, how many runs of each phase are shown.
_SHOWN = {Phase.SUCCEEDED.value: 0, Phase.FAILED.value: 20, Phase.RUNNING.value: 20}
_SHOWN_OF_OTHERS = 5
#: A level that is not longer is shown whole.
_SHORT = 20
_HEADS = ("  OPERATION", "PHASE", "DURATION", "RUN", "MESSAGE")
_LONGEST_MESSAGE, _LONGEST_PARAM = 300, 60
#: Before a run, before the last one, and before what is below either.
_BRANCH, _LAST, _LINE, _BLANK = "├─ ", "└─ ", "│  ", "   "


def describe_family(family: Family, *, whole: bool = False) -> str:
    """Return the tree with its counts; `whole`: every run, however many there are."""
    if not family.members:
        return ""
    folds = not whole and len(family) > _MANY
    title = "runs" if family.is_matrix else "operations"
    heads = ("  INDEX" if family.is_matrix else _HEADS[0], *_HEADS[1:])
    table = as_table(heads, _iter_rows(family, "  ", folds), phase_styles(), spare=("RUN",))
    return f"{title}: {count_phases(family)}\n{table}"


def count_phases(family: Family) -> str:
    """Return how many runs are in each phase, the ended ones first: `2 Succeeded, 1 Failed`."""
    counts = Counter(member.phase for member in family.members)
    order = [phase.value for phase in sorted(Phase, key=lambda one: not one.is_final)]
    order.append(WORDS[ABSENT])
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


@dataclass(frozen=True)
class _Rest:
    """Runs of one phase that are only counted."""

    phase: str
    count: int
    note: str
    is_more: bool


def _iter_rows(family: Family, indent: str, folds: bool) -> Iterator[list[str]]:
    lines = _choose(family.members) if folds else list(family.members)
    for line in lines:
        is_last = line is lines[-1]
        branch = f"{indent}{_LAST if is_last else _BRANCH}"
        if isinstance(line, _Rest):
            more = " more" if line.is_more else ""
            yield [f"{branch}… {line.count}{more}", line.phase, "", "", line.note]
            continue
        yield _describe(line, branch, family.pipeline)
        if line.family is not None and not (folds and line.is_well):
            yield from _iter_rows(line.family, indent + (_BLANK if is_last else _LINE), folds)


def _choose(members: Sequence[Member]) -> list[Member | _Rest]:
    """Return the runs of a level to show, and how many there are of the others."""
    if len(members) <= _SHORT:
        return list(members)
    shown: list[Member | _Rest] = []
    left: dict[str, list[Member]] = {}
    counts: Counter[str] = Counter()
    for member in members:
        counts[member.phase] += 1
        most = _SHOWN.get(member.phase, _SHOWN_OF_OTHERS)
        if member.is_best or counts[member.phase] <= most:
            shown.append(member)
        else:
            left.setdefault(member.phase, []).append(member)
    for phase, ones in left.items():
        notes = {one.note for one in ones}
        note = notes.pop() if len(notes) == 1 else ""
        shown.append(_Rest(phase, len(ones), note, len(ones) < counts[phase]))
    return shown


def _describe(member: Member, branch: str, pipeline: Body) -> list[str]:
    body = member.body
    duration = "" if body is None else show_seconds(duration_of(body))
    words = one_line("; ".join(_iter_words(member, pipeline)), _LONGEST_MESSAGE)
    name = "" if body is None else member.name
    return [f"{branch}{inline(member.op)}", member.phase, duration, name, words]


def _iter_words(member: Member, pipeline: Body) -> Iterator[str]:
    if member.is_best:
        yield "best"
    if member.params:
        yield " ".join(f"{name}={_show(value)}" for name, value in member.params.items())
    if (metric := read_metric(pipeline)) and member.body is not None:
        outputs = read_status(member.body).get("outputs") or {}
        if metric in outputs:
            yield f"{metric} {_show(outputs[metric])}"
    if member.family is not None:
        yield count_children(member.family.pipeline)
    if member.note:
        yield member.note


def read_metric(pipeline: Body) -> str:
    """Return the name of the metric of a matrix; empty if it has none."""
    return str((read_status(pipeline).get("search") or {}).get("metric") or "")


def _show(value: Any) -> str:
    return one_line(value if isinstance(value, str) else show_value(value), _LONGEST_PARAM)


def describe_best(pipeline: Body) -> str:
    """Return the best run of a matrix and its metric; empty if there is none yet."""
    best = read_status(pipeline).get("best")
    if not best:
        return ""
    metric = read_metric(pipeline)
    return inline(f"{best['name']}" + (f" with {metric} {best.get('value')}" if metric else ""))


def describe_member(family: Family, member: Member) -> str:
    """Return what there is to say of an operation without a run: why, and how its upstreams are."""
    facts = (
        ("operation", member.op),
        ("pipeline", str(family.pipeline["metadata"]["name"])),
        ("phase", member.phase),
        ("message", member.note),
    )
    shown = "\n".join(f"{label + ':':<10} {inline(text)}" for label, text in facts if text)
    rows = [_describe(one, "  ", family.pipeline) for one in family.upstreams(member)]
    return shown + (f"\n\nupstream:\n{as_table(_HEADS, rows, phase_styles())}" if rows else "")
