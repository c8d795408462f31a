"""Asks the API over HTTP for runs whose objects are gone.

Owns the requests: who is asked, with which token, how long an answer may take, and what a failure
is called. Must not decide when something is asked (`store_reader`).
"""

from __future__ import annotations

import asyncio
import json
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
from opstrand.settings import Settings
from opstrand.text import shorten

logger = logging.getLogger(__name__)

#: Seconds for one answer: a search may look at every run of a namespace.
_PATIENCE = aiohttp.ClientTimeout(total=60, sock_connect=5)
#: The most runs of one answer.
_PAGE = 500
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
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), timeout=_PATIENCE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        url = f"{self._url}/operator/v1/namespaces/{namespace}/runs"
        if isinstance(question, StoredRun):
            found, _ = await self._post(url, {"uuid": question.uuid})
            return found
        runs: list[bytes] = []
        while True:
            page = {"offset": len(runs), "limit": min(question.most - len(runs), _PAGE)}
            found, has_more = await self._post(
                url, {"query": question.query, "sort": question.sort, **page}
            )
            runs += found
            is_whole = not found or not has_more or len(runs) >= question.most
            if is_whole or sum(map(len, runs)) > _MOST_BYTES:
                return runs

    async def _post(self, url: str, what: Mapping[str, Any]) -> tuple[list[bytes], bool]:
        """The runs of one answer as parcels, and whether there are more."""
        headers = {"Authorization": f"Bearer {await self._read_token()}"}
        try:
            async with self._http.post(
                url, json=what, headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.read()
                if answer.status == 200:
                    return _parse(text)
                self._refuse(answer.status, text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("%s: %s", url, str(error) or type(error).__name__)
            raise PlatformError("the API does not answer") from None

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


def _parse(text: bytes) -> tuple[list[bytes], bool]:
    """Each line but the last is a run. Raises PlatformError."""
    *runs, last = text.splitlines()
    try:
        has_more = bool(json.loads(last)["more"])
    except (ValueError, TypeError, KeyError):
        raise PlatformError("the API gives an answer that cannot be read") from None
    return [zlib.compress(run, _COMPRESSION) for run in runs], has_more
