"""The HTTP session that kopf gets: kopf watches with it, and our own code lists.

kopf would hold all listed objects at once, start a worker for each and never report which known
objects are gone. So when kopf asks for a list, our own list fills the cache, and kopf gets an empty
list with the version to watch from. Of the errors of a watch kopf sees only "list again": any other
would end the watch, and the operator with it. Must not know how an object is handled.
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
    """A session that cannot be closed: after a 401 kopf closes its session, which all other
    requests share.
    """

    def __init__(self, session: Session, sync: Sync) -> None:
        self._http = session.http
        self._sync = sync
        self._watches = {
            session.server + watch.scope.resource.path(watch.scope.namespace): watch
            for watch in sync.watches
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._http, name)

    async def close(self) -> None:
        """Do nothing: the session is not kopf's to close."""

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
        """The version of our list, retried until the list succeeds.

        Raises NotFound if the kind itself does not exist.
        """
        while True:
            try:
                return await self._sync.list_for(watch)
            except NotFound:
                raise
            except PlatformError as error:
                pause = watch.health.record_failure(str(error), error.retry_after)
                logger.warning("%s; again in %.1f s", error, pause)
                await asyncio.sleep(pause)


class _Listed:
    """The answer to a list, with as much of the interface as kopf uses."""

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
    """The answer to a watch, with as much of the interface as kopf uses."""

    status = 200

    def __init__(self, answer: aiohttp.ClientResponse, watch: Watch, sync: Sync) -> None:
        self._answer, self._watch, self._sync = answer, watch, sync
        self.content = self

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        """Whole lines, one at a time."""
        if self._answer.status == _GONE:
            yield _LIST_AGAIN
            return
        self._watch.health.record_open()
        async for text in read_lines(self._answer):
            # An event that is too deep would end kopf, which parses it.
            line = await cut_beside(text)
            if line.startswith(_ERROR):
                await self._wait_out(json.loads(line)["object"])
                yield _LIST_AGAIN
                return
            self._sync.record_message()
            self._watch.health.record_event()
            # Drop it before kopf parses it, which would take most of the time of an event.
            if not self._sync.repeats_cache(self._watch.scope.resource, line):
                yield line

    async def _wait_out(self, status: Manifest) -> None:
        """Wait after an error of the server. A version that is too old is normal: no wait."""
        if status.get("code") == _GONE:
            return
        message = str(status.get("message") or status)
        pause = self._watch.health.record_failure(message)
        logger.warning(
            "the watch of %s failed: %s; listed again in %.2f s",
            self._watch.scope.resource.plural,
            message,
            pause,
        )
        await asyncio.sleep(pause)

    def close(self) -> None:
        self._answer.close()

    async def __aenter__(self) -> _Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
