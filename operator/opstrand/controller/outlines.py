"""The outlines of the pipelines that run: each file is read once, and not at every event.

A small file is read in this process, every other one in a worker. Owns what is kept, by the uid and
generation of the run. Must not decide.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from opstrand.controller.decision_job import MODULE as JOB
from opstrand.controller.decision_job import read_pipeline, warm_up
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.packed import is_large, to_parcel
from opstrand.core.pipelines.outline import Outline
from opstrand.errors import SpecError
from opstrand.logs import about
from opstrand.settings import Settings
from opstrand.types import Key
from opstrand.workers.inline import NeedsWorker, bounded
from opstrand.workers.pool import Exceeded, Pool

logger = logging.getLogger(__name__)

#: Pipelines whose outlines are kept; more of them at once are read again.
_KEPT = 512


class Outlines:
    """Outlines by uid and generation."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Outline | SpecError] = OrderedDict()

    async def read(
        self, snapshot: Snapshot, key: Key, pool: Pool, settings: Settings
    ) -> Outline | SpecError:
        """The outline of this pipeline, or why its file cannot be read any more."""
        metadata = snapshot.body["metadata"]
        version = str(metadata["uid"]), int(metadata.get("generation") or 1)
        if version not in self._known:
            self._known[version] = await _read(snapshot, key, pool, settings)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(version)
        return self._known[version]


async def _read(
    snapshot: Snapshot, key: Key, pool: Pool, settings: Settings
) -> Outline | SpecError:
    try:
        return _read_here(snapshot, settings) or await _read_apart(snapshot, key, pool, settings)
    except SpecError as error:
        return error


def _read_here(snapshot: Snapshot, settings: Settings) -> Outline | None:
    """Read it in this process; None if that may take too long. Raises SpecError."""
    if is_large(snapshot.body):
        return None
    warm_up()
    try:
        with bounded():
            return read_pipeline(settings, snapshot.body)
    except NeedsWorker:
        return None


async def _read_apart(snapshot: Snapshot, key: Key, pool: Pool, settings: Settings) -> Outline:
    try:
        done = await pool.run(
            f"{JOB}:read_pipeline", settings, to_parcel(snapshot.body), group=key[0]
        )
    except Exceeded as error:
        logger.info("the file of a pipeline took too much: %s", error.message, extra=about(*key))
        message = f"reading the pipeline was ended: {error.message}"
        raise SpecError("TooExpensive", message) from None
    found: Outline = done.value
    return found
