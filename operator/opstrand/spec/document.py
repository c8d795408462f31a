"""Read one YAML or JSON document of a file, which knows the line of everything in it.

Owns what is read at all (size, encoding, number of documents) and the look-up of lines. Parsing the
text is the business of `yaml_reader`. Must not know what a polyaxonfile is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.respelling import find_spelling
from opstrand.spec.yaml_reader import MAX_VALUES, Place, read, read_places, refuse
from opstrand.spec.yaml_scalars import FILE, KUBECTL, Dialect

#: More than any Kubernetes object can hold: a larger text cannot become one.
MAX_BYTES = 1_500_000
MAX_DOCUMENTS = 200

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Limits:
    """How much of a stream is read. The defaults are for files written by hand."""

    bytes: int = MAX_BYTES
    documents: int = MAX_DOCUMENTS
    values: int = MAX_VALUES


#: For the output of a cluster's own commands: a list of many objects with their status.
LISTS = Limits(64 * 1024 * 1024, 10_000, 5_000_000)

#: At the beginning of a line this starts a document, whatever surrounds it.
_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_EMPTY = re.compile(r"(?:---)?(?:[ \t]*(?:#[^\n]*)?(?:\n|$))*")


@dataclass(frozen=True)
class Document:
    """The data of one file, or the part of it at `root`.

    `source` is the name shown before lines (a file name, or empty).
    """

    data: Any
    source: str = ""
    text: str = field(default="", repr=False)
    root: Path = ()
    dialect: Dialect = FILE
    most: int = MAX_VALUES

    def inside(self, key: str) -> Document:
        """The value of this key as a document of its own, which still knows its lines."""
        return replace(self, data=self.data[key], root=(*self.root, key))

    @cached_property
    def _places(self) -> Place:
        return read_places(self.text, self.dialect, self.most)

    def locate(self, path: Sequence[str | int]) -> tuple[int, int] | None:
        """Line and column, from 1, of the key or item at `path`, or of its nearest ancestor that
        exists.
        """
        if not self.text:
            return None
        place = self._places
        for part in (*self.root, *path):
            found = part if part in place.children else find_spelling(part, place.children)
            if found is None:
                break
            place = place.children[found]
        return place.line, place.column

    def place(self, problems: Sequence[tuple[Path, Problem]]) -> SpecError:
        """The error of these problems with their lines, sorted by line."""
        placed = []
        for path, problem in problems[:MAX_PROBLEMS]:
            line, column = self.locate(path) or (None, None)
            placed.append(replace(problem, line=line, column=column, source=self.source))
        return SpecError.of(sorted(placed, key=lambda p: (p.line or 0, p.column or 0)))


def parse_document(data: bytes | str, *, source: str = "") -> Document:
    """The one document in `data`.

    Raises SpecError InvalidYAML (with every duplicate key and bad scalar, each with its line) or
    TooLarge.
    """
    text = _decode(data, source, MAX_BYTES)
    return Document(read(text, source), source, text)


def parse_documents(
    data: bytes | str, *, source: str = "", limits: Limits = Limits()
) -> list[Document]:
    """Every document of a stream, read as kubectl does; lines count from the start of the stream.
    Documents without content are left out.
    """
    text = _decode(data, source, limits.bytes)
    starts = [0, *(mark.start() for mark in _START.finditer(text)), len(text)]
    if len(starts) > limits.documents + 2:
        refuse(
            "TooLarge",
            f"there are {len(starts) - 2} documents; at most {limits.documents} are read",
            source,
        )
    found = []
    for start, end in pairwise(starts):
        if not _EMPTY.fullmatch(text, start, end):
            # Blank lines in front keep the line numbers of the whole stream.
            one = "\n" * text.count("\n", 0, start) + text[start:end]
            data = read(one, source, dialect=KUBECTL, most=limits.values)
            found.append(Document(data, source, one, dialect=KUBECTL, most=limits.values))
    return found


def _decode(data: bytes | str, source: str, most: int) -> str:
    if len(data) > most:
        refuse("TooLarge", f"the file has {len(data):,} bytes; at most {most:,} are read", source)
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        refuse(
            "InvalidYAML", f"the text is not UTF-8: byte 0x{data[error.start]:02x}", source, line
        )
