"""Pass each event of kopf to `Sync`: the body to the cache, the affected keys to the queue."""

from __future__ import annotations

from typing import Any

from opstrand.controller.cache import WATCHED
from opstrand.controller.sync import Sync
from opstrand.core import names
from opstrand.handlers.kopf_import import kopf
from opstrand.kube.resources import PODS, Resource


def register(registry: kopf.OperatorRegistry, sync: Sync) -> None:
    """Pass all events of the watched kinds to `sync`; of Pods, those of runs."""

    def listen(resource: Resource, labels: dict[str, str] | None = None) -> None:
        async def on_event(type: str | None, event: Any, **_: object) -> None:
            sync.observe(resource, type, event["object"])

        kopf.on.event(
            group=resource.group,
            version=resource.version,
            plural=resource.plural,
            id=resource.plural,
            registry=registry,
            labels=labels,
        )(on_event)

    labels = {PODS: {names.MANAGED_BY: names.MANAGED_BY_VALUE}}
    for watched in WATCHED:
        listen(watched, labels.get(watched))
