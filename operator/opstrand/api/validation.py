"""Where a sent file is validated: right here if that is cheap, else in a worker process, within
limits and in fair turns.

Owns that choice and what a caller is told who sends too much at once. Must not validate: `intake`
does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from opstrand.api.submission import Submitted, parse_submission
from opstrand.core.planning.connections import Catalog
from opstrand.errors import PlatformError, SpecError
from opstrand.workers.inline import NeedsWorker, bounded, put_off
from opstrand.workers.pool import Busy, Exceeded, Pool

#: What the workers load before they are needed.
MODULE = parse_submission.__module__
#: Characters of a file that may be validated in the event loop.
_SMALL = 8 * 1024
#: Files of one project that may wait for a worker.
MOST_WAITING = 32


class TooManyRequests(PlatformError):
    """The project keeps the workers busy already."""


class Validation:
    """`parse` gives the Operation that a file makes.

    Without a pool, templates beyond look-ups are refused.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool

    async def parse(
        self, content: str, *, project: str, catalog: Catalog | None, **given: Any
    ) -> Submitted:
        """Raises SpecError with all that is wrong, TooExpensive among it, and TooManyRequests where
        the project's turn is far.
        """
        if self._pool is None:
            return await asyncio.to_thread(parse_submission, content, catalog=catalog, **given)
        if len(content) <= _SMALL:
            try:
                with bounded():
                    return parse_submission(content, catalog=catalog, evaluate=put_off, **given)
            except NeedsWorker:
                pass
        try:
            done = await self._pool.run(
                f"{MODULE}:parse_apart", content, catalog, given, group=project
            )
        except Exceeded as error:
            raise SpecError("TooExpensive", f"validating it was ended: {error.message}") from None
        except Busy:
            words = (
                f"{MOST_WAITING} files of the project {project!r} wait to be validated; send this "
                "one again later"
            )
            raise TooManyRequests(words, retry_after=5.0) from None
        body, notes = done.value
        return Submitted(body, tuple(notes))
