"""The files of a run as the API keeps them, where it is installed behind the API server.

Owns the requests (`api.v1.artifacts` has the other side), and what a command says where the API is
not. Must not write to this machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from opstrand.cli.cluster.kept_runs import INSTALL
from opstrand.cli.errors import CliError, ExitCode, is_kind_unknown
from opstrand.cli.run_files import (
    BLOCK,
    Changed,
    Content,
    FileFacts,
    Folder,
    Interrupted,
)
from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, NotFound, Unreachable, Untrusted
from opstrand.kube.resources import RUNS

_PART = "artifacts"
#: Ranges and sizes count the bytes of the file itself.
_AS_IT_IS = {"Accept-Encoding": "identity"}
#: The content is another one: of a file that is sent, and of one that is read (another version, or
#: shorter than what was read of it).
_CHANGED = (409, 412, 416)
#: Statuses after which a transfer may go on: too many requests, and a server that is away.
_LATER = (408, 429, 500, 502, 503, 504)


class KeptFiles:
    """`RunFiles` of a run that has an Operation, or of one whose Operation is gone."""

    def __init__(self, api: KubeApi, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        self._api, self._project = api, str(metadata["namespace"])
        self._uuid, self.run = run_uuid(str(metadata["uid"])), str(metadata["name"])

    async def list_folder(self, path: str) -> Folder:
        async with self._open("GET", "", query={"path": path or None}) as answer:
            found = await answer.json()
        return Folder({one["name"]: one["size"] for one in found["files"]}, found["folders"])

    async def find_file(self, path: str) -> FileFacts | None:
        try:
            async with self._open("HEAD", path, headers=_AS_IT_IS) as answer:
                return _read_facts(answer)
        except CliError as error:
            if error.code == ExitCode.NOT_FOUND:
                return None
            raise

    @asynccontextmanager
    async def read(self, path: str, *, start: int = 0, version: str = "") -> AsyncIterator[Content]:
        headers = {**_AS_IT_IS}
        headers |= {"Range": f"bytes={start}-"} if start else {}
        headers |= {"If-Match": version} if version else {}
        async with self._open("GET", path, headers=headers, is_transfer=True) as answer:
            if start and answer.status != 206:
                raise Changed
            yield Content(_read_facts(answer), answer.content.iter_chunked(BLOCK))

    async def write(
        self, path: str, size: int, sha256: str, offset: int, data: bytes
    ) -> tuple[int, bool]:
        query = {"size": size, "sha256": sha256, "offset": offset}
        async with self._open("PUT", path, query=query, content=data, is_transfer=True) as answer:
            found = await answer.json()
        return int(found["offset"]), bool(found["isComplete"])

    async def delete(self, path: str) -> None:
        async with self._open("DELETE", path) as answer:
            await answer.read()

    @asynccontextmanager
    async def _open(
        self, verb: str, path: str, *, is_transfer: bool = False, **rest: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises Changed, and in a transfer Interrupted, besides CliError and ApiError."""
        part = f"{_PART}/{path}" if path else _PART
        try:
            async with self._api.open_part(
                verb, RUNS, self._project, self._uuid, part, **rest
            ) as answer:
                yield answer
        except NotFound as error:
            raise self._explain(error, is_head=verb == "HEAD") from None
        except ApiError as error:
            if error.status in _CHANGED:
                raise Changed from None
            is_cut = isinstance(error, Unreachable) and not isinstance(error, Untrusted)
            if is_transfer and (is_cut or error.status in _LATER):
                raise Interrupted(error) from None
            raise

    def _explain(self, error: NotFound, *, is_head: bool) -> CliError:
        # The answer to HEAD has no content that would separate the two; a list comes before it.
        if is_kind_unknown(error) and not is_head:
            return CliError(
                f"the files of {self.run} cannot be reached: the API that keeps them is not "
                "installed behind the API server of this cluster",
                hint=INSTALL,
                code=ExitCode.UNREACHABLE,
            )
        return CliError(f"{self.run}: {error.server_message}", code=ExitCode.NOT_FOUND)


def _read_facts(answer: aiohttp.ClientResponse) -> FileFacts:
    of_all = answer.headers.get("Content-Range", "").rpartition("/")[2]
    size = int(of_all or answer.headers.get("Content-Length", "0"))
    modified = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
    return FileFacts(size, modified, answer.headers.get("ETag", ""))
