"""Marks Pods as a kubelet would, without one: Running, then ended as the Pod's annotations say.

Only for the integration tier and the bench. Annotations: `test/run-for` (seconds),
`test/exit-code`, `test/hold` (never ends).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from opstrand.core import names
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Expired, NotFound
from opstrand.kube.resources import PODS
from opstrand.types import Manifest


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def running(started: str) -> dict[str, Any]:
    return {
        "phase": "Running",
        "startTime": started,
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "main",
                "image": "x",
                "imageID": "x",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": started}},
            }
        ],
    }


def ended(code: int, started: str, message: str = "", **fields: Any) -> dict[str, Any]:
    end = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": started,
        "finishedAt": _now(),
        "message": message,
    }
    return {
        "phase": "Succeeded" if code == 0 else "Failed",
        "startTime": started,
        "containerStatuses": [
            {
                "name": "main",
                "image": "x",
                "imageID": "x",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": end},
            }
        ],
        **fields,
    }


async def mark(kube: KubeApi, pod: Manifest, status: dict[str, Any]) -> Manifest:
    """Write a Pod's status with the kubelet's own request."""
    ops = [{"op": "replace", "path": "/status", "value": status}]
    return await kube.json_patch(
        PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], ops, subresource="status"
    )


class KubeletStandIn:
    """Follows the Pods of runs and plays their lives.

    `run_for`: seconds between Running and the end, unless the Pod says otherwise.
    """

    def __init__(
        self, kube: KubeApi, *, run_for: float = 0.0, selector: str = names.MANAGED_SELECTOR
    ) -> None:
        self._kube, self._run_for, self._selector = kube, run_for, selector
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        #: Pod name -> loop times of its ADDED event and of its end.
        self.ended_at: dict[str, float] = {}

    async def __aenter__(self) -> KubeletStandIn:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._watching, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            items, version = await self._kube.list(PODS, labels=self._selector)
            for pod in items:
                self._see("ADDED", pod)
            with suppress(Expired, ApiError):
                async for kind, pod in self._kube.watch(PODS, since=version, labels=self._selector):
                    self._see(kind, pod)

    def _see(self, kind: str, pod: Manifest) -> None:
        uid = pod["metadata"].get("uid", "")
        if (
            kind in ("ADDED", "MODIFIED")
            and uid not in self._tasks
            and pod.get("status", {}).get("phase", "Pending") == "Pending"
        ):
            self._tasks[uid] = asyncio.create_task(self._live(pod))

    async def _live(self, pod: Manifest) -> None:
        annotations = pod["metadata"].get("annotations") or {}
        started = _now()
        with suppress(NotFound):
            await mark(self._kube, pod, running(started))
            if "test/hold" in annotations:
                return
            await asyncio.sleep(float(annotations.get("test/run-for", self._run_for)))
            self.ended_at[pod["metadata"]["name"]] = asyncio.get_running_loop().time()
            await mark(self._kube, pod, ended(int(annotations.get("test/exit-code", "0")), started))
