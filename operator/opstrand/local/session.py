"""One process of `run --local`: a loopback API, a queue and a kubelet, over the shared runs.

Owns what it starts, and that none of it stays. It executes the run that it was called for, and
every run that a program of its runs creates; it only reads the runs of other processes. Must not
decide anything about a run: `reconcile` does, as in a cluster.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from aiohttp import web

from opstrand.api import content_job, contents, validation
from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.controller import decision_job
from opstrand.controller.clock_watch import watch_clock
from opstrand.controller.gather import World
from opstrand.controller.probe import ask_activity
from opstrand.controller.queue import Queue
from opstrand.controller.reconcile import DONE, Outcome, reconcile
from opstrand.controller.stopwatch import Stopwatch
from opstrand.core import names
from opstrand.core.identity import CONTEXT_ROOT
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.core.planning.connections import Catalog
from opstrand.core.planning.culling import Activity
from opstrand.core.planning.plan import Plan
from opstrand.core.recorded import read_status
from opstrand.kube.resources import COMPONENTS, OPERATIONS, PODS, Resource
from opstrand.local.cache import NamedCache
from opstrand.local.claims import Claims
from opstrand.local.kube import MemoryKube
from opstrand.local.kubelet import Kubelet
from opstrand.local.limits import ignored_parts, list_ports, taken_variables
from opstrand.local.log_files import LogWriter
from opstrand.local.patience import Patience, explain_wait
from opstrand.local.records import Records
from opstrand.local.runs import SharedRuns
from opstrand.local.store import make_catalog
from opstrand.runs.protocols import Control, RunNotFound
from opstrand.settings import Settings
from opstrand.types import Body, Key, Manifest, key_of
from opstrand.workers.pool import open_pool

_HOST = re.compile(r"http://[^:/]+")


def _show_plan(plan: Plan) -> bytes:
    """Return the plan as `render` shows it: with the context root of a container."""
    root = json.dumps(plan.context_root, ensure_ascii=False)[1:-1]
    return plan.as_json().replace(root.encode(errors="surrogateescape"), CONTEXT_ROOT.encode())


class LocalSession:
    """Everything that one `run --local` starts, as an async context manager that ends all of it.

    `on_line` receives every line of the run's program as bytes, and of the runs that it makes as a
    pipeline, each after the operations that lead to it; `on_change` the run after each
    change, `on_note` a message for the user. `components` are the specs that a `hubRef` finds, by
    the names that their objects have in a cluster.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        on_line: Callable[[tuple[str, ...], bytes], None],
        on_note: Callable[[str], None],
        on_change: Callable[[Manifest], None] = lambda body: None,
        records: Records | None = None,
        catalog: Catalog | None = None,
        components: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._catalog, self._components = catalog, components
        self._records = records or Records()
        self._settings = replace(settings, local_runs=str(self._records.folder))
        self._claims = Claims(self._records)
        self._pass_line, self._note, self._on_change = on_line, on_note, on_change
        self._cache = NamedCache()
        self.runs = SharedRuns(self._records, self._claims, self._observe)
        self.kube = MemoryKube(self._observe, self.runs)
        self._patience = Patience(settings, datetime.now(UTC))
        self._changed = asyncio.Event()
        self._logs: dict[str, LogWriter] = {}
        self._key: Key | None = None
        self._noted: set[str] = set()
        self._deletions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> LocalSession:
        token = secrets.token_urlsafe(24)
        self._pool = open_pool(
            self._settings, modules=(decision_job.MODULE, validation.MODULE, content_job.MODULE)
        )
        app = create_app(
            self.runs,
            StaticToken(token),
            owner=self._settings.owner,
            validation=validation.Validation(self._pool),
            contents=contents.Contents(self._pool),
        )
        # An idle connection of a client must not delay the end.
        self._app = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._app.setup()
        await web.TCPSite(self._app, "127.0.0.1", 0).start()
        self._settings = replace(
            self._settings, api_url=f"http://127.0.0.1:{self._app.addresses[0][1]}"
        )
        self._world = World(
            self.kube, self._cache, self._settings, self._pool, self._keep_plan, _ask_here
        )
        self._world.stopwatch = Stopwatch(time.monotonic)
        self._world.has_files = self._has_files
        # Here a run is of programs in the working directory, which its file does not hold: an
        # edited program would not run.
        self._world.reuses_results = False

        async def reconcile_parked(key: Key) -> Outcome:
            return await self._reconcile(key, is_parked=True)

        self._queue = Queue(self._reconcile, concurrency=4, reconcile_parked=reconcile_parked)
        self._kubelet = Kubelet(
            self.kube,
            records=self._records,
            token=token,
            on_line=self._on_line,
            needs_slot=self._needs_slot,
        )
        await self.runs.refresh()
        self._queue.start()
        self._watching = asyncio.create_task(self.runs.keep_watching(), name="shared runs")
        self._clock = asyncio.create_task(watch_clock(self._queue.ring_all), name="clock")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kubelet.stop()
        await self._queue.stop()
        self._watching.cancel()
        self._clock.cancel()
        await asyncio.gather(self._watching, self._clock, *self._deletions, return_exceptions=True)
        await self._app.cleanup()
        self._pool.close()
        for log in self._logs.values():
            log.close()
        self._claims.close()

    async def _reconcile(self, key: Key, *, is_parked: bool = False) -> Outcome:
        body = self.runs.bodies.get(key)
        if body is None or key not in self._claims:
            return DONE
        now = datetime.now(UTC)
        seconds = self._patience.seconds_of(body, self.runs.bodies.values(), now)
        world = replace(
            self._world,
            settings=replace(self._settings, upstream_patience=seconds),
            read_catalog=lambda: make_catalog(self._records, key[0], self._catalog),
        )
        return await reconcile(
            key, world=world, clock=lambda: datetime.now(UTC), is_parked=is_parked
        )

    def _observe(self, resource: Resource, kind: str, body: Manifest) -> None:
        if resource not in (OPERATIONS, PODS):
            return
        keys = (
            self._cache.drop(resource, body)
            if kind == "DELETED"
            else self._cache.put(resource, body)
        )
        self._queue.add_all(key for key in keys if key in self._claims)
        if resource is PODS:
            self._observe_pod(kind, body)
        else:
            self._observe_run(kind, body)
        self._changed.set()

    def _observe_pod(self, kind: str, pod: Manifest) -> None:
        if kind == "ADDED" and (ports := list_ports(pod)):
            self._note(
                "its ports are this machine's: "
                f"{', '.join(f'http://127.0.0.1:{port}' for port in ports)}"
            )
        if kind == "ADDED" and (left_out := ignored_parts(pod)):
            self._note_once(f"--local runs a process: {', '.join(left_out)} left out")
        if kind == "ADDED" and (taken := taken_variables(pod)):
            self._note_once(
                f"from the environment of --local, not from a cluster: {', '.join(taken)}"
            )
        self._kubelet.observe(kind, pod)

    def _observe_run(self, kind: str, body: Manifest) -> None:
        key = key_of(body)
        if kind == "DELETED" or parse_phase(read_status(body)).is_final:
            # A run that could have created a missing run is gone, so check the waiting runs again.
            self._queue.add_all(
                one for one in self._list_owned() if self._phase(one) is Phase.WAITING
            )
        if key not in self._claims:
            return
        if kind == "DELETED":
            task = asyncio.create_task(self._end_pods(body))
            self._deletions.add(task)
            task.add_done_callback(self._deletions.discard)
            return
        is_made = bool(names.maker_uid(body))
        if self._key is not None and key != self._key and not body.get("status") and not is_made:
            self._note_once(f"the program created the run {key[1]}")
        if message := explain_wait(body, self._settings, self._cache.find_named):
            self._note_once(message)
        if key == self._key:
            self._on_change(body)

    async def _end_pods(self, run: Manifest) -> None:
        """End the Pods of a deleted run, as a cluster's garbage collector does."""
        for pod in (await self.kube.list(PODS, run["metadata"]["namespace"]))[0]:
            if names.owner_name(pod) == run["metadata"]["name"]:
                await self.kube.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _note_once(self, message: str) -> None:
        if message not in self._noted:
            self._noted.add(message)
            self._note(message)

    def _on_line(self, pod: Manifest, line: bytes) -> None:
        key = (pod["metadata"]["namespace"], names.owner_name(pod) or "")
        name = pod["metadata"]["name"]
        if name not in self._logs:
            self._logs[name] = LogWriter(self._records.log_of(key, _attempt_of(pod)))
        self._logs[name].write(line)
        path = self._find_path(key)
        if path is not None:
            self._pass_line(path, line)

    def _find_path(self, key: Key) -> tuple[str, ...] | None:
        """Return the operations that lead from the run of this session to a run that it made.

        It is empty for that run itself, None for any other run.
        """
        path: tuple[str, ...] = ()
        while key != self._key:
            body = self.runs.bodies.get(key)
            maker = body and (names.find_controller(body) or names.find_hooked(body))
            if not body or not maker:
                return None
            path = (names.read_op(body), *path)
            key = (key[0], str(maker.get("name")))
        return path

    def _needs_slot(self, pod: Manifest) -> bool:
        """Return whether a Pod waits for a core: a job that a pipeline made.

        Services wait for none, since they end only when the others have.
        """
        body = self.runs.bodies.get((pod["metadata"]["namespace"], names.owner_name(pod) or ""))
        is_made = body is not None and names.find_controller(body) is not None
        return is_made and not names.is_replica(pod)

    def _has_files(self, body: Body) -> bool:
        """Return whether the folder of a run's files is there; another store is not looked into."""
        if self._catalog is not None and self._catalog.store is not None:
            return True
        metadata = body["metadata"]
        folder = self._records.store_of(metadata["namespace"])
        return (folder / names.run_uuid(str(metadata["uid"]))).is_dir()

    def _keep_plan(self, key: Key, plan: Plan) -> None:
        self._records.save_plan(key, _show_plan(plan))

    async def create(
        self, operation: Mapping[str, Any], *, project: str, uid: str | None = None
    ) -> Manifest:
        """Create the run that this session is for.

        Raises AlreadyExists if a local run has the name.
        """
        metadata = {**operation["metadata"], "uid": uid or str(uuid.uuid4())}
        metadata.setdefault(
            "name", f"{metadata.get('generateName', 'run-')}{secrets.token_hex(3)[:5]}"
        )
        self._key = (project, metadata["name"])
        self.runs.known_projects.add(project)
        for name, spec in self._components.items():
            self._cache.put(COMPONENTS, make_component(project, name, spec))
        return await self.kube.create(OPERATIONS, project, {**operation, "metadata": metadata})

    async def wait(self, key: Key) -> Manifest:
        """Return the run once it has ended. Raises RunNotFound if it was deleted."""
        while True:
            self._changed.clear()
            body = self.runs.bodies.get(key)
            if body is None:
                raise RunNotFound("/".join(key))
            if parse_phase(read_status(body)).is_final:
                await asyncio.to_thread(self._records.prune, key[0])
                return dict(body)
            await self._changed.wait()

    def list_open(self) -> list[Key]:
        """List the runs of this session that have not ended, or whose hooks have not begun."""
        return [
            key
            for key in self._list_owned()
            if not self._phase(key).is_final or self._has_open_hooks(key)
        ]

    def _has_open_hooks(self, key: Key) -> bool:
        body = self.runs.bodies.get(key)
        return body is not None and has_open_hooks(read_status(body))

    async def wait_for_all(self) -> None:
        """Wait until every run of this session has ended, also those created in the meantime."""
        while self.list_open():
            self._changed.clear()
            if self.list_open():
                await self._changed.wait()

    def _list_owned(self) -> list[Key]:
        return [key for key in list(self.runs.bodies) if key in self._claims]

    def _phase(self, key: Key) -> Phase:
        body = self.runs.bodies.get(key)
        return parse_phase(read_status(body) if body else None)

    async def stop_all(self) -> None:
        """Ask every run of this session to stop, as `opstrand stop` does in a cluster."""
        for key in self.list_open():
            with suppress(RunNotFound):
                if self._phase(key).is_final:
                    continue
                body = self.runs.bodies[key]
                await self.runs.control(
                    key[0], names.run_uuid(body["metadata"]["uid"]), Control({"stop": True})
                )

    def kill(self) -> None:
        """Kill every program at once, without its grace period."""
        self._kubelet.kill()


def make_component(project: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    """Return the object by which a component of a file is in the hub of this session."""
    metadata = {"name": name, "namespace": project, "uid": f"component-{name}"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Component",
        "metadata": {**metadata, "resourceVersion": "1"},
        "spec": dict(spec),
    }


def _attempt_of(pod: Manifest) -> int:
    """Return the number at the end of a Pod's name; 0 for a service, which has one log."""
    number = str(pod["metadata"]["name"]).rpartition("-")[2]
    return 0 if names.is_replica(pod) or not number.isdecimal() else int(number)


async def _ask_here(url: str) -> Activity:
    """Ask a service's activity page where its program runs: on this machine."""
    return await ask_activity(_HOST.sub("http://127.0.0.1", url, count=1))
