"""What the status keeps of a service's Pods.

Owns which Pod's log is the run's log, and whose tokens may report. Must not decide the phase.
"""

from __future__ import annotations

from typing import Any

from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.runtimes.replicas import Replicas
from opstrand.types import Pod

#: The most replicas that `status.service.pods` lists: the status must not grow with thousands of
#: Pods. The tokens of listed replicas may report on the run.
_KEPT = 64


def list_facts(
    snapshot: Snapshot, seen: Replicas, pod: Pod, *, is_settled: bool = True
) -> dict[str, Any]:
    """Return the Pod whose log is the run's log, and all Pods whose tokens may report on the run.

    The first is kept while it lives. Empty unless `is_settled`: replicas are created one after the
    other, and each would cost a write.
    """
    if not is_settled:
        return {}
    known = snapshot.status.get("pod") or {}
    kept = next(
        (
            one
            for one in seen.live
            if one["metadata"]["uid"] == known.get("uid") and one in (seen.serving or seen.live)
        ),
        pod,
    )
    node = (
        {"node": kept["spec"]["nodeName"]}
        if seen.serving and (kept.get("spec") or {}).get("nodeName")
        else {}
    )
    facts = {"name": kept["metadata"]["name"], "uid": kept["metadata"]["uid"]}
    return {
        "pod": {**(known if known.get("uid") == facts["uid"] else {}), **facts, **node},
        "service": with_pods(snapshot, seen.live),
    }


def with_pods(snapshot: Snapshot, live: tuple[Pod, ...]) -> dict[str, Any]:
    """Return `status.service` with these Pods, unchanged if it already lists all of them."""
    service: dict[str, Any] = dict(snapshot.status["service"])
    uids = {one["uid"] for one in service.get("pods") or ()}
    kept = live[:_KEPT]
    if kept and all(pod["metadata"]["uid"] in uids for pod in kept):
        return service
    pods = sorted(kept, key=lambda pod: str(pod["metadata"]["name"]))
    return {
        **service,
        "pods": [{"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]} for pod in pods],
    }
