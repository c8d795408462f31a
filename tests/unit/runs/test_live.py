"""The API's own watch reopens after errors, without a storm and without pauses that grow with every
error of the past.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.support.leaps import in_leaps

from opstrand.kube.errors import Expired, Unreachable
from opstrand.kube.protocol import Page
from opstrand.runs.live import ClusterRuns


class Cluster:
    """An API server whose watches end as the test asks: with an error, or in order, after this many
    seconds.
    """

    def __init__(self, end: Exception | None, lives: float) -> None:
        self.end, self.lives = end, lives
        self.watches: list[float] = []

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        yield Page([], "1")

    async def watch(
        self, *_: Any, on_open: Callable[[], None], **__: Any
    ) -> AsyncIterator[tuple[str, Any]]:
        on_open()
        self.watches.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.lives)
        if self.end is not None:
            raise self.end
        return
        yield


async def watch_for(api_server: Cluster, seconds: float) -> None:
    watching = asyncio.create_task(ClusterRuns(api_server).keep_watching())  # type: ignore[arg-type]
    await asyncio.sleep(seconds)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


@pytest.mark.parametrize(
    "end",
    [Expired("too old", status=410), Unreachable("reset", status=0), None],
    ids=["expired", "reset", "peace"],
)
@in_leaps
async def test_watches_that_end_at_once_make_no_storm(end: Exception | None) -> None:
    api_server = Cluster(end, lives=0)
    await watch_for(api_server, 60)
    assert 10 < len(api_server.watches) < 40


@in_leaps
async def test_a_watch_that_lived_is_followed_by_the_next_at_once() -> None:
    api_server = Cluster(Unreachable("reset", status=0), lives=59)
    await watch_for(api_server, 3600)
    assert len(api_server.watches) >= 59  # pauses that grow would leave fewer
