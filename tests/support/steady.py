"""Whether work that runs for ever goes on after an unexpected error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest

#: Seconds; the machine may be slow.
_PATIENCE = 60.0


async def works_on(
    work: Coroutine[Any, Any, None], caplog: pytest.LogCaptureFixture, *, after: str
) -> bool:
    """Return whether the work still runs once it has logged this."""
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(_PATIENCE):
            while after not in caplog.text and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
