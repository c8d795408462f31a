"""The files of the pages, as they are sent: compressed, with an ETag.

Owns which files there are and their types. Reads each once; must not know HTTP.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent
#: Suffix -> the type by which a browser knows the file. No other file is sent.
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_ROOMS = ("app", "vendor")


@dataclass(frozen=True)
class PageFile:
    """One file. `tag` changes with its content."""

    content: bytes
    compressed: bytes
    content_type: str
    tag: str

    @classmethod
    def of(cls, content: bytes, content_type: str) -> PageFile:
        tag = hashlib.sha256(content).hexdigest()[:32]
        return cls(content, gzip.compress(content, 9, mtime=0), content_type, tag)


@cache
def list_files() -> dict[str, Path]:
    """The files by the path under which a browser asks for them: `app/main.js`."""
    return {
        str(path.relative_to(_FOLDER)): path
        for room in _ROOMS
        for path in sorted((_FOLDER / room).rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }


@cache
def read_file(name: str) -> PageFile:
    """One of them. Raises KeyError."""
    path = list_files()[name]
    return PageFile.of(path.read_bytes(), _TYPES[path.suffix])


@lru_cache(maxsize=32)
def read_page(depth: int) -> PageFile:
    """The one page, for an address with so many slashes behind `/ui/`. Its links are relative: so
    it works behind any prefix of a proxy.
    """
    root = "../" * depth or "./"
    text = (_FOLDER / "page.html").read_text(encoding="utf-8")
    return PageFile.of(text.replace("{root}", root).encode(), "text/html")
