"""Observe the Pods of a service: which replicas serve, and what keeps the others from serving.

Kubernetes restarts a replica's container whenever it ends, so an end is trouble and not the result;
checks that mean the same for a job come from `diagnosis`. Must not decide what follows for the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pending import (
    find_broken_sidecar,
    find_in_events,
    find_unschedulable,
    find_waiting,
)
from opstrand.core.diagnosis.pod_status import (
    condition_of,
    containers_of,
    earlier_end_of,
    end_of,
    init_steps_of,
    is_being_deleted,
    is_being_made,
    is_over,
    main_of,
    state_of,
)
from opstrand.core.diagnosis.terminated import describe_init_end, describe_main_end
from opstrand.core.recorded import parse_moment
from opstrand.types import ContainerStateTerminated, ContainerStatus, Event, Pod

#: Seconds for which a restarted container must run before it counts as recovered: a crash loop is
#: one trouble, not many.
STEADY = 10.0

#: Returns the seconds since an RFC 3339 time.
_Ago = Callable[[object], float]


@dataclass(frozen=True)
class Replicas:
    """One observation of all replicas. `live` and `serving` are in creation order.

    `trouble`, `troubled`: what keeps the first replica from serving, and its Pod. `restarts`: the
    highest restart count of a container. `is_down`: a container has ended and waits for its
    restart. `again`: seconds until a restarted container counts as steady.
    """

    live: tuple[Pod, ...] = ()
    serving: tuple[Pod, ...] = ()
    trouble: Observation | None = None
    troubled: Pod | None = None
    restarts: int = 0
    is_down: bool = False
    again: float | None = None

    @property
    def started_at(self) -> str | None:
        """The time at which the main container of the first serving replica started."""
        times = [
            (state_of(main_of(pod)).get("running") or {}).get("startedAt") for pod in self.serving
        ]
        return min((time for time in times if time), default=None)


def is_live(pod: Pod) -> bool:
    """Return whether the Pod counts: Kubernetes has replaced one that is over or being deleted."""
    return not is_over(pod) and not is_being_deleted(pod)


def observe_replicas(
    pods: Sequence[Pod],
    events: Sequence[Event],
    *,
    now: datetime,
    since: Callable[[object], float] | None = None,
) -> Replicas:
    """Observe these Pods together.

    `events` are the warnings of the first Pod that hangs; `since` returns the seconds since a time
    (None: counted from `now`).
    """
    ago = since or (
        lambda text: (
            max(0.0, (now - moment).total_seconds()) if (moment := parse_moment(text)) else 0.0
        )
    )
    live = sorted(
        filter(is_live, pods),
        key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]),
    )
    seen = [(pod, _observe(pod, events, ago)) for pod in live]
    troubled = next(
        ((pod, one) for pod, one in seen if one.state is not State.RUNNING and one.reason),
        (None, None),
    )
    waits = [left for pod in live if (left := _unsteady_for(pod, ago)) > 0]
    return Replicas(
        live=tuple(live),
        serving=tuple(pod for pod, one in seen if one.state is State.RUNNING),
        trouble=troubled[1],
        troubled=troubled[0],
        restarts=max((_count_restarts(pod) for pod in live), default=0),
        is_down=any(_is_down(pod) for pod in live),
        again=min(waits, default=None),
    )


def _observe(pod: Pod, events: Sequence[Event], ago: _Ago) -> Observation:
    crash = _find_crash(pod, ago)
    if crash is not None:
        return crash
    if condition_of(pod, "Ready").get("status") == "True":
        return Observation(State.RUNNING, "PodRunning")
    hangs = find_in_events(events) if is_being_made(pod) else None
    return (
        find_broken_sidecar(pod)
        or find_waiting(pod)
        or find_unschedulable(pod)
        or hangs
        or Observation(State.PENDING)
    )


def _find_crash(pod: Pod, ago: _Ago) -> Observation | None:
    """Find a container that ended and is restarted: it waits, or runs too briefly to be trusted."""
    for container, failure in _failed_inits(pod):
        reason, message = describe_init_end(pod, container, failure)
        return Observation(
            State.PENDING, reason, f"{message}; Kubernetes starts it again", Fault.USER
        )
    main = main_of(pod)
    end = _last_end(main)
    if end is None or (_is_running(main) and _unsteady_for(pod, ago) <= 0):
        return None
    reason, message = describe_main_end(pod, end)
    if end.get("exitCode") == 0:
        message = "its program ended, and a service has none that ends"
    return Observation(State.PENDING, reason, f"{message}; Kubernetes starts it again", Fault.USER)


def _failed_inits(pod: Pod) -> Iterator[tuple[ContainerStatus, ContainerStateTerminated]]:
    for container in init_steps_of(pod):
        end = _last_end(container)
        if end is not None and end.get("exitCode") not in (0, None) and not _is_running(container):
            yield container, end


def _is_down(pod: Pod) -> bool:
    main = main_of(pod)
    return any(_failed_inits(pod)) or (_last_end(main) is not None and not _is_running(main))


def _last_end(container: ContainerStatus) -> ContainerStateTerminated | None:
    """Return how the container ended, unless it has entered another state since."""
    if end_of(container):
        return end_of(container)
    waits_for = (state_of(container).get("waiting") or {}).get("reason")
    last = earlier_end_of(container)
    return last if last and waits_for in (None, "CrashLoopBackOff") else None


def _is_running(container: ContainerStatus) -> bool:
    return "running" in state_of(container)


def _unsteady_for(pod: Pod, ago: _Ago) -> float:
    """Return the seconds for which a restarted container is not trusted yet; 0 for any other."""
    main = main_of(pod)
    since = (state_of(main).get("running") or {}).get("startedAt")
    if not since or not main.get("restartCount"):
        return 0.0
    return max(0.0, STEADY - ago(since))


def _count_restarts(pod: Pod) -> int:
    return max(
        (
            int(one.get("restartCount") or 0)
            for one in (main_of(pod), *containers_of(pod, "initContainerStatuses"))
        ),
        default=0,
    )
