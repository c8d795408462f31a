"""A jump of the wall clock is noticed, and an ordinary second is not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.support.leaps import in_leaps

from opstrand.controller.clock_watch import watch_clock


@in_leaps
async def test_a_jump_in_either_direction_is_noticed_once() -> None:
    loop, ahead, jumps = asyncio.get_running_loop(), [0.0], []
    watching = asyncio.create_task(
        watch_clock(
            lambda: jumps.append(ahead[0]),
            wall=lambda: loop.time() + ahead[0],
            monotonic=loop.time,
        )
    )
    await asyncio.sleep(30)
    for ahead[0] in (3600.0, 3600.2, 0.0):
        await asyncio.sleep(5)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert jumps == [3600.0, 0.0]
