"""One local run from its operation to its end: an API on the loopback, a queue, a kubelet, and the runs that were before.

Owns what is started and that nothing of it is left. Must not decide anything about a run: `reconcile` does, as in a cluster.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, BinaryIO

from aiohttp import web

from opstrand import decision
from opstrand.core import names
from opstrand.core.lifecycle.attempt import Attempt
from opstrand.core.names import Key, key_of
from opstrand.core.phase import parse_phase
from opstrand.core.pods.culling import Activity
from opstrand.core.recorded import read_status
from opstrand.handlers.queue import Queue
from opstrand.kube.activity import ask_activity
from opstrand.kube.api import OPERATIONS, PODS, AlreadyExists, Manifest, Resource
from opstrand.kube.cache import Cache
from opstrand.kube.gather import World
from opstrand.kube.stopwatch import Stopwatch
from opstrand.local.kube import MemoryKube
from opstrand.local.kubelet import Kubelet
from opstrand.local.limits import ignored_parts, list_ports, taken_variables
from opstrand.local.records import Records
from opstrand.reconcile import Outcome, reconcile
from opstrand.settings import Settings
from opstrand.tracking.app import create_app
from opstrand.tracking.auth import StaticToken
from opstrand.workers.pool import open_pool

_HOST = re.compile(r"http://[^:/]+")


class LocalSession:
    """Everything that one `run --local` starts; an async context manager that leaves nothing running.

    `on_line` gets every line of a program as its bytes, `on_change` the run after each change, `on_note` words for a person.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        on_line: Callable[[bytes], None],
        on_note: Callable[[str], None],
        on_change: Callable[[Manifest], None] = lambda body: None,
        records: Records | None = None,
    ) -> None:
        self._settings = settings
        self._records = records or Records()
        self._say_line, self._note, self._say_change = on_line, on_note, on_change
        self._cache = Cache()
        self.kube = MemoryKube(self._observe)
        self._changed = asyncio.Event()
        self._logs: dict[Key, BinaryIO] = {}
        self._key: Key | None = None

    async def __aenter__(self) -> LocalSession:
        token = secrets.token_urlsafe(24)
        app = create_app(self.kube.runs, StaticToken(token), owner=self._settings.owner)
        # A client's idle connection must not hold up the end.
        self._app = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._app.setup()
        await web.TCPSite(self._app, "127.0.0.1", 0).start()
        settings = replace(self._settings, api_url=f"http://127.0.0.1:{self._app.addresses[0][1]}")
        self._pool = open_pool(settings, modules=(decision.MODULE,))
        world = World(self.kube, self._cache, settings, self._pool, self._keep_plan, _ask_here)
        world.stopwatch = Stopwatch(time.monotonic)

        async def once(key: Key) -> Outcome:
            return await reconcile(key, world=world, clock=lambda: datetime.now(UTC))

        async def once_parked(key: Key) -> Outcome:
            return await reconcile(key, world=world, clock=lambda: datetime.now(UTC), is_parked=True)

        self._queue = Queue(once, concurrency=4, reconcile_parked=once_parked)
        self._kubelet = Kubelet(self.kube, records=self._records, token=token, on_line=self._on_line)
        for body in self._records.load():
            await self.kube.runs.put(body)
        self._queue.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kubelet.stop()
        await self._queue.stop()
        await self._app.cleanup()
        self._pool.close()
        for file in self._logs.values():
            file.close()
        self._records.close()

    def _observe(self, resource: Resource, kind: str, body: Manifest) -> None:
        if resource not in (OPERATIONS, PODS):
            return
        keys = self._cache.drop(resource, body) if kind == "DELETED" else self._cache.put(resource, body)
        self._queue.add_all(keys)
        if resource is PODS:
            if kind == "ADDED" and (ports := list_ports(body)):
                self._note(f"its ports are this machine's: {', '.join(f'http://127.0.0.1:{port}' for port in ports)}")
            if kind == "ADDED" and (left_out := ignored_parts(body)):
                self._note(f"--local runs a process: {', '.join(left_out)} left out")
            if kind == "ADDED" and (taken := taken_variables(body)):
                self._note(f"from the environment of --local, not from a cluster: {', '.join(taken)}")
            self._kubelet.observe(kind, body)
        elif key_of(body) == self._key:
            self._say_change(body)
        self._changed.set()

    def _on_line(self, pod: Manifest, line: bytes) -> None:
        key = (pod["metadata"]["namespace"], names.owner_name(pod) or "")
        if key not in self._logs:
            self._logs[key] = self._records.log_of(*key).open("ab")
        self._logs[key].write(line)
        self._logs[key].flush()
        self._say_line(line)

    def _keep_plan(self, key: Key, attempt: Attempt) -> None:
        self._records.plan_of(*key).write_bytes(attempt.plan.as_json())

    async def create(self, operation: Mapping[str, Any], *, project: str, uid: str | None = None) -> Manifest:
        """Make the run of this object. Raises AlreadyExists where an earlier local run has the name."""
        metadata = {**operation["metadata"], "uid": uid or str(uuid.uuid4())}
        metadata.setdefault("name", f"{metadata.get('generateName', 'run-')}{secrets.token_hex(3)[:5]}")
        self._key = (project, metadata["name"])
        self.kube.runs.known_projects.add(project)
        if self._key not in self.kube.runs.bodies and not self._records.claim(*self._key):
            raise AlreadyExists(f"another process has the run {metadata['name']}", status=409)
        return await self.kube.create(OPERATIONS, project, {**operation, "metadata": metadata})

    async def wait(self, key: Key) -> Manifest:
        """The run as it ended, with everything that it left kept."""
        while True:
            self._changed.clear()
            body = self.kube.runs.bodies[key]
            if parse_phase(read_status(body)).is_final:
                final = dict(body)
                self._records.save(final)
                return final
            await self._changed.wait()

    async def stop(self, key: Key) -> None:
        """Ask the run to stop, as `opstrand stop` does in a cluster."""
        with suppress(KeyError):
            body = self.kube.runs.bodies[key]
            spec = {**body["spec"], "control": {**(body["spec"].get("control") or {}), "stop": True}}
            await self.kube.runs.put({**body, "spec": spec})

    def kill(self) -> None:
        """End every program at once, without its grace."""
        self._kubelet.kill()


async def _ask_here(url: str) -> Activity:
    """A service's page where its program is."""
    return await ask_activity(_HOST.sub("http://127.0.0.1", url, count=1))
