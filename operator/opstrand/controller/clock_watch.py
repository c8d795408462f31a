"""Notice that the machine's clock was set, or that the machine slept: every timer is then wrong.

Owns the comparison of the two clocks. Timers run by a clock that cannot be set, and stands still
while the machine sleeps; what is due at a time of the day must then be looked at again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Seconds between two looks at the clocks, for all timers together.
_INTERVAL = 1.0
#: Seconds by which the clocks may drift apart before it counts as a jump.
_TOLERANCE = 0.5


async def watch_clock(
    on_jump: Callable[[], None],
    *,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Call `on_jump` after every jump of the wall clock, until it is cancelled."""
    apart = wall() - monotonic()
    while True:
        await asyncio.sleep(_INTERVAL)
        jumped = wall() - monotonic() - apart
        if abs(jumped) > _TOLERANCE:
            apart += jumped
            logger.warning("the clock was set by %.1f s: timers are checked", jumped)
            on_jump()
