"""The fetch step: copy files and folders of other runs from the API, where there is no store that
could be mounted.

Owns that a file is there whole or not at all, and that an API which is away is waited for. Must not
know which runs these are: the API decides by the run's token what it may read.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import IO, Any

from opstrand.initializer.api import TROUBLES, open_api, read_token
from opstrand.initializer.failure import InitError
from opstrand.initializer.files import describe

Document = dict[str, Any]

_BLOCK = 1024 * 1024
#: Seconds without a byte, and the longest pause between two tries.
_TIMEOUT = 60.0
_LONGEST_PAUSE = 5.0
#: Answers that another try may change.
_AGAIN = (429, 500, 502, 503, 504)
_ARCHIVE = "application/gzip"


class _Cut(Exception):
    """The answer ended too early."""


class _Missing(InitError):
    """The API has no such file or run."""


class _Unwritable(Exception):
    """A file could not be written, for a reason that another try does not change."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def fetch(step: Document, root: str) -> None:
    """Fetch the files, folders and paths of the step, each below the step's target."""
    api = _Api(step, root)
    for kind, route, more in (
        ("files", "artifact", {}),
        ("dirs", "artifacts", {}),
        ("paths", "artifacts", {"check_path": "1"}),
    ):
        for from_path, to_path in step[kind]:
            uuid, _, path = from_path.partition("/")
            query = {"path": path, **more}
            target = os.path.join(root + step["target"], to_path)
            try:
                api.fetch(uuid, route, query, target, from_path)
            except _Missing:
                if not step.get("optional"):
                    raise


class _Api:
    """Requests of one step."""

    def __init__(self, step: Document, root: str) -> None:
        self._runs, self._patience = step["runs"], float(step["patience"])
        self._token, self._root = root + step["token"], root
        self._opener = open_api(step, root)

    def fetch(self, uuid: str, route: str, query: dict[str, str], target: str, shown: str) -> None:
        """Fetch one file or folder to `target`. `shown` is its path in an error."""
        deadline, pause = time.monotonic() + self._patience, 0.2
        url = f"{self._runs}/{urllib.parse.quote(uuid)}/{route}?{urllib.parse.urlencode(query)}"
        while True:
            try:
                with self._open(url) as answer:
                    _receive(answer, target)
                return
            except urllib.error.HTTPError as error:
                if error.code not in _AGAIN:
                    kind = _Missing if error.code == 404 else InitError
                    raise kind(f"could not fetch {shown!r}: {_detail(error)}") from None
                trouble: Exception = error
            except (_Cut, tarfile.TarError, zlib.error, EOFError) as error:
                trouble = error
            except _Unwritable as error:
                raise InitError(
                    f"could not write {shown!r}: {describe(error.cause, self._root)}"
                ) from error
            except TROUBLES as error:
                trouble = error
            if time.monotonic() + pause > deadline:
                raise InitError(
                    f"could not fetch {shown!r} within {self._patience:.0f} s: {trouble}"
                ) from trouble
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _open(self, url: str) -> Any:
        headers = {"Authorization": f"Bearer {read_token(self._token)}"}
        return self._opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        detail = str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError, *TROUBLES):
        detail = str(error)
    if error.code in (403, 404):
        return f"{detail} (a run reads the files of itself, its upstreams and its pipeline)"
    return detail


def _receive(answer: Any, target: str) -> None:
    if answer.headers.get("Content-Type") == _ARCHIVE:
        _unpack(answer, target)
        return
    _write(answer, target)


def _unpack(answer: IO[bytes], target: str) -> None:
    with _Writing():
        os.makedirs(target, mode=0o777, exist_ok=True)
    with tarfile.open(fileobj=answer, mode="r|gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            parts = member.name.split("/")
            if content is None or "" in parts or ".." in parts:
                raise InitError(f"the archive has {member.name!r}, which is not a file in a folder")
            _write(content, os.path.join(target, *parts))


def _write(content: Any, target: str) -> None:
    """Write the file beside its place, and move it there once it is whole."""
    length = content.headers.get("Content-Length") if hasattr(content, "headers") else None
    part, size = f"{target}.opstrand-part", 0
    try:
        with _create(part) as file:
            while block := content.read(_BLOCK):
                size += len(block)
                with _Writing():
                    file.write(block)
        if length is not None and size != int(length):
            raise _Cut(f"{size} of {length} bytes arrived")
        with _Writing():
            os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _create(path: str) -> IO[bytes]:
    with _Writing():
        os.makedirs(os.path.dirname(path), mode=0o777, exist_ok=True)
        return open(path, "wb")


class _Writing:
    """Makes an error of the disk different from one of the connection."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise _Unwritable(error) from error
