"""One request to a page of a service: when was the service last used?

This is the operator's only request that does not go to the API server. The user's program answers
it, so the response is bounded in size and time, and redirects are not followed. Must not interpret
the answer.
"""

from __future__ import annotations

import aiohttp

from opstrand.core.planning.culling import Activity, read_activity

_SECONDS = 5.0
_MOST = 64 * 1024


async def ask_activity(url: str) -> Activity:
    """When the service was last used, or why that is unknown. Never raises for what a page does."""
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_SECONDS), trust_env=False
            ) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return Activity(trouble=f"{url} answered {answer.status}")
            return read_activity((await answer.content.read(_MOST)).decode(errors="replace"))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Activity(trouble=f"{url} did not answer: {error or type(error).__name__}")
