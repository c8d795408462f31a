"""A stand-in for the kubelet whose Pods wait for the operator, so that a run takes the same steps
however slow the operator is.

Annotations of a Pod, beside those of `kubelet_stand_in`: `test/until` (`Running`: it ends once its
run is Running; `stopped`: it ends once it is asked to stop), `test/serves` (it never ends, and
starts once the run of this name has recorded the Pod), `test/exit-codes` (one for each attempt,
separated by commas), `test/outputs` (JSON that the run reports before its end).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opstrand.core import names
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.types import Manifest
from tests.support.kubelet_stand_in import KubeletStandIn, _now, ended, mark, running


class ScriptedKubelet(KubeletStandIn):
    """Plays each Pod by its annotations."""

    async def _live(self, pod: Manifest) -> None:
        annotations = pod["metadata"].get("annotations") or {}
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        run = names.owner_name(pod) or ""
        started = _now()
        with suppress(NotFound):
            if "test/pending" in annotations:
                return
            if "test/serves" in annotations:
                await self._until(
                    OPERATIONS,
                    namespace,
                    annotations["test/serves"],
                    lambda one: name in json.dumps(one.get("status")),
                )
                await mark(self._kube, pod, running(started))
                return
            await mark(self._kube, pod, running(started))
            if "test/outputs" in annotations:
                await self._report(namespace, run, json.loads(annotations["test/outputs"]))
            if annotations.get("test/until") == "stopped":
                await self._until(
                    PODS, namespace, name, lambda one: one["spec"].get("activeDeadlineSeconds") == 1
                )
                await mark(self._kube, pod, ended(143, started, reason="DeadlineExceeded"))
                return
            if "test/until" in annotations:
                # A run that is stopped before it was seen to run ends too.
                phases = (annotations["test/until"], "Stopping")
                await self._until(OPERATIONS, namespace, run, lambda one: _phase(one) in phases)
            codes = annotations.get("test/exit-codes", "0").split(",")
            await mark(self._kube, pod, ended(int(codes[int(name.rpartition("-")[2])]), started))

    async def _report(self, namespace: str, run: str, outputs: dict[str, Any]) -> None:
        """Store outputs in the run's status as the API does."""
        ops = [
            {"op": "add", "path": f"/status/outputs/{key}", "value": value}
            for key, value in outputs.items()
        ]
        await self._kube.json_patch(OPERATIONS, namespace, run, ops, subresource="status")

    async def _until(
        self, resource: Resource, namespace: str, name: str, holds: Callable[[Manifest], bool]
    ) -> None:
        while True:
            if holds(await self._kube.get(resource, namespace, name)):
                return
            await asyncio.sleep(0.05)


def _phase(body: Manifest) -> str | None:
    return (body.get("status") or {}).get("phase")
