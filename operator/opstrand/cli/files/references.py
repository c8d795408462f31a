"""`pathRef` and `urlRef`: read components in other files and at URLs, which the operator cannot.

Owns reading files and downloading, with their limits. Must not parse more of them than a document
and its kind.
"""

from __future__ import annotations

import http.client
import os
import stat
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opstrand.cli.errors import CliError
from opstrand.cli.files.source_map import Layer, place
from opstrand.errors import Problem, SpecError
from opstrand.spec.document import MAX_BYTES, Document
from opstrand.spec.document import Path as Steps
from opstrand.spec.polyaxonfile import (
    dotted,
    note_spellings,
    parse_component,
    read_polyaxonfile,
)
from opstrand.text import find_nearest

#: How a polyaxonfile's name ends.
FILE_ENDS = (".yaml", ".yml", ".json")
#: The most levels of components that name another one.
_DEPTH = 8
#: Seconds without data, and of a whole download.
_SECONDS, _MOST_SECONDS = 20.0, 60.0
_CHUNK = 1 << 16


def read_file(name: str) -> Document:
    """Read one file as a document; `-` is stdin. Raises FileError if it cannot be read."""
    return read_polyaxonfile(read_bytes(name), source=source_of(name))


def read_bytes(name: str, most: int = MAX_BYTES) -> bytes:
    """Read a file's bytes, or one more than `most`, which the parser refuses.

    `-` is stdin. Raises FileError if the file cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.buffer.read(most + 1)
        with open(name, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        if _is_address(name):
            raise FileError(name, "an address is named by `urlRef` in a file") from None
        raise FileError(name, f"{error.strerror}{_suggest_file(name, error)}") from None
    except ValueError:
        raise FileError(
            name, "no file can have this name: it holds a NUL or half a character"
        ) from None


def source_of(name: str) -> str:
    """Return the name of a file in front of its line numbers."""
    return "<stdin>" if name == "-" else name


def _suggest_file(name: str, error: OSError) -> str:
    """Return the nearest file of the folder for one that does not exist; else nothing."""
    if not isinstance(error, FileNotFoundError):
        return ""
    path = Path(name)
    try:
        there = [one.name for one in path.parent.iterdir() if one.suffix in FILE_ENDS]
    except OSError:
        return ""
    nearest = find_nearest(path.name, there)
    return f"; did you mean '{path.with_name(nearest)}'?" if nearest else ""


class FileError(CliError):
    """A file that cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        hint = "`opstrand init` writes a first file." if why.startswith("No such") else ""
        hint = "Name a file in it." if why.startswith("Is a directory") else hint
        super().__init__(f"could not read {name}: {why}", hint=hint)
        self.name = name
        self.why = why


class Reader:
    """Replaces every `pathRef` and `urlRef` of an operation by its component; keeps the files."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.notes: list[str] = []

    def inline(self, written: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Return `written` with the components in place.

        `origin` is the file or URL that it came from.
        """
        try:
            return self._inline(written, origin, (), 0)
        except SpecError as error:
            raise place(error, self.layers, {}) from None

    def _inline(
        self, written: Mapping[str, Any], origin: str, prefix: Steps, depth: int
    ) -> dict[str, Any]:
        node = dict(written)
        for key, read in (("pathRef", self._read_path), ("urlRef", self._read_url)):
            if isinstance(node.get(key), str):
                try:
                    document = read(node.pop(key), origin)
                except CliError as error:
                    raise _refuse(error.message, (*prefix, key)) from None
                node["component"] = self._fetch(document, (*prefix, "component"), depth)
                return node
        if isinstance(node.get("component"), Mapping):
            node["component"] = self._inline(
                node["component"], origin, (*prefix, "component"), depth
            )
        run = node.get("run")
        if isinstance(run, Mapping) and isinstance(run.get("operations"), list):
            node["run"] = {
                **run,
                "operations": self._inline_all(run["operations"], origin, prefix, depth),
            }
        return node

    def _inline_all(
        self, operations: list[Any], origin: str, prefix: Steps, depth: int
    ) -> list[Any]:
        return [
            self._inline(one, origin, (*prefix, "run", "operations", index), depth)
            if isinstance(one, Mapping)
            else one
            for index, one in enumerate(operations)
        ]

    def _fetch(self, document: Document, prefix: Steps, depth: int) -> dict[str, Any]:
        if depth >= _DEPTH:
            raise _refuse(
                f"components name each other more than {_DEPTH} times", source=document.source
            )
        component = parse_component(document.data, document=document)
        self.notes += note_spellings(component)
        if document.data.get("kind") == "operation":
            raise _refuse(
                "this is an operation; a pathRef or urlRef names a component",
                source=document.source,
            )
        self.layers.append(Layer(document, prefix, is_named=True))
        return self._inline(component.written, document.source, prefix, depth + 1)

    def _read_path(self, name: str, origin: str) -> Document:
        if _is_address(origin):
            return self._read_url(urllib.parse.urljoin(origin, name), origin)
        path = str(Path(origin).parent / name)
        if _is_special(path):
            raise FileError(path, "it is a pipe or a device: expected a file")
        return read_file(path)

    def _read_url(self, address: str, origin: str) -> Document:
        if not _is_address(address):
            raise CliError(
                f"expected an address that begins with https:// or http://, found {address!r}"
            )
        return read_polyaxonfile(_download(address), source=address)


def _is_special(path: str) -> bool:
    """Whether this is a pipe or a device, of which reading may never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect to a URL that a file could not name."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not _is_address(newurl):
            raise urllib.error.URLError(
                f"it leads to {newurl!r}, which is no https:// or http:// address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _make_opener() -> urllib.request.OpenerDirector:
    """Make an opener for HTTP only: the library's own opener reads files, FTP and data URLs too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _download(address: str) -> bytes:
    try:
        request = urllib.request.Request(
            address,
            headers={"User-Agent": "opstrand", "Accept": "application/yaml, text/plain, */*"},
        )
        with _make_opener().open(request, timeout=_SECONDS) as answer:
            return _read_whole(answer)
    except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
        message = " ".join(str(getattr(error, "reason", error)).split())
        raise CliError(f"could not download {address}: {message}") from None


def _read_whole(answer: http.client.HTTPResponse) -> bytes:
    """Read the body, or one byte more than the limit, which the document refuses with both sizes.

    Raises an error if the body is cut off, because half a file may be valid YAML too.
    """
    deadline, data = time.monotonic() + _MOST_SECONDS, b""
    while len(data) <= MAX_BYTES and (part := answer.read1(min(_CHUNK, MAX_BYTES + 1 - len(data)))):
        data += part
        if time.monotonic() > deadline:
            raise TimeoutError(f"it takes longer than {_MOST_SECONDS:.0f} s")
    if len(data) <= MAX_BYTES and answer.length:
        raise OSError(f"it ended {answer.length} bytes too early")
    return data


def _refuse(message: str, path: Steps = (), *, source: str = "") -> SpecError:
    return SpecError.of([Problem("InvalidSpec", message, dotted(path), source=source)])
