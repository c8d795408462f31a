"""The methods of `RunClient` that control runs: create, restart, stop, skip, approve, delete, wait.

Owns these methods. Each waits for the API's answer, and raises its refusal. After a `create` the
client is that of the created run, as with the published client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

from .errors import NotSupported

if TYPE_CHECKING:
    from .connection import Connection

Json = dict[str, Any]
Content = Union[str, Mapping[str, Any]]
FINAL = frozenset({"succeeded", "failed", "stopped", "skipped", "upstream_failed"})


class Orders:
    """The part of `RunClient` that creates and controls runs."""

    owner: str
    project: str
    run_uuid: str
    _connection: Connection
    _data: Json

    if TYPE_CHECKING:
        # What `RunClient` gives these methods.
        @property
        def _is_idle(self) -> bool: ...
        def _request(
            self, method: str, path: str = "", body: Any = None, **options: Any
        ) -> Json: ...
        def _read(self, path: str, query: Json | None = None, method: str = "GET") -> Json: ...
        def get_statuses(
            self, last_status: str | None = None
        ) -> tuple[str | None, Sequence[Json]]: ...

    def create(
        self,
        name: str | None = None,
        description: str | None = None,
        tags: str | Sequence[str] | None = None,
        content: Content | None = None,
        managed_by: Any = None,
        is_managed: bool | None = None,
        pending: str | None = None,
        meta_info: Json | None = None,
        **shortcuts: Any,
    ) -> Json:
        """Create a run of `content`: a component or an operation, as a dict or as YAML or JSON.

        Returns the body of GET run.
        """
        _refuse_given("create", shortcuts, "write it into the content")
        if self._is_idle:
            return {}
        managed = "agent" if is_managed else None if is_managed is None else "user"
        body = {
            "name": name,
            "description": description,
            "tags": _split(tags),
            "content": _to_text(content),
            "is_managed": False if content is None else is_managed,
            "managed_by": getattr(managed_by, "value", managed_by) or managed,
            "pending": pending,
            "meta_info": meta_info,
        }
        self._data = self._connection.request(
            "POST", f"/api/v1/{self.owner}/{self.project}/runs", body=_without_null(body)
        )
        self.run_uuid = str(self._data["uuid"])
        return self._data

    def create_from_polyaxonfile(
        self,
        polyaxonfile: str,
        name: str | None = None,
        description: str | None = None,
        tags: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Json:
        """Create a run of this file."""
        _refuse_given(
            "create_from_polyaxonfile",
            options,
            "write it into the file, or give an operation with it to create(content=...)",
        )
        with open(polyaxonfile, encoding="utf-8") as file:
            return self.create(name=name, description=description, tags=tags, content=file.read())

    def create_from_hub(
        self, component: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> Json:
        """Create a run of a component of the hub, with these values of its params."""
        return self._create_from({"hubRef": component}, "create_from_hub", params, options)

    def create_from_url(
        self, url: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> Json:
        """Create a run of the component at a URL, with these values of its params."""
        return self._create_from({"urlRef": url}, "create_from_url", params, options)

    def _create_from(
        self, source: Json, method: str, params: Mapping[str, Any] | None, options: Json
    ) -> Json:
        named = {key: options.pop(key, None) for key in ("name", "description", "tags")}
        _refuse_given(method, options, "give an operation with it to create(content=...)")
        given = {
            key: value if isinstance(value, Mapping) else {"value": value}
            for key, value in (params or {}).items()
        }
        return self.create(
            content={"version": 1.1, "kind": "operation", **source, "params": given}, **named
        )

    def restart(
        self,
        content: Content | None = None,
        copy: bool = False,
        recompile: bool = False,
        copy_dirs: Sequence[str] | None = None,
        copy_files: Sequence[str] | None = None,
        name: str | None = None,
        description: str | None = None,
        tags: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Json:
        """Create a new run of the same operation, with `content` merged over it.

        With `recompile`, `content` is the whole operation. With `copy`, or with folders or files of
        this run, the new one has them in its folder. Returns the body of GET run for the new run;
        this client stays that of the old one.
        """
        named = {"dirs": copy_dirs, "files": copy_files}
        copied = {
            key: [f"{self.run_uuid}/{path}" for path in paths]
            for key, paths in named.items()
            if paths
        }
        facts: Json = {"copy_artifacts": copied} if copied else {}
        body = {
            "content": _to_text(content),
            "name": name,
            "description": description,
            "tags": _split(tags),
            "meta_info": {**facts, **({"recompile": True} if recompile else {})} or None,
        }
        path = "/copy" if copy or copied else "/restart"
        return {} if self._is_idle else self._request("POST", path, _without_null(body))

    def resume(self, content: Content | None = None, **options: Any) -> Json:
        """Ask the API to resume a run that is over. Raises ApiError if the API refuses."""
        return (
            {}
            if self._is_idle
            else self._request("POST", "/resume", _without_null({"content": _to_text(content)}))
        )

    def stop(self) -> None:
        self._read("/stop", method="POST")

    def skip(self) -> None:
        self._read("/skip", method="POST")

    def approve(self) -> None:
        self._read("/approve", method="POST")

    def invalidate(self) -> None:
        self._read("/invalidate", method="POST")

    def delete(self) -> None:
        """Delete the run. This ends its program."""
        self._read("", method="DELETE")

    def update(self, data: Mapping[str, Any], async_req: bool = False) -> Json:
        """Replace fields of the run: inputs, outputs, meta_info, tags, name,
        description, readme.
        """
        return {} if self._is_idle else self._request("PATCH", "", dict(data))

    def watch_statuses(
        self, statuses: Sequence[str] | str | None = None
    ) -> Iterator[tuple[str | None, Sequence[Json]]]:
        """Yield the status and its new conditions every few seconds, until it is one of these.

        By default it ends at a final status.
        """
        import time

        awaited = (
            FINAL
            if statuses is None
            else frozenset({statuses} if isinstance(statuses, str) else statuses)
        )
        last: str | None = None
        while not self._is_idle:
            last, conditions = self.get_statuses(last)
            yield last, conditions
            if last in awaited:
                return
            time.sleep(_PAUSE)

    def wait_for_condition(
        self,
        statuses: Sequence[str] | str | None = None,
        print_status: bool = False,
        live_update: Any = None,
    ) -> str:
        """Wait until the run has one of these statuses, by default a final one, and return it."""
        status: str | None = None
        for status, _ in self.watch_statuses(statuses):
            if print_status:
                print(f"Last received status: {status}\n")
        return str(status)


#: Seconds between two requests for the status, as in the published client.
_PAUSE = 5.0


def _refuse_given(method: str, options: Mapping[str, Any], instead: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise NotSupported(
            f"{method}({given[0]}=...) is not offered by the client that opstrand adds to "
            f"images: {instead}"
        )


def _to_text(content: Content | None) -> str | None:
    return json.dumps(content) if isinstance(content, Mapping) else content


def _split(tags: str | Sequence[str] | None) -> list[str] | None:
    if tags is None:
        return None
    return (
        [tag.strip() for tag in tags.split(",") if tag.strip()]
        if isinstance(tags, str)
        else [str(tag) for tag in tags]
    )


def _without_null(body: Json) -> Json:
    return {key: value for key, value in body.items() if value is not None}
