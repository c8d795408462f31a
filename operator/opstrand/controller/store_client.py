"""Asks the API over HTTP for runs whose objects are gone.

Owns the requests: who is asked, with which token, how long an answer may take, and what a failure
is called. Must not decide when something is asked (`store_reader`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import aiohttp

from opstrand.controller.store_reader import NoStore, Question, QuestionRefused
from opstrand.core.resolving.stored import StoredRun
from opstrand.errors import PlatformError
from opstrand.kube.lines import read_lines
from opstrand.settings import Settings
from opstrand.text import shorten

logger = logging.getLogger(__name__)

#: Seconds for one answer. A search may look at every run of a namespace.
_PATIENCE = aiohttp.ClientTimeout(total=15, sock_connect=5)
_PATIENCE_OF_SEARCH = aiohttp.ClientTimeout(total=300, sock_connect=5)
#: The last line of a whole answer.
_END = b"{}"
_COMPRESSION = 1
#: Bytes of compressed runs from which no more are read: deciding about so many exceeds the memory
#: of a worker anyway, and its run ends with that reason.
_MOST_BYTES = 32 * 1024 * 1024


class StoreClient:
    """`store_reader.Client` over the API of the settings; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url.rstrip("/")
        self._token = Path(settings.api_token)
        self._authority = settings.api_ca

    async def __aenter__(self) -> StoreClient:
        tls = ssl.create_default_context(cadata=self._authority) if self._authority else True
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        url = f"{self._url}/operator/v1/namespaces/{namespace}/runs"
        if isinstance(question, StoredRun):
            return await self._post(url, {"uuid": question.uuid}, _PATIENCE)
        what = {"query": question.query, "sort": question.sort, "most": question.most}
        try:
            return await self._post(url, what, _PATIENCE_OF_SEARCH)
        except _TooSlow:
            raise QuestionRefused("the API takes too long to search") from None

    async def _post(
        self, url: str, what: Mapping[str, Any], patience: aiohttp.ClientTimeout
    ) -> list[bytes]:
        """The runs of an answer as parcels."""
        headers = {"Authorization": f"Bearer {await self._read_token()}"}
        try:
            async with self._http.post(
                url, json=what, headers=headers, timeout=patience, allow_redirects=False
            ) as answer:
                if answer.status == 200:
                    return await _read_runs(answer)
                self._refuse(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("%s: %s", url, str(error) or type(error).__name__)
            is_slow = isinstance(error, TimeoutError)
            is_slow &= not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise (_TooSlow if is_slow else PlatformError)("the API does not answer") from None

    async def _read_token(self) -> str:
        try:
            # It is renewed while we run.
            return (await asyncio.to_thread(self._token.read_text, "ascii")).strip()
        except (OSError, ValueError) as error:
            logger.info("%s", error)
            raise PlatformError("the operator's own token for the API cannot be read") from None

    def _refuse(self, status: int, text: bytes) -> NoReturn:
        logger.info(
            "%s answered %d: %s", self._url, status, shorten(text.decode("utf-8", "replace"), 300)
        )
        if status == 404:
            raise NoStore
        if status in (401, 403):
            raise PlatformError("the API does not accept the operator's token")
        if status in (400, 413):
            raise QuestionRefused("the API refuses the question")
        if status == 503:
            raise PlatformError("the API cannot read its store")
        raise PlatformError(f"the API answers with the status {status}")


class _TooSlow(PlatformError):
    """The API is there, and did not answer in time."""


async def _read_runs(answer: aiohttp.ClientResponse) -> list[bytes]:
    """Each line but the last is a run. Raises PlatformError."""
    runs: list[bytes] = []
    size = 0
    async for line in read_lines(answer):
        if line == _END:
            return runs
        runs.append(zlib.compress(line, _COMPRESSION))
        size += len(runs[-1])
        if size > _MOST_BYTES:
            return runs
    raise PlatformError("the API broke off its answer")
