"""Notes beside an answer: `Warning` headers, as in Kubernetes.

Owns their format. A body has no place for them: the published client reads no key that it does not
know.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from opstrand.text import inline, shorten

_LONGEST = 500


def warn(response: web.Response, notes: Iterable[str]) -> web.Response:
    """The answer with these notes. A header is ASCII: other characters are escaped."""
    for note in notes:
        text = inline(shorten(note, _LONGEST)).encode("ascii", "backslashreplace").decode()
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 opstrand "{quoted}"')
    return response
