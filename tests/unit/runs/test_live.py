"""The API's own watch reopens after errors, without a storm and without pauses that grow with every
error of the past; before its first list, no run counts as missing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.leaps import in_leaps

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.published.listing import Searched
from opstrand.errors import PlatformError
from opstrand.kube.errors import Expired, Unreachable
from opstrand.kube.protocol import Page
from opstrand.runs.live import ClusterRuns
from opstrand.runs.protocols import Search


class Cluster:
    """An API server whose watches end as the test asks: with an error, or in order, after this many
    seconds.
    """

    def __init__(self, end: Exception | None, lives: float) -> None:
        self.end, self.lives = end, lives
        self.watches: list[float] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def list(self, *_: Any, **__: Any) -> tuple[list[Any], str]:
        return [{"metadata": {"name": "team"}}], "1"

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        await self.answers.wait()
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


async def test_before_the_first_list_no_run_counts_as_missing() -> None:
    api_server = Cluster(None, lives=60)
    api_server.answers.clear()
    runs = ClusterRuns(api_server)  # type: ignore[arg-type]
    watching = asyncio.create_task(runs.keep_watching())
    search = Search(None, None, 0, 10, lambda run: Searched(run, "default"))
    asked: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: runs.list("team"),
        lambda: runs.search("team", search),
        lambda: runs.named("team", "a"),
        lambda: runs.find("team", ["0" * 32]),
    )
    for ask in asked:
        with pytest.raises(PlatformError, match="not read all runs of the cluster yet"):
            await ask()
    async with TestClient(TestServer(create_app(runs, StaticToken("secret")))) as client:
        url, headers = "/api/v1/default/team/runs", {"Authorization": "Token secret"}
        async with client.get(url, headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert "has just started" in (await answer.json())["detail"]
        api_server.answers.set()
        await runs.wait_until_ready()
        async with client.get(url, headers=headers) as answer:
            assert (answer.status, (await answer.json())["count"]) == (200, 0)
    watching.cancel()
