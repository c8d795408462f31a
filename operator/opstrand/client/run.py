"""`RunClient`: read one run and report on it, with the names and rules of the published client.

Owns what the methods mean. `log_*` and `set_*` return at once and never raise (`async_req=False`
waits, and raises a refusal of the API). Methods that read wait for the API, and raise. JSON cannot
hold NaN and infinities, so they are reported as text.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from .batch import Report
from .connection import Connection
from .environment import Credentials, api_url, is_set, parse_instance
from .errors import ClientError, NotManaged, NotSupported, Unreachable
from .guard import guard_reports
from .lineage import Lineage
from .metrics import Metrics
from .missing import NEEDLESS_OF_CLIENT, OF_CLIENT, add_missing, add_needless
from .orders import Orders
from .spool import Spool
from .values import to_json, to_name

Json = dict[str, Any]


@add_missing(OF_CLIENT)
@add_needless(NEEDLESS_OF_CLIENT)
@guard_reports
class RunClient(Orders, Lineage, Metrics):
    """A run, by default the one that this process belongs to.

    `project` and `run_uuid` name another run of the same API.
    """

    def __init__(
        self,
        owner: str | None = None,
        project: str | None = None,
        run_uuid: str | None = None,
        client: Connection | None = None,
        is_offline: bool | None = None,
        no_op: bool | None = None,
        **ignored: Any,
    ) -> None:
        self._no_op = is_set("POLYAXON_NO_OP") if no_op is None else no_op
        self._is_offline = is_set("POLYAXON_IS_OFFLINE") if is_offline is None else is_offline
        Metrics.__init__(self)
        self._data: Json = {}
        if self._no_op or (self._is_offline and not is_set("POLYAXON_IS_MANAGED")):
            self.owner, self.project, self.run_uuid = (
                owner or "default",
                project or "",
                run_uuid or "",
            )
            return
        self.owner, self.project, self.run_uuid = _find_address(owner, project, run_uuid)
        self._connection = client or Connection(api_url(), Credentials())
        self._spool = Spool(self._send)

    @property
    def run_data(self) -> Json:
        """The body of GET run as last read, with the values that this client logged since."""
        return self._data

    @property
    def status(self) -> str | None:
        return self._data.get("status")

    @property
    def settings(self) -> Json:
        return dict(self._data.get("settings") or {})

    @property
    def client(self) -> Any:
        """The connection that sends the requests of this run."""
        return self._connection

    @property
    def artifacts_store(self) -> str | None:
        """The name of the store that keeps the run's files, or None."""
        return os.environ.get("POLYAXON_ARTIFACTS_STORE_NAME") or None

    @property
    def store(self) -> Any:
        raise NotSupported(
            "store is not offered by the client that opstrand adds to images: "
            f"{OF_CLIENT['get_artifact']}"
        )

    @property
    def team(self) -> None:
        """None: there are no teams here."""
        return

    def set_owner(self, owner: str) -> None:
        self.owner = owner

    def set_project(self, project: str) -> None:
        self.project = project

    def set_run_uuid(self, run_uuid: str) -> None:
        """Make this the client of that run."""
        self.run_uuid, self._data = run_uuid.replace("-", ""), {}

    def reset_client(self, **ignored: Any) -> None:
        """Read the credentials again; the connection reopens itself."""
        if not self._is_idle:
            self._connection.forget_credentials()

    def get_namespace(self) -> str:
        return self.namespace

    def start(self) -> None:
        self.log_status("running", message="Operation is running")

    def end(self) -> None:
        """Wait until everything logged is stored."""
        self.flush()

    @property
    def namespace(self) -> str:
        return str((self._data.get("settings") or {}).get("namespace") or self.project)

    @property
    def _is_idle(self) -> bool:
        return self._no_op or self._is_offline

    def refresh_data(self, **ignored: Any) -> None:
        """Read the run. Raises ClientError."""
        if not self._is_idle:
            self._data = self._request("GET")

    def get_inputs(self) -> Any:
        """Return every resolved input by name.

        Returns None with POLYAXON_NO_OP and `{}` offline, as the published client does.
        """
        return self._get("inputs")

    def get_outputs(self) -> Any:
        return self._get("outputs")

    def _get(self, field: str) -> Any:
        if self._no_op:
            return None
        if not self._data.get(field):
            self.refresh_data()
        return self._data.get(field) or {}

    def log_inputs(self, reset: bool = False, async_req: bool = True, **inputs: Any) -> None:
        self._log_values("inputs", inputs, reset, async_req)

    def log_outputs(self, reset: bool = False, async_req: bool = True, **outputs: Any) -> None:
        """Add to the run's outputs, or with `reset` replace them all.

        All outputs together hold at most 256 KiB of JSON.
        """
        self._log_values("outputs", outputs, reset, async_req)

    def log_meta(self, reset: bool = False, async_req: bool = True, **meta: Any) -> None:
        self._log_values("meta_info", meta, reset, async_req)

    def log_tags(
        self, tags: str | Sequence[str], reset: bool = False, async_req: bool = True
    ) -> None:
        """Add tags: a list, or one text with commas."""
        items = (
            [tag.strip() for tag in tags.split(",")]
            if isinstance(tags, str)
            else [str(tag) for tag in tags]
        )
        self._log(Report().tags([tag for tag in items if tag], reset=reset), async_req)

    def log_progress(self, value: float) -> None:
        """Report how much is done, from 0 to 1."""
        if not 0 <= value <= 1:
            raise ValueError(f"log_progress accepts a number from 0 to 1, found {value!r}")
        self.log_meta(progress=value)

    def set_description(self, description: str, async_req: bool = True) -> None:
        self._log(Report().text("description", description), async_req)

    def set_name(self, name: str, async_req: bool = True) -> None:
        self._log(Report().text("name", name), async_req)

    def set_readme(self, readme: str, async_req: bool = True) -> None:
        self._log(Report().text("readme", readme), async_req)

    def get_statuses(self, last_status: str | None = None) -> tuple[str | None, Sequence[Json]]:
        """Return the current status and its conditions, oldest first.

        With `last_status` only the conditions after it.
        """
        answer = self._read("/statuses")
        conditions = tuple(answer.get("status_conditions") or ())
        known = [index for index, item in enumerate(conditions) if item.get("type") == last_status]
        return answer.get("status"), conditions[known[-1] + 1 :] if known else conditions

    def get_logs(self, last_file: str | None = None, last_time: str | None = None) -> Json:
        """Return one part of the log: `logs`, and `last_file` to pass to the next call.

        `last_file` is null once there is no more.
        """
        path = f"/streams/v1/{self.namespace}/{self.owner}/{self.project}/runs/{self.run_uuid}/logs"
        query = {
            key: value
            for key, value in (("last_file", last_file), ("last_time", last_time))
            if value
        }
        answer: Json = {} if self._is_idle else self._connection.request("GET", path, query=query)
        return answer

    def watch_logs(self) -> Iterator[str]:
        """Yield every line of the run's log until the run is over."""
        last = None
        while True:
            part = self.get_logs(last_file=last)
            yield from (str(line.get("value")) for line in part.get("logs") or ())
            last = part.get("last_file")
            if not last:
                return

    def log_status(
        self, status: str, reason: str | None = None, message: str | None = None, **ignored: Any
    ) -> None:
        """Record a status for information only: the operator decides the phase of a managed run."""
        now = datetime.now(timezone.utc).isoformat()
        facts = {
            "type": str(getattr(status, "value", status)),
            "status": True,
            "reason": reason,
            "message": message,
        }
        condition = {**facts, "last_update_time": now, "last_transition_time": now}
        if not self._is_idle:
            with contextlib.suppress(Unreachable):
                self._request("POST", "/statuses", {"condition": condition}, patience=5.0)

    def log_succeeded(self, reason: str | None = None, message: str | None = None) -> None:
        self.log_status("succeeded", reason, message)

    def log_failed(self, reason: str | None = None, message: str | None = None) -> None:
        self.log_status("failed", reason, message)

    def log_stopped(self, reason: str | None = None, message: str | None = None) -> None:
        self.log_status("stopped", reason, message)

    def list(
        self, query: str | None = None, sort: str | None = None, limit: int = 20, offset: int = 0
    ) -> Json:
        """Return one page of the project's runs: `count` of all, and `results`."""
        asked = {"query": query or "", "sort": sort or "", "limit": limit, "offset": offset}
        answer: Json = (
            {}
            if self._is_idle
            else self._connection.request("GET", self._project_path + "/runs", query=asked)
        )
        return answer

    def list_children(
        self, query: str | None = None, sort: str | None = None, limit: int = 20, offset: int = 0
    ) -> Json:
        """Return one page of the runs that this pipeline created."""
        asked = f"pipeline:{self.run_uuid}"
        return self.list(f"{asked},{query}" if query else asked, sort, limit, offset)

    def flush(self, seconds: float = 60.0) -> bool:
        """Wait until everything logged is stored, and return whether it is."""
        return self._is_idle or self._spool.flush(seconds)

    def _log_values(self, field: str, values: Json, reset: bool, async_req: bool) -> None:
        plain = {to_name(name): to_json(value) for name, value in values.items()}
        if not self._is_idle:
            self._data[field] = {**({} if reset else self._data.get(field) or {}), **plain}
        self._log(Report().values(field, plain, reset=reset), async_req)

    def _log(self, report: Report, async_req: bool) -> None:
        if self._is_idle or not report:
            return
        if async_req:
            self._spool.add(report)
            return
        # Earlier reports must be stored before this one.
        if not self._spool.flush(self._connection.patience):
            raise ClientError("earlier reports could not be stored")
        self._send(report, self._connection.patience)

    def _send(self, report: Report, seconds: float) -> None:
        for request in report.requests():
            self._request(request.method, request.path, request.body, patience=seconds)

    def _read(self, path: str, query: Json | None = None, method: str = "GET") -> Json:
        return {} if self._is_idle else self._request(method, path, query=query)

    @property
    def _project_path(self) -> str:
        """The quoted path: a name of the environment or the caller must stay one segment."""
        return f"/api/v1/{quote(str(self.owner), safe='')}/{quote(str(self.project), safe='')}"

    def _request(self, method: str, path: str = "", body: Any = None, **options: Any) -> Json:
        run = f"{self._project_path}/runs/{quote(str(self.run_uuid), safe='')}"
        answer: Json = self._connection.request(method, run + path, body=body, **options)
        return answer


def _find_address(
    owner: str | None, project: str | None, run_uuid: str | None
) -> tuple[str, str, str]:
    """Return owner, project and uuid, where needed from the run that this process belongs to."""
    # A caller that names only a project is about to create a run there, or to list its runs.
    if not (project and run_uuid) and (is_set("POLYAXON_IS_MANAGED") or not project):
        own = parse_instance()
        owner, project, run_uuid = (
            owner or own.owner,
            project or own.project,
            run_uuid or own.uuid,
        )
    return owner or "default", project, run_uuid or ""


__all__ = ["NotManaged", "RunClient", "to_json", "to_name"]
