"""The API as a process with a store, and runs that it stores."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import free_port
from tests.integration.conftest import CHECKOUT, in_phase, operation, pod_of, wait_for
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess

PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
STARTED = "2026-01-02T03:04:05Z"
#: Seconds until what was deleted is stored; the machine may be slow.
PATIENCE = 60.0


@dataclass
class Place:
    """The API as a process with a store, and a person of a namespace."""

    process: OperatorProcess
    url: str
    store: Path
    namespace: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self.url}/api/v1/default/{self.namespace}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json() if answer.status != 204 else None

    async def until(self, path: str, holds: Callable[[int, Any], bool]) -> Any:
        """Return the answer as soon as it is the expected one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status, answer = await self.ask("GET", path)
            if holds(status, answer):
                return answer
            assert time.monotonic() < deadline, (status, answer, self.process.read_log()[-3000:])
            await asyncio.sleep(0.1)

    async def polyaxon(self, *arguments: str) -> str:
        return await self.published("polyaxon", *arguments, "-p", self.namespace)

    async def published(self, program: str, *arguments: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(PUBLISHED / "bin" / program), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "HOME": str(self.store.parent),
                "PATH": os.defpath,
                "POLYAXON_HOST": self.url,
                "POLYAXON_AUTH_TOKEN": self.token,
                "POLYAXON_NO_COLOR": "1",
                "PYTHONUTF8": "1",
                "COLUMNS": "300",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def restart(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.start)

    def start(self) -> None:
        """Start the process, and wait until a Service would send it requests."""
        self.process.start()
        self.process.wait_until_started(60)
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            assert time.monotonic() < deadline, self.process.read_log()[-3000:]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        self.process.stop(20)
        assert "Traceback" not in self.process.read_log(), self.process.read_log()


def make_place(account: Path, store: Path, url: str, namespace: str, token: str) -> Place:
    """Return an API that is not started; its log is beside the folder of the store."""
    port = free_port("127.0.0.1")
    log = store.parent.parent / f"api-{port}.log"
    settings = {"api_listen_port": port, "store_url": url}
    process = OperatorProcess(account, log, module="opstrand.api", **settings)
    return Place(process, f"http://127.0.0.1:{port}", store, namespace, token)


async def make_run(
    kube: KubeApi,
    namespace: str,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> Manifest:
    """Return a run that succeeded, with an input, outputs and a tag."""
    component = {
        "inputs": [{"name": "message", "type": "str", "value": "hello"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
    whole = {"component": component, "tags": ["old"], **spec}
    await kube.create(OPERATIONS, namespace, operation(name, whole, labels=labels or {}))
    body = await wait_for(kube, namespace, name, in_phase("Starting", "Running"))
    pod = await pod_of(kube, namespace, body)
    await mark(kube, pod, running(STARTED))
    body = await wait_for(kube, namespace, name, in_phase("Running"))
    outputs = {"op": "add", "path": "/status/outputs", "value": {"loss": 0.25, "steps": 7}}
    await kube.json_patch(OPERATIONS, namespace, name, [outputs], subresource="status")
    await mark(kube, pod, ended(0, STARTED))
    return await wait_for(kube, namespace, name, in_phase("Succeeded"))


async def wait_until_stored(
    place: Place, body: Manifest, status: str = "succeeded", *, is_deleted: bool = False
) -> None:
    """Wait until the store has the run in this status ("" is any), and as deleted if asked for."""
    deadline, uid = time.monotonic() + PATIENCE, body["metadata"]["uid"]
    while True:
        found = (await asyncio.to_thread(read_rows, place.store)).get(uid)
        if found and status in ("", found[0]) and (found[1] or not is_deleted):
            return
        assert time.monotonic() < deadline, place.process.read_log()
        await asyncio.sleep(0.1)


def read_rows(path: Path) -> dict[str, tuple[str, bool]]:
    """Return the status of each run by its uid, and whether it is deleted."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT uid, status, deleted_at FROM runs")
        return {uid: (status, deleted_at is not None) for uid, status, deleted_at in rows}
