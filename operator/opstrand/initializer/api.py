"""The API as the init container sees it: how it is trusted and waited for.

Owns the report of what was fetched. Must not know what a step does.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
import urllib.request
from typing import Any

from opstrand.initializer.failure import InitError

Document = dict[str, Any]

#: The errors of an address where no server listens, or one that does not speak HTTP.
TROUBLES = (OSError, ValueError, http.client.HTTPException)


def read_token(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def open_api(api: Document, root: str) -> urllib.request.OpenerDirector:
    """Return the opener for the API. It ignores proxies, which lead out of the cluster."""
    direct = urllib.request.ProxyHandler({})
    if not api.get("ca"):
        return urllib.request.build_opener(direct)
    try:
        context = ssl.create_default_context(cafile=root + api["ca"])
    except (OSError, ValueError) as error:
        raise InitError(
            f"the certificates that the API is trusted by cannot be read: {error}"
        ) from error
    return urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=context))


def wait_for_api(api: Document, opener: urllib.request.OpenerDirector) -> None:
    """Wait until the API answers, at most `patience` seconds: main's first request must work."""
    deadline = time.monotonic() + float(api["patience"])
    pause = 0.1
    while True:
        trouble = _ask(opener, api["url"] + "/healthz")
        if trouble is None:
            return
        if time.monotonic() + pause > deadline:
            raise InitError(
                f"the API at {api['url']} did not answer within {api['patience']} s: {trouble}"
            )
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def _ask(opener: urllib.request.OpenerDirector, url: str) -> str | None:
    try:
        with opener.open(url, timeout=5) as answer:
            return None if answer.status == 200 else f"it answered {answer.status}"
    except TROUBLES as error:
        return " ".join(str(error).split())


def report(
    api: Document, found: list[Document], token: str, opener: urllib.request.OpenerDirector
) -> None:
    """Send the lineage of this container in one request.

    A failure is a line in the log and does not fail the run.
    """
    url = f"{api['url']}/api/v1/{api['run']}/lineage/artifacts"
    try:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {read_token(token)}",
        }
        request = urllib.request.Request(url, json.dumps({"artifacts": found}).encode(), headers)
        with opener.open(request, timeout=30):
            pass
    except TROUBLES as error:
        print(f"the lineage of the init steps was not recorded: {error}", file=sys.stderr)
