"""Show a view that changes until its end, or until the user interrupts.

Owns the exit code of that. Must not draw: `output.screen` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
from opstrand.cli.errors import ExitCode
from opstrand.cli.output.screen import watch_view

View = TypeVar("View")


async def show_view(
    views: AsyncIterator[View],
    draw: Callable[[View], str],
    *,
    is_last: Callable[[View], bool] = lambda view: False,
) -> ExitCode:
    """Show every view until one is the last; return the exit code."""
    try:
        await wait_bounded(watch_view(views, draw, is_last), seconds=None)
    except Interrupted as error:
        return error.code
    return ExitCode.SUCCEEDED
