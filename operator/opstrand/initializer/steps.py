"""The steps of an init document, one function each.

Every failure is an `InitError` whose text a user can act on: it becomes the run's message.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from opstrand.client.shim_files import shim_files

Document = dict[str, Any]


class InitError(Exception):
    """A step could not be done."""


def carry_out(document: Document, *, root: str = "") -> None:
    """Do all of it, in order. `root` stands before every path of the document. Raises InitError at the first that fails."""
    for directory in document["directories"]:
        _make_directory(root + directory)
    if document.get("auth"):
        write_auth(document["auth"], root)
    if document.get("shim"):
        lay_shim(root + document["shim"])
    for step in document["steps"]:
        STEPS[step["kind"]](step, root)
    # Last: the files are there by the time the API answers, and a run whose API is away fails with a clear word.
    if document.get("api"):
        wait_for_api(document["api"])


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path, mode=0o777, exist_ok=True)
    except OSError as error:
        raise InitError(f"could not make the folder {path}: {error.strerror}") from error


def write_auth(auth: Document, root: str) -> None:
    """The run's token as the file that the published client reads at its start."""
    try:
        with open(root + auth["token"], encoding="utf-8") as file:
            token = file.read().strip()
        content = json.dumps({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": token})
        _write(root + auth["target"], content.encode())
    except OSError as error:
        raise InitError(f"could not hand over the run's token: {error}") from error


def lay_shim(target: str) -> None:
    """Lay the import shim beside the scripts, so that `polyaxon` can be imported where nothing is installed."""
    for name, content in shim_files().items():
        _write(os.path.join(target, name), content)


def wait_for_api(api: Document) -> None:
    """Wait until the API answers, at most `patience` seconds: main's first request must not meet a closed door."""
    deadline = time.monotonic() + float(api["patience"])
    pause = 0.1
    while True:
        trouble = _ask(api["url"] + "/healthz")
        if trouble is None:
            return
        if time.monotonic() + pause > deadline:
            raise InitError(f"the API at {api['url']} did not answer within {api['patience']} s: {trouble}")
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def _ask(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return None if answer.status == 200 else f"it answered {answer.status}"
    except (OSError, urllib.error.URLError, ValueError) as error:
        return str(error)


def write_file(step: Document, root: str) -> None:
    """`init.file`: the content byte for byte, its mode, and a copy among the run's outputs."""
    target = root + step["target"]
    try:
        _write(target, step["content"].encode())
        if step.get("chmod"):
            os.chmod(target, int(str(step["chmod"]), 8))
        if step.get("copy"):
            os.makedirs(os.path.dirname(root + step["copy"]), mode=0o777, exist_ok=True)
            shutil.copy(target, root + step["copy"])
    except IsADirectoryError as error:
        raise InitError(f"init file {step['target']}: a folder of that name is there already") from error
    except ValueError as error:
        raise InitError(f"init file {step['target']}: chmod takes an octal mode such as 755, found {step['chmod']!r}") from error
    except OSError as error:
        raise InitError(f"could not write the init file {step['target']}: {error.strerror}") from error


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o777, exist_ok=True)
    if os.path.isfile(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.write(content)


STEPS: dict[str, Callable[[Document, str], None]] = {"file": write_file}
