"""Our HTTP session as kopf is given it: kopf watches, and the lists are ours.

kopf would hold all objects at once, make a worker for each of them and never say which of the known
ones are gone. So when it asks for a list, ours is taken into the cache, and kopf hears that there
is nothing, and from which version on to watch. Of a watch's errors it hears one kind only, "list
again": any other would end it, and the operator with it. Must not know what is done with an object.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from opstrand.controller.sync import Sync, Watch
from opstrand.errors import PlatformError
from opstrand.kube.depth import cut_beside
from opstrand.kube.errors import NotFound
from opstrand.kube.lines import read_lines
from opstrand.kube.session import Session
from opstrand.types import Manifest

logger = logging.getLogger(__name__)

_ERROR = b'{"type":"ERROR"'
_GONE = 410
_LIST_AGAIN = (
    json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": _GONE}}).encode() + b"\n"
)


class Loan:
    """Nothing of it can be closed: after a 401 kopf closes what it has, under everybody's
    requests.
    """

    def __init__(self, session: Session, sync: Sync) -> None:
        self._http = session.http
        self._sync = sync
        self._watches = {
            session.server + watch.resource.path(watch.namespace): watch for watch in sync.watches
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._http, name)

    async def close(self) -> None:
        """It is not kopf's to close."""

    async def request(self, *, method: str, url: str, **rest: Any) -> Any:
        place, _, query = url.partition("?")
        watch = self._watches.get(place)
        if watch is None:
            return await self._http.request(method, url, **rest)
        if "watch=true" not in query.split("&"):
            return _Listed(await self._list(watch))
        answer = await self._http.request(method, url, **rest)
        return (
            answer
            if answer.status >= 400 and answer.status != _GONE
            else _Stream(answer, watch, self._sync)
        )

    async def _list(self, watch: Watch) -> str:
        """The version of our list, tried until it can be had.

        Raises NotFound where the kind itself is gone.
        """
        while True:
            try:
                return await self._sync.list_for(watch)
            except NotFound:
                raise
            except PlatformError as error:
                pause = error.retry_after or watch.fail(str(error))
                logger.warning("%s; again in %.1f s", error, pause)
                await asyncio.sleep(pause)


class _Listed:
    """A list's answer, as much as kopf reads of it."""

    status = 200

    def __init__(self, version: str) -> None:
        self._version = version

    async def json(self) -> Manifest:
        return {"items": [], "metadata": {"resourceVersion": self._version}}

    async def __aenter__(self) -> _Listed:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class _Stream:
    """A watch's answer, as much as kopf reads of it."""

    status = 200

    def __init__(self, answer: aiohttp.ClientResponse, watch: Watch, sync: Sync) -> None:
        self._answer, self._watch, self._sync = answer, watch, sync
        self.content = self

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        """Whole lines, one at a time."""
        if self._answer.status == _GONE:
            yield _LIST_AGAIN
            return
        self._watch.open()
        async for text in read_lines(self._answer):
            line = await cut_beside(
                text
            )  # kopf, which parses it, would end with one that is too deep
            if line.startswith(_ERROR):
                await self._wait_out(json.loads(line)["object"])
                yield _LIST_AGAIN
                return
            self._sync.hear()
            # Before kopf, which would take longer over it than over all else.
            if not self._sync.is_old_news(self._watch.resource, line):
                yield line

    async def _wait_out(self, status: Manifest) -> None:
        """A version that is too old is daily life; anything else is the server's trouble."""
        if status.get("code") == _GONE:
            return
        words = str(status.get("message") or status)
        pause = self._watch.fail(words)
        logger.warning(
            "the watch of %s failed: %s; listed again in %.2f s",
            self._watch.resource.plural,
            words,
            pause,
        )
        await asyncio.sleep(pause)

    def close(self) -> None:
        self._answer.close()

    async def __aenter__(self) -> _Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
