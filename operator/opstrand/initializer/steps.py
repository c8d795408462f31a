"""Execute an init document: folders, credentials, the import shim, the steps, the wait for the API.

Every failure is an `InitError` whose text helps the user to act: it becomes the run's message. Must
not know what a step does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from opstrand.client.shim_files import shim_files
from opstrand.initializer.api import open_api, read_token, report, wait_for_api
from opstrand.initializer.failure import InitError, Stopped
from opstrand.initializer.fetching import fetch
from opstrand.initializer.files import copy_from_store, describe, make_directory, write, write_file
from opstrand.initializer.git import clone
from opstrand.initializer.git_rules import hide

Document = dict[str, Any]

__all__ = ["STEPS", "InitError", "carry_out"]

#: Kind of a step -> its function, which may return lineage entries that are known only now.
STEPS: dict[str, Callable[[Document, str], list[Document] | None]] = {
    "file": write_file,
    "copy": copy_from_store,
    "fetch": fetch,
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
        token = read_token(root + auth["token"])
        write(
            root + auth["target"],
            json.dumps({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": token}).encode(),
        )
    except OSError as error:
        raise InitError(f"could not hand over the run's token: {error}") from error


def write_shim(target: str) -> None:
    """Put the import shim beside the scripts, so that they can import `polyaxon` anywhere."""
    for name, content in shim_files().items():
        write(os.path.join(target, name), content)
