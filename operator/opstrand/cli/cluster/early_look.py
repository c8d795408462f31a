"""What keeps a followed run's Pod from starting, seen before the operator writes it.

The operator spares the API server: it asks for a Pod's Events only once the Pod hangs, and a short
wait is not worth a write. A user who looks on wants the cause at once, and asks for one Pod only.
Must not print, and must not fail a run that goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Observation, State
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError
from opstrand.kube.resources import EVENTS, PODS
from opstrand.types import Event, Manifest, Pod

#: Seconds between two looks, and how many a start is given: later the operator reports by itself.
_PAUSE = 2.0
_LOOKS = 10
#: A running init step is no trouble.
_WELL = ("", "InitRunning")


class EarlyLook:
    """Passes every body on, and one with the cause of a start that hangs as its message."""

    def __init__(self, api: KubeApi, on_change: Callable[[Manifest], None]) -> None:
        self._api = api
        self._on_change = on_change
        self._body: Manifest = {}

    def change(self, body: Manifest) -> None:
        self._body = body
        self._on_change(body)

    async def keep_looking(self) -> None:
        looks = 0
        while looks < _LOOKS:
            await asyncio.sleep(_PAUSE)
            if not _is_bare_start(self._body):
                continue
            looks += 1
            # Without the right to read Pods or Events the run is shown as the operator reports it.
            with suppress(ApiError):
                await self._look(self._body)

    async def _look(self, body: Manifest) -> None:
        seen = await self._observe(body)
        if body is not self._body or seen.state is not State.PENDING or seen.reason in _WELL:
            return
        status = {**read_status(body), "reason": seen.reason, "message": seen.message}
        self._on_change({**body, "status": status})

    async def _observe(self, body: Manifest) -> Observation:
        namespace, name = body["metadata"]["namespace"], read_status(body)["pod"]["name"]
        pod = await self._api.get(PODS, namespace, name)
        about = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        events, _ = await self._api.list(EVENTS, namespace, fields=about)
        return observe_pod(cast(Pod, pod), cast(list[Event], events))


def _is_bare_start(body: Manifest) -> bool:
    """Whether the status says that the run starts, and no more."""
    status = read_status(body)
    named = (status.get("pod") or {}).get("name")
    return parse_phase(status) is Phase.STARTING and bool(named) and not status.get("message")
