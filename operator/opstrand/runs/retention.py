"""Deletes Operations that are over, stored, and older or more than what is to be kept.

Owns which ones: by age and by count, a pipeline with all its runs. An Operation is deleted only as
the very version that the store has. Off unless a limit is set. Must not delete a record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from opstrand.core.names import CREATED_BY, maker_uid
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.core.recorded import parse_moment, read_status
from opstrand.errors import PlatformError
from opstrand.kube.errors import Conflict, NotFound
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.kube.versions import version_of
from opstrand.runs.bodies import is_final
from opstrand.runs.descendants import MOST_LEVELS
from opstrand.store.rows import Known
from opstrand.store.store import RunStore
from opstrand.types import Body, Manifest

logger = logging.getLogger(__name__)

#: Seconds between two looks, and the most Operations that one look deletes.
_INTERVAL = 60.0
_BATCH = 500
#: The label of runs that our command line and the API made.
_OUR_TOOLS = frozenset(("cli", "api"))


@dataclass(frozen=True)
class Limits:
    """What is kept in the cluster; 0 is no limit. `seconds` since the end of a run.

    `per_namespace` and `in_total` count runs that are over. `is_applied_kept`: runs that neither
    the command line nor the API made are kept, for a GitOps tool would run them again.
    """

    seconds: int = 0
    per_namespace: int = 0
    in_total: int = 0
    is_applied_kept: bool = True

    @property
    def is_set(self) -> bool:
        return bool(self.seconds or self.per_namespace or self.in_total)


class Cluster(Protocol):
    """The part of a cluster that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None: ...


class Live(Protocol):
    """The part of `runs.live` that is needed here."""

    async def wait_until_ready(self) -> None: ...

    def heads(self) -> Sequence[Body]: ...


class Retention:
    """`run()` deletes what is too much, for ever."""

    def __init__(self, limits: Limits, live: Live, store: RunStore, cluster: Cluster) -> None:
        self._limits, self._live, self._store, self._cluster = limits, live, store, cluster

    async def run(self) -> None:
        if not self._limits.is_set:
            return
        await self._live.wait_until_ready()
        while True:
            try:
                await self.delete_excess(time.time())
            except PlatformError as error:
                logger.warning("%s; old runs are deleted later", error.message)
            except Exception:
                # The API ends with any of its tasks.
                logger.exception("a bug: old runs are deleted later")
            await asyncio.sleep(_INTERVAL)

    async def delete_excess(self, now: float) -> int:
        """Delete what is too much at this moment. Returns how many Operations were deleted."""
        deleted = 0
        for family in select_excess(self._live.heads(), self._limits, now)[:_BATCH]:
            known = await self._store.known([one["metadata"]["uid"] for one in family])
            if all(_is_stored(one, known) for one in family):
                deleted += await self._delete(family[0], known[family[0]["metadata"]["uid"]])
        return deleted

    async def _delete(self, body: Body, known: Known) -> bool:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        try:
            newest = await self._cluster.get(OPERATIONS, *key)
            if newest["metadata"]["uid"] != metadata["uid"] or version_of(newest) != known.version:
                return False
            await self._cluster.delete(
                OPERATIONS, *key, uid=metadata["uid"], version=str(known.version)
            )
        except (NotFound, Conflict):
            return False
        logger.info("deleted an old run", extra={"project": key[0], "run": key[1]})
        return True


def select_excess(heads: Sequence[Body], limits: Limits, now: float) -> list[list[Body]]:
    """The runs to delete, oldest first, each with all runs below it.

    A run of a pipeline goes with its pipeline, and only if all of that are over; the run of a hook
    with the run that it followed.
    """
    below: defaultdict[str, list[Body]] = defaultdict(list)
    for one in heads:
        if uid := maker_uid(one):
            below[uid].append(one)
    present = {one["metadata"]["uid"] for one in heads}
    families = [[one, *_descendants(one, below)] for one in heads if maker_uid(one) not in present]
    over = [family for family in families if all(map(_is_over, family))]
    over.sort(key=lambda family: _ended_at(family[0]))
    return list(_exceeding(over, limits, now))


def _exceeding(over: list[list[Body]], limits: Limits, now: float) -> Iterator[list[Body]]:
    left = Counter(family[0]["metadata"]["namespace"] for family in over)
    total = len(over)
    for family in over:
        root, namespace = family[0], family[0]["metadata"]["namespace"]
        is_too_much = (
            (limits.seconds and now - _ended_at(root) > limits.seconds)
            or (limits.per_namespace and left[namespace] > limits.per_namespace)
            or (limits.in_total and total > limits.in_total)
        )
        if is_too_much and not (limits.is_applied_kept and _is_applied(root)):
            left[namespace] -= 1
            total -= 1
            yield family


def _descendants(body: Body, below: Mapping[str, list[Body]], level: int = 0) -> Iterator[Body]:
    if level < MOST_LEVELS:
        for child in below.get(body["metadata"]["uid"], ()):
            yield child
            yield from _descendants(child, below, level + 1)


def _is_over(body: Body) -> bool:
    """Whether a run has ended and its hooks are decided: their runs are below it then."""
    return is_final(body) and not has_open_hooks(read_status(body))


def _is_applied(body: Body) -> bool:
    return (body["metadata"].get("labels") or {}).get(CREATED_BY) not in _OUR_TOOLS


def _is_stored(body: Body, known: Mapping[str, Known]) -> bool:
    found = known.get(body["metadata"]["uid"])
    return found is not None and found.version == version_of(body)


def _ended_at(body: Body) -> float:
    """When the run ended; its creation, if the end has no readable time."""
    for text in (read_status(body).get("finishedAt"), body["metadata"].get("creationTimestamp")):
        moment = parse_moment(text)
        if moment is not None:
            return moment.timestamp()
    return float("inf")
