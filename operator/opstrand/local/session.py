"""One local run from its operation to its end: an API on the loopback, a queue, a kubelet, and the runs that were before.

Owns the folder of local runs. Must not decide anything about a run: `reconcile` does, as in a cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.handlers.queue import Queue
from opstrand.kube.api import OPERATIONS, PODS, Manifest, Resource
from opstrand.kube.cache import Cache, Key
from opstrand.kube.gather import World
from opstrand.local.kube import MemoryKube
from opstrand.local.kubelet import Kubelet
from opstrand.local.limits import ignored_parts
from opstrand.reconcile import Outcome, reconcile
from opstrand.sandbox import Sandbox
from opstrand.settings import Settings
from opstrand.tracking.app import create_app
from opstrand.tracking.auth import StaticToken

#: Finished local runs that are kept, so that refs can name them; the oldest go first.
KEPT_RUNS = 200


def runs_folder() -> Path:
    """Where local runs live: $OPSTRAND_LOCAL, else the user's data folder."""
    given = os.environ.get("OPSTRAND_LOCAL")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(given) if given else Path(base) / "opstrand" / "runs"


class LocalSession:
    """Everything that one `run --local` starts; an async context manager that leaves nothing running."""

    def __init__(
        self, *, settings: Settings, on_line: Callable[[str], None], on_note: Callable[[str], None], folder: Path | None = None
    ) -> None:
        self._settings = settings
        self._folder = folder or runs_folder()
        self._say_line = on_line
        self._note = on_note
        self._cache = Cache()
        self.kube = MemoryKube(self._observe)
        self._changed = asyncio.Event()
        self._logs: dict[str, asyncio.Queue[tuple[str, str] | None]] = {}

    async def __aenter__(self) -> LocalSession:
        token = secrets.token_urlsafe(24)
        self._app = web.AppRunner(create_app(self.kube.runs, StaticToken(token), owner=self._settings.owner), access_log=None)
        await self._app.setup()
        site = web.TCPSite(self._app, "127.0.0.1", 0)
        await site.start()
        port = self._app.addresses[0][1]
        settings = replace(self._settings, api_url=f"http://127.0.0.1:{port}")
        self._sandbox = Sandbox()
        world = World(self.kube, self._cache, settings, self._sandbox.evaluate)

        async def once(key: Key) -> Outcome:
            return await reconcile(key, world=world, clock=lambda: datetime.now(UTC))

        self._queue = Queue(once, concurrency=4)
        self._kubelet = Kubelet(self.kube, root=self._folder / "files", token=token, on_line=self._on_line)
        await self._load_earlier()
        self._queue.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kubelet.stop()
        await self._queue.stop()
        await self._app.cleanup()
        self._sandbox.close()

    def _observe(self, resource: Resource, kind: str, body: Manifest) -> None:
        keys = self._cache.drop(resource, body) if kind == "DELETED" else self._cache.put(resource, body)
        self._queue.add_all(keys)
        if resource is PODS:
            if kind == "ADDED" and (left_out := ignored_parts(body)):
                self._note(f"--local runs a process: {', '.join(left_out)} left out")
            self._kubelet.observe(kind, body)
        self._changed.set()

    def _on_line(self, pod: Manifest, line: str) -> None:
        self._say_line(line)

    async def create(
        self, spec: Mapping[str, Any], *, project: str, name: str | None, prefix: str | None, uid: str | None = None
    ) -> Manifest:
        """Make the run. Raises AlreadyExists where an earlier local run has the name."""
        metadata: dict[str, Any] = {"name": name} if name else {"generateName": names.generate_name(prefix)}
        metadata["uid"] = uid or str(uuid.uuid4())
        body = {"apiVersion": names.API_VERSION, "kind": "Operation", "metadata": metadata, "spec": dict(spec)}
        self.kube.runs.known_projects.add(project)
        return await self.kube.create(OPERATIONS, project, body)

    async def wait(self, key: Key) -> Manifest:
        """The run as it ended."""
        while True:
            self._changed.clear()
            body = self.kube.runs.bodies.get(key)
            if body is None or parse_phase(body.get("status")).is_final:
                await asyncio.sleep(0)
                final = dict(body or {})
                self._save(final)
                return final
            await self._changed.wait()

    async def stop(self, key: Key) -> None:
        """Ask the run to stop, as `opstrand stop` does in a cluster."""
        with suppress(KeyError):
            body = self.kube.runs.bodies[key]
            spec = {**body["spec"], "control": {**(body["spec"].get("control") or {}), "stop": True}}
            await self.kube.runs.put({**body, "spec": spec})

    async def _load_earlier(self) -> None:
        """The runs that were before, so that refs can name them."""
        for path in sorted(self._folder.glob("*/*.json")):
            try:
                body = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                self._note(f"{path.name}: unreadable, left out")
                continue
            await self.kube.runs.put(body)

    def _save(self, body: Manifest) -> None:
        if not body:
            return
        metadata = body["metadata"]
        folder = self._folder / metadata["namespace"]
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{metadata['name']}.part"
        part.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        part.rename(folder / f"{metadata['name']}.json")
        for path in sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime)[:-KEPT_RUNS]:
            path.unlink(missing_ok=True)
