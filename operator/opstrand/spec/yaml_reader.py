"""Read the text of one YAML or JSON document into data, defensively.

Owns the YAML that is read: YAML 1.1, as the published package reads it (`010` is 8, and `1e-3` is
text, which every number type accepts). Where JSON and Kubernetes would lose a value, their rules
hold instead: keys are text, timestamps stay text, and there are no language tags, infinities or
duplicate keys. Owns the limits on the size of the data. Must not know files.

The events of the C scanner become data directly, without a node tree. Lines and columns are found
by reading the text again, only when an error needs one, so that a correct file pays nothing for its
error messages.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.yaml_scalars import FILE, SHOWN, TAG, BadScalar, Dialect
from opstrand.text import shorten

#: Characters of all texts after the expansion of aliases: longer data fits into no object of a
#: cluster.
MAX_CHARACTERS = 1_500_000
#: Values after the expansion of aliases. A file of 500 operations has about 15,000.
MAX_VALUES = 100_000
MAX_DEPTH = 64
#: Each anchor costs about twice the memory of its name; no file written by hand has as many.
MAX_ANCHORS = 10_000
_MAX_KEY = 1_000
INT64 = range(-(2**63), 2**63)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = object()
#: The surrogate pair that JSON writes a character beyond 16 bits as. `_ESCAPE` also matches every
#: other escape, so that `\\ud83d`, an escaped backslash before text, is not read as a surrogate.
_HALVES = re.compile(
    r"\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)
_ESCAPE = re.compile(rf"{_HALVES.pattern}|\\.", re.DOTALL)


@dataclass
class Place:
    """Line and column of a value, from 1, and the places of the values inside it."""

    line: int
    column: int
    children: dict[str | int, Place] = field(default_factory=dict)


def read(text: str, source: str = "", *, dialect: Dialect = FILE, most: int = MAX_VALUES) -> Any:
    """The data of a text.

    Raises SpecError InvalidYAML (with every duplicate key and bad scalar, each with its line) or
    TooLarge.
    """
    return _Reader(join_halves(text), source=source, dialect=dialect, most=most).read()


def read_places(text: str, dialect: Dialect = FILE, most: int = MAX_VALUES) -> Place:
    """The place of the root of a text that `read` has accepted."""
    reader = _Reader(join_halves(text), places=True, dialect=dialect, most=most)
    reader.read()
    return reader.root_place


def join_halves(text: str) -> str:
    """A JSON text with its surrogate pairs replaced by the escape that YAML has for the character.

    Other texts are returned unchanged.
    """
    if not _HALVES.search(text) or not _is_json(text):
        return text
    return _ESCAPE.sub(lambda found: _join(found) if found["high"] else found[0], text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _join(found: re.Match[str]) -> str:
    high, low = int(found["high"], 16), int(found["low"], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def refuse(
    reason: str, message: str, source: str, line: int | None = None, column: int | None = None
) -> NoReturn:
    raise SpecError.of([Problem(reason, message, "", line, column, source)])


@dataclass
class _Frame:
    """A list or mapping that is being read."""

    value: Any
    anchor: str | None
    start: int
    first_character: int
    place: Place | None
    key: Any = None
    has_key: bool = False
    key_place: tuple[int, int] = (0, 0)
    lines: dict[str, int] = field(default_factory=dict)
    merges: list[Any] = field(default_factory=list)


class _Reader:
    def __init__(
        self, text: str, *, source: str = "", places: bool = False, dialect: Dialect, most: int
    ) -> None:
        self.text = text
        self.source = source
        self.dialect = dialect
        self.most = most
        self.keeps_places = places
        self.problems: list[Problem] = []
        #: Name -> (value, the number of values and of characters in it, place).
        self.anchors: dict[str, tuple[Any, int, int, Place | None]] = {}
        self.count = 0
        self.characters = 0
        self.most_characters = max(MAX_CHARACTERS, len(text))
        self.stack: list[_Frame] = []
        self.root: Any = None
        self.root_place = Place(1, 1)
        self.documents = 0

    def read(self) -> Any:
        try:
            for event in self._events():
                self._handle(event)
        except yaml.MarkedYAMLError as error:
            self._note_syntax(error)
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            character = (
                error.character if isinstance(error.character, str) else chr(error.character)
            )
            self.problems.append(
                self._problem(f"the character {character!r} is not allowed in YAML", line)
            )
        except yaml.YAMLError as error:
            self.problems.append(self._problem(f"not YAML: {error}", None))
        if self.problems:
            raise SpecError.of(self.problems)
        return self.root

    def _events(self) -> Iterator[Any]:
        try:
            loader = _Loader(self.text)
        except UnicodeEncodeError as error:
            line = self.text.count("\n", 0, error.start) + 1
            refuse(
                "InvalidYAML",
                "the text holds half a character (a lone surrogate)",
                self.source,
                line,
            )
        try:
            while loader.check_event():
                yield loader.get_event()
        finally:
            loader.dispose()

    # -- one event ---------------------------------------------------------------------------------

    def _handle(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._handle_scalar(event)
            case yaml.MappingStartEvent():
                self._open({}, event)
            case yaml.SequenceStartEvent():
                self._open([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._handle_alias(event)
            case yaml.DocumentStartEvent():
                self._start_document(event)
            case _:
                pass

    def _start_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            mark = event.start_mark
            refuse(
                "InvalidYAML",
                "a second document starts here; one file holds one",
                self.source,
                mark.line + 1,
                1,
            )

    def _handle_scalar(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and not frame.has_key:
            self._handle_key(frame, event)
            return
        self._count(event, 1, len(event.value))
        value = self._construct(event)
        if event.anchor:
            self._keep_anchor(event.anchor, (value, 1, len(event.value), None))
        self._put(value, self._place_of(event))

    def _handle_key(self, frame: _Frame, event: Any) -> None:
        self._count(event, 1, len(event.value))
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        frame.has_key, frame.key_place = True, (line, column)
        if event.tag == f"{TAG}merge" or (event.value == "<<" and event.implicit[0]):
            frame.key = _MERGE
            return
        key = frame.key = self._construct_key(event)
        if len(key) > _MAX_KEY:
            self._note(f"the key {shorten(key, SHOWN)} is too long", event)
        if event.anchor:
            self._keep_anchor(event.anchor, (key, 1, len(key), None))
        if key in frame.lines:
            self._note(
                f"the key '{shorten(key, SHOWN)}' is already on line {frame.lines[key]}", event
            )
        frame.lines[key] = line

    def _construct_key(self, event: Any) -> str:
        try:
            return self.dialect.construct_key(event.value, event.tag, is_plain=event.implicit[0])
        except BadScalar as error:
            self._note(str(error), event)
            return str(event.value)

    def _handle_alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            self._stop(f"the alias *{event.anchor} has no finished anchor before it", event)
        value, size, characters, place = self.anchors[event.anchor]
        self._count(event, size, characters)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and not frame.has_key:
            self._stop("an alias cannot be a key", event)
        self._put(value, place or self._place_of(event))

    def _open(self, value: Any, event: Any) -> None:
        self._count(event, 1)
        if len(self.stack) >= MAX_DEPTH:
            self._stop(f"nested more than {MAX_DEPTH} levels deep", event)
        if self.stack and isinstance(self.stack[-1].value, dict) and not self.stack[-1].has_key:
            self._stop(
                'a key must be text, not a list or a mapping (quote a template: "{{ name }}")',
                event,
            )
        if event.tag not in (None, "!", f"{TAG}{'map' if isinstance(value, dict) else 'seq'}"):
            self._note(f"the tag {shorten(event.tag, SHOWN)} is not supported here", event)
        self.stack.append(
            _Frame(value, event.anchor, self.count, self.characters, self._place_of(event))
        )

    def _close(self) -> None:
        frame = self.stack.pop()
        for merged in frame.merges:
            for key, value in merged.items():
                frame.value.setdefault(key, value)
        if frame.anchor:
            size, characters = self.count - frame.start + 1, self.characters - frame.first_character
            self._keep_anchor(frame.anchor, (frame.value, size, characters, frame.place))
        self._put(frame.value, frame.place)

    def _keep_anchor(self, name: str, meaning: tuple[Any, int, int, Place | None]) -> None:
        self.anchors[name] = meaning
        if len(self.anchors) > MAX_ANCHORS:
            refuse("TooLarge", f"there are more than {MAX_ANCHORS} anchors", self.source)

    # -- values ------------------------------------------------------------------------------------

    def _put(self, value: Any, place: Place | None) -> None:
        if not self.stack:
            self.root = value
            self.root_place = place or self.root_place
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            if place is not None and frame.place is not None:
                frame.place.children[len(frame.value)] = place
            frame.value.append(value)
            return
        frame.has_key = False
        if frame.key is _MERGE:
            self._merge(frame, value, place)
            return
        frame.value[frame.key] = value
        if place is not None and frame.place is not None:
            frame.place.children[frame.key] = Place(*frame.key_place, place.children)

    def _merge(self, frame: _Frame, value: Any, place: Place | None) -> None:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self.problems.append(
                self._problem("'<<' accepts a mapping or a list of mappings", *frame.key_place)
            )
            return
        # Merged keys are counted again, so that a chain of merges cannot grow without limit.
        self.count += sum(map(len, sources))
        frame.merges.extend(sources)
        if place is not None and frame.place is not None:
            for key, child in place.children.items():
                frame.place.children.setdefault(key, child)

    def _construct(self, event: Any) -> Any:
        if self.keeps_places:
            return event.value  # `read` has converted the values; only places are needed
        try:
            value = self.dialect.construct(event.value, event.tag, is_plain=event.implicit[0])
        except BadScalar as error:
            return self._note(str(error), event)
        return self._bounded(value, event)

    def _bounded(self, value: Any, event: Any) -> Any:
        if isinstance(value, int) and value not in INT64:
            return self._note(
                f"the number {shorten(event.value, SHOWN)} does not fit into 64 bits; quote it if "
                "it is text",
                event,
            )
        if isinstance(value, float) and not math.isfinite(value):
            return self._note(
                f"{shorten(event.value, SHOWN)} is not a finite number; JSON and Kubernetes have "
                "no such value",
                event,
            )
        return value

    def _place_of(self, event: Any) -> Place | None:
        mark = event.start_mark
        return Place(mark.line + 1, mark.column + 1) if self.keeps_places else None

    # -- problems ----------------------------------------------------------------------------------

    def _count(self, event: Any, size: int, characters: int = 0) -> None:
        self.count += size
        self.characters += characters
        if self.count > self.most or self.characters > self.most_characters:
            mark = event.start_mark
            much = (
                f"{self.most:,} values"
                if self.count > self.most
                else f"{self.most_characters:,} characters"
            )
            message = f"more than {much} (aliases count as what they stand for)"
            refuse("TooLarge", message, self.source, mark.line + 1, mark.column + 1)

    def _note(self, message: str, event: Any) -> None:
        mark = event.start_mark
        self.problems.append(self._problem(message, mark.line + 1, mark.column + 1))
        if len(self.problems) >= MAX_PROBLEMS:
            raise SpecError.of(self.problems)

    def _stop(self, message: str, event: Any) -> None:
        self._note(message, event)
        raise SpecError.of(self.problems)

    def _note_syntax(self, error: Any) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        message = ", ".join(part for part in (error.context, error.problem) if part) or "not YAML"
        if (
            isinstance(error, yaml.scanner.ScannerError)
            and mark
            and self._character_at(mark) == "\t"
        ):
            message = "a tab cannot indent; use spaces"
        self.problems.append(self._problem(message, line, column))

    def _character_at(self, mark: Any) -> str:
        lines = self.text.splitlines()
        return lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""

    def _problem(self, message: str, line: int | None, column: int | None = None) -> Problem:
        return Problem("InvalidYAML", message, "", line, column, self.source)
