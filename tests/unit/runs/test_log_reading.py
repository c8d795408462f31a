"""Programs that print at full speed leave the process time for other work."""

from __future__ import annotations

import asyncio

from tests.support.leaps import in_leaps

from opstrand.runs.log_reading import Pace


async def spend(pace: Pace, *, times: int, lines: int, size: int) -> float:
    """Return the seconds that it takes."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for _ in range(times):
        await pace.spend(lines, size)
    return loop.time() - begin


@in_leaps
async def test_a_million_lines_take_ten_seconds() -> None:
    assert 9 < await spend(Pace(), times=1000, lines=1000, size=0) < 11


@in_leaps
async def test_long_lines_are_counted_by_their_bytes() -> None:
    assert 9 < await spend(Pace(), times=320, lines=0, size=1024 * 1024) < 11


@in_leaps
async def test_all_logs_share_one_pace() -> None:
    pace = Pace()
    logs = [spend(pace, times=100, lines=1000, size=0) for _ in range(10)]
    assert max(await asyncio.gather(*logs)) > 9


@in_leaps
async def test_a_few_lines_wait_for_nothing() -> None:
    pace = Pace()
    assert await spend(pace, times=1, lines=5000, size=0) < 0.04
    await asyncio.sleep(1)
    assert await spend(pace, times=1, lines=5000, size=0) < 0.04
