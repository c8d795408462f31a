"""Execute an init document: folders, credentials, the import shim, the steps, the wait for the API.

Every failure is an `InitError` whose text helps the user to act: it becomes the run's message. Must
not know what a step does.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from opstrand.client.shim_files import shim_files
from opstrand.initializer.failure import InitError, Stopped
from opstrand.initializer.files import copy_from_store, describe, make_directory, write, write_file
from opstrand.initializer.git import clone
from opstrand.initializer.git_rules import hide

Document = dict[str, Any]

#: The errors of an address where no server listens, or one that does not speak HTTP.
_TROUBLES = (OSError, ValueError, http.client.HTTPException)
__all__ = ["STEPS", "InitError", "carry_out"]

#: Kind of a step -> its function, which may return lineage entries that are known only now.
STEPS: dict[str, Callable[[Document, str], list[Document] | None]] = {
    "file": write_file,
    "copy": copy_from_store,
    "git": clone,
}


def carry_out(document: Document, *, root: str = "") -> None:
    """Execute the whole document in order. `root` is the prefix of every path of the document.

    Raises InitError at the first step that fails, and at a `Stopped`, which comes from outside; its
    text then says what took the time.
    """
    doing = ["making folders"]
    try:
        _carry_out(document, root, doing)
    except Stopped:
        raise InitError(f"ended from outside while {doing[-1]}") from None
    except OSError as error:
        raise InitError(f"failed while {doing[-1]}: {describe(error, root)}") from error


def _carry_out(document: Document, root: str, doing: list[str]) -> None:
    for directory in document["directories"]:
        make_directory(root + directory)
    if document.get("trust"):
        write(root + document["trust"]["target"], document["trust"]["text"].encode())
    if document.get("auth"):
        write_auth(document["auth"], root)
    if document.get("shim"):
        write_shim(root + document["shim"])
    found: list[Document] = []
    for step in document["steps"]:
        doing.append(
            f"fetching {hide(step['url'])}" if "url" in step else f"writing {step['target']}"
        )
        found += STEPS[step["kind"]](step, root) or []
    # The API comes last: the files give it time to start, and a run whose API is away fails with a
    # clear message.
    if document.get("api"):
        doing.append(f"waiting for the API at {document['api']['url']}")
        opener = open_api(document["api"], root)
        wait_for_api(document["api"], opener)
        if found:
            report(document["api"], found, root + document["token"], opener)


def write_auth(auth: Document, root: str) -> None:
    """Write the run's token to the file that the published client reads at its start."""
    try:
        token = _read_token(root + auth["token"])
        write(
            root + auth["target"],
            json.dumps({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": token}).encode(),
        )
    except OSError as error:
        raise InitError(f"could not hand over the run's token: {error}") from error


def _read_token(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def write_shim(target: str) -> None:
    """Put the import shim beside the scripts, so that they can import `polyaxon` anywhere."""
    for name, content in shim_files().items():
        write(os.path.join(target, name), content)


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
    except _TROUBLES as error:
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
            "Authorization": f"Bearer {_read_token(token)}",
        }
        request = urllib.request.Request(url, json.dumps({"artifacts": found}).encode(), headers)
        with opener.open(request, timeout=30):
            pass
    except _TROUBLES as error:
        print(f"the lineage of the init steps was not recorded: {error}", file=sys.stderr)
