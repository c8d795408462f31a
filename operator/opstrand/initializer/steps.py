"""An init document carried out: folders, credentials, the import shim, the steps in their order,
and at last the wait for the API.

Every failure is an `InitError` whose text a user can act on: it becomes the run's message. Must not
know what a step does.
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

#: Whatever stands behind an address: nothing, a closed door, or somebody who speaks another
#: language.
_TROUBLES = (OSError, ValueError, http.client.HTTPException)
__all__ = ["STEPS", "InitError", "carry_out"]

#: Kind of a step -> what carries it out; it may give back lineage entries, known only now.
STEPS: dict[str, Callable[[Document, str], list[Document] | None]] = {
    "file": write_file,
    "copy": copy_from_store,
    "git": clone,
}


def carry_out(document: Document, *, root: str = "") -> None:
    """Do all of it, in order. `root` stands before every path of the document. Raises InitError at
    the first that fails, and at a `Stopped` that comes from outside: it says where the time went.
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
            f"bringing {hide(step['url'])}" if "url" in step else f"writing {step['target']}"
        )
        found += STEPS[step["kind"]](step, root) or []
    # Last: the files are there by the time the API answers, and a run whose API is away fails with
    # a clear word.
    if document.get("api"):
        doing.append(f"waiting for the API at {document['api']['url']}")
        opener = open_api(document["api"], root)
        wait_for_api(document["api"], opener)
        if found:
            report(document["api"], found, root + document["token"], opener)


def write_auth(auth: Document, root: str) -> None:
    """The run's token as the file that the published client reads at its start."""
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
    """Lay the import shim beside the scripts, so that `polyaxon` can be imported where nothing is
    installed.
    """
    for name, content in shim_files().items():
        write(os.path.join(target, name), content)


def open_api(api: Document, root: str) -> urllib.request.OpenerDirector:
    """How the API is reached: it is a neighbour, and whatever proxy leads out of this place does
    not lead there.
    """
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
    """Wait until the API answers, at most `patience` seconds: main's first request must not meet a
    closed door.
    """
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
    """One request for the lineage of this container.

    What it misses is a word in the log, not a failed run.
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
