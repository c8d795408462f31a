"""One question to a page of a service: when was it used last.

The only request of the operator that does not go to the API server. What answers is the user's
program: its answer is bounded in size and time, and a redirect is not followed. Must not judge what
it says.
"""

from __future__ import annotations

import aiohttp

from opstrand.core.planning.culling import Activity, read_activity

_SECONDS = 5.0
_MOST = 64 * 1024


async def ask_activity(url: str) -> Activity:
    """What the page tells, or why it does not. Never raises for what a page may do."""
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
