"""The few verbs of the Kubernetes API that opstrand needs, in plain dicts.

`Kube` is the protocol that `controller` is written against; `KubeApi` implements it over a real API
server, `local.kube` in memory. Every failure is raised as an `ApiError` that names verb and object.
Must not decide anything and must not cache.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from opstrand.kube.depth import read_large_json
from opstrand.kube.errors import NotFound, Unreachable
from opstrand.kube.failures import describe_failure, read_status_object, refusal
from opstrand.kube.lines import TooManyBytes, read_at_most, read_lines
from opstrand.kube.protocol import Page
from opstrand.kube.resources import PODS, Resource, quote_part
from opstrand.types import JsonPatch, Manifest

if TYPE_CHECKING:  # its import is half of the start of a local run, which needs no credentials
    from opstrand.kube.session import Session


#: Seconds for one request. Watches and followed logs are not limited by it.
REQUEST_TIMEOUT = 30.0
#: Objects in one page of a list: all objects of a page are in memory at once, several times over.
_PAGE = 100
#: Bytes of one page: where objects are large, fewer are requested at a time. A single object is
#: read whatever its size.
_PAGE_BYTES = 1024 * 1024


class KubeApi:
    """`Kube` over an open session."""

    def __init__(self, session: Session, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._session = session
        self._headers = tuple(headers)

    def impersonate(
        self,
        user: str,
        groups: Sequence[str] = (),
        extra: Mapping[str, Sequence[str]] | None = None,
    ) -> KubeApi:
        """The same API server with every request made as this user, for its rights and for the
        audit log.
        """
        headers = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]
        for key, values in (extra or {}).items():
            headers += [(f"Impersonate-Extra-{quote(key, safe='')}", value) for value in values]
        return KubeApi(self._session, headers=headers)

    @property
    def session(self) -> Session:
        return self._session

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        return await self._json(
            "GET", resource.path(namespace, name), what=_what("get", resource, namespace, name)
        )

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
    ) -> tuple[list[Manifest], str]:
        """All objects (at most `limit` where given) and the resourceVersion of the list."""
        query: dict[str, Any] = {"labelSelector": labels, "fieldSelector": fields}
        if limit:
            page = await self._page(resource, namespace, **query, limit=limit)
            return page.items, page.version
        items: list[Manifest] = []
        async for page in self._pages(resource, namespace, **query):
            items += page.items
        return items, page.version

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Page]:
        """All objects, page by page: 5,000 runs are many megabytes."""
        async for page in self._pages(resource, namespace, labelSelector=labels):
            yield page

    async def _pages(
        self, resource: Resource, namespace: str | None, **query: Any
    ) -> AsyncIterator[Page]:
        """Page by page, each with as many objects as fit into `_PAGE_BYTES`."""
        size, more = _PAGE, ""
        while True:
            try:
                most = _PAGE_BYTES if size > 1 else None
                page = await self._page(
                    resource, namespace, **query, limit=size, more=more, most=most
                )
            except TooManyBytes:
                size = max(size // 4, 1)
                continue
            yield page
            size, more = min(size * 2, _PAGE), page.more
            if not more:
                return

    async def _page(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        more: str = "",
        most: int | None = None,
        **query: Any,
    ) -> Page:
        given = {key: str(value) for key, value in {**query, "continue": more}.items() if value}
        found = await self._json(
            "GET",
            resource.path(namespace),
            query=given,
            what=_what("list", resource, namespace),
            most=most,
        )
        metadata = found["metadata"]
        return Page(
            [_as_object(item, resource) for item in found["items"]],
            # What is measured at each request, such as metrics, has no version.
            metadata.get("resourceVersion") or "",
            metadata.get("continue") or "",
        )

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest:
        name = body.get("metadata", {}).get("name")
        return await self._json(
            "POST",
            resource.path(namespace),
            body=body,
            what=_what("create", resource, namespace, name),
        )

    async def preview(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest:
        """What a create would store, with defaults and what admission adds. Creates nothing."""
        what = _what("preview", resource, namespace, body.get("metadata", {}).get("name"))
        return await self._json(
            "POST", resource.path(namespace), body=body, query={"dryRun": "All"}, what=what
        )

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Manifest:
        return await self._json(
            "PATCH",
            resource.path(namespace, name, subresource),
            body=ops,
            content_type="application/json-patch+json",
            what=_what("patch", resource, namespace, name),
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        conditions = {"uid": uid, "resourceVersion": version}
        try:
            await self._json(
                "DELETE",
                resource.path(namespace, name),
                body={"preconditions": {key: one for key, one in conditions.items() if one}},
                what=_what("delete", resource, namespace, name),
            )
        except NotFound:
            return

    def follow_log(self, namespace: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]:
        """The lines of the log as they arrive, each with its newline, until the container ends."""
        return self.read_log_lines(namespace, pod, **{**query, "follow": True})

    async def read_log_lines(
        self,
        namespace: str,
        name: str,
        *,
        resource: Resource = PODS,
        longest: int | None = None,
        **query: Any,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of the log byte for byte, each with its newline. Without `follow`, only those
        that exist now.

        A line of more than `longest` bytes is cut: a program may write a gigabyte without a
        newline.
        """
        verb, path = (
            "follow" if query.get("follow") else "read",
            resource.path(namespace, name, "log"),
        )
        what = f"{verb} the log of {resource.kind.lower()} {namespace}/{name}"
        async with self._request(
            "GET", path, query=_plain(query), what=what, endless=True
        ) as answer:
            async for line in read_lines(answer, longest):
                yield line

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        since: str = "",
        fields: str = "",
        labels: str = "",
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[tuple[str, Manifest], None]:
        """Events as (ADDED, MODIFIED, DELETED or BOOKMARK; object) until the server ends the watch.

        Calls `on_open` once the server has accepted the watch. Raises Expired on 410.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "fieldSelector": fields,
            "labelSelector": labels,
        }
        query = {k: v for k, v in query.items() if v}
        what = _what("watch", resource, namespace)
        async with self._request(
            "GET", resource.path(namespace), query=query, what=what, endless=True
        ) as answer:
            if on_open is not None:
                on_open()
            async for line in read_lines(answer):
                event = await read_large_json(line)
                if event["type"] == "ERROR":
                    code = event["object"].get("code", 500)
                    raise refusal(code, event["object"], what)
                yield event["type"], event["object"]

    @asynccontextmanager
    async def open_part(
        self,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str,
        part: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request to a path below an object, such as `artifacts/a/b`, whose answer is read as it
        arrives and need not be JSON.

        It may take any time, but not pause for longer than `REQUEST_TIMEOUT`.
        """
        below = "/".join(map(quote_part, part.split("/")))
        async with self._request(
            verb,
            f"{resource.path(namespace, name)}/{below}",
            query=_plain(query or {}),
            what=f"{verb.lower()} {part} of {resource.kind.lower()} {namespace}/{name}",
            accept="*/*",
            headers=headers,
            content=content,
            endless=True,
            silence=REQUEST_TIMEOUT,
        ) as answer:
            yield answer

    async def probe(self, path: str) -> tuple[str, str]:
        """The text at any path of the API server, and the Date header of the answer ("" without
        one).
        """
        async with self._request("GET", path, what=f"get {path}", accept="*/*") as answer:
            return await answer.text(errors="replace"), answer.headers.get("Date", "")

    async def _json(
        self,
        verb: str,
        path: str,
        *,
        what: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        most: int | None = None,
    ) -> Manifest:
        """The object in the answer.

        Raises TooManyBytes for an answer of more than `most` bytes, without reading the rest.
        """
        async with self._request(
            verb, path, what=what, body=body, query=query, content_type=content_type
        ) as answer:
            raw = await answer.read() if most is None else await read_at_most(answer, most)
        try:
            answered = await read_large_json(raw)
        except ValueError:
            answered = None
        if not isinstance(answered, dict) or "kind" not in answered:
            raise Unreachable(
                f"could not {what}: what answers is no Kubernetes API server", status=0
            )
        return answered

    @asynccontextmanager
    async def _request(
        self,
        verb: str,
        path: str,
        *,
        what: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        endless: bool = False,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """`content` is sent as it is, instead of `body`. `silence`: seconds without a byte."""
        data: Any = None if body is None else json.dumps(body).encode()
        if content is not None:
            data, content_type = io.BytesIO(content), "application/octet-stream"
        sent = [
            ("Accept", accept),
            *self._headers,
            *(headers or {}).items(),
            *([("Content-Type", content_type)] if data is not None else []),
        ]
        timeout = aiohttp.ClientTimeout(
            total=None if endless else REQUEST_TIMEOUT, sock_connect=10, sock_read=silence
        )
        try:
            async with self._session.http.request(
                verb,
                self._session.server + path,
                params=query,
                data=data,
                headers=sent,
                timeout=timeout,
            ) as answer:
                if answer.status >= 400:
                    raise refusal(
                        answer.status,
                        read_status_object(await answer.read()),
                        what,
                        answer.headers.get("Retry-After"),
                    )
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise describe_failure(error, what, self._session.server) from error


def _what(verb: str, resource: Resource, namespace: str | None, name: str | None = None) -> str:
    place = "/".join(part for part in (namespace, name) if part)
    return f"{verb} {resource.plural if name is None else resource.kind.lower()} {place}".strip()


def _as_object(item: Manifest, resource: Resource) -> Manifest:
    """An item of a list, completed with the fields that lists omit. `managedFields` is dropped: it
    is half of the object, and nothing here reads it.
    """
    item["metadata"].pop("managedFields", None)
    return {"apiVersion": resource.api_version, "kind": resource.kind, **item}


def _plain(query: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in query.items()
        if value is not None
    }
