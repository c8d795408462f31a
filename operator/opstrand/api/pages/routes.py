"""Where a browser finds the pages, and what it may do on them.

Every address below /ui/ is the same page, which reads from its address what to show. Owns the
headers: no script runs that is not a file of ours. Must not know anything of runs.
"""

from __future__ import annotations

from aiohttp import web

from opstrand.api.pages.files import PageFile, read_file, read_page

#: What a browser refuses on these pages, whatever a run's name or log says.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


async def send_file(request: web.Request) -> web.Response:
    try:
        found = read_file(request.match_info["path"])
    except KeyError:
        raise web.HTTPNotFound from None
    return _answer(request, found)


async def send_page(request: web.Request) -> web.Response:
    return _answer(request, read_page(request.rel_url.raw_path.count("/") - 2))


async def go_to_pages(_: web.Request) -> web.Response:
    # Relative, as everything here: a proxy may have a prefix before it.
    raise web.HTTPFound("ui/")


def _answer(request: web.Request, found: PageFile) -> web.Response:
    headers = dict(_HEADERS)
    is_compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    if any(one.value == found.tag for one in request.if_none_match or ()):
        answer = web.Response(status=304, headers=headers)
    else:
        body = found.compressed if is_compressed else found.content
        answer = web.Response(
            body=body, headers=headers, content_type=found.content_type, charset="utf-8"
        )
        if is_compressed:
            answer.headers["Content-Encoding"] = "gzip"
    answer.etag = found.tag
    return answer


ROUTES = [
    web.get("/", go_to_pages),
    web.get("/ui", go_to_pages),
    web.get("/ui/-/{path:.+}", send_file),
    web.get("/ui/{path:.*}", send_page),
]
