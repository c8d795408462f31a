"""Where a submitted file is validated: inline if that is cheap, else in a worker process, within
limits and in fair turns.

Owns that choice and the error for a caller that submits too much at once. Must not validate:
`submission` does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from opstrand.api.submission import Submitted, parse_submission
from opstrand.core.planning.connections import Catalog
from opstrand.errors import PlatformError, SpecError
from opstrand.workers.inline import NeedsWorker, bounded, put_off
from opstrand.workers.pool import Busy, Exceeded, Pool

#: The module that the workers import in advance.
MODULE = parse_submission.__module__
#: Maximum characters of a file that is validated in the event loop.
_SMALL = 8 * 1024
#: Files of one project that may wait for a worker, at most.
MOST_WAITING = 32


class TooManyRequests(PlatformError):
    """The project already keeps the workers busy."""


class Validation:
    """`parse` returns the Operation that a file makes.

    Without a pool, templates beyond look-ups are refused.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool

    async def parse(
        self, content: str, *, project: str, catalog: Catalog | None, **given: Any
    ) -> Submitted:
        """The Operation that `content` makes.

        Raises SpecError with every problem, TooExpensive included, and TooManyRequests if too many
        files of the project wait already.
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
            message = (
                f"{MOST_WAITING} files of the project {project!r} wait to be validated; send this "
                "one again later"
            )
            raise TooManyRequests(message, retry_after=5.0) from None
        body, notes = done.value
        return Submitted(body, tuple(notes))
