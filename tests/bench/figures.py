"""Computes figures from samples, and renders tables of figures. Must not measure anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def percentile(samples: Iterable[float], share: float) -> float:
    """Return the smallest sample that at least this share (0 to 1) of all samples do not exceed;
    NaN without samples.
    """
    ordered = sorted(samples)
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def median(samples: Iterable[float]) -> float:
    """Return the middle sample, or the mean of the two in the middle; NaN without samples."""
    ordered = sorted(samples)
    if not ordered:
        return math.nan
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each round, so that what drifts between rounds cancels.

    Both sequences are in the order of the rounds.
    """
    return median(one / other for one, other in zip(ours, theirs, strict=True) if other)


def show(value: float | None, digits: int = 1) -> str:
    """Return a figure for a person: a dash if there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.{digits}f}"


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it reads well as plain text too."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def draw(line: Sequence[str]) -> str:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = f"| {'-' * widths[0]} | {' | '.join('-' * (width - 1) + ':' for width in widths[1:])} |"
    return "\n".join([draw(lines[0]), rule, *map(draw, lines[1:])])
