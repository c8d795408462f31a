"""Clean containers after rendering: text where Kubernetes wants text, no empty items in a command.

Owns the cleaning of `command`, `args`, `env` and of the other text fields of a container that a
template may have filled with a number. Must not add anything of the operator's: the Pod's builder
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.templates.traced import Piece, TracedText, is_traced, pieces_of
from opstrand.core.values.scalars import format_json
from opstrand.core.values.types import to_text
from opstrand.errors import SpecError
from opstrand.text import shorten

_TEXTS = ("name", "image", "imagePullPolicy", "workingDir")
_LISTS = ("command", "args")


def clean_container(
    container: Mapping[str, Any], path: str, *, drop_empty: bool = False
) -> dict[str, Any]:
    """Return the container with texts where Kubernetes wants texts.

    `drop_empty`: drop items of command and args that are null or "" (for the main container).
    """
    cleaned = dict(container)
    for key in _TEXTS:
        if cleaned.get(key) is not None:
            cleaned[key] = _to_field(cleaned[key], f"{path}.{key}")
    for key in _LISTS:
        if cleaned.get(key) is not None:
            cleaned[key] = _clean_items(cleaned[key], f"{path}.{key}", drop_empty)
    if cleaned.get("env") is not None:
        cleaned["env"] = merge_env(cleaned["env"], f"{path}.env")
    if isinstance(cleaned.get("resources"), Mapping):
        cleaned["resources"] = clean_resources(cleaned["resources"])
    return cleaned


def _to_field(value: Any, path: str) -> str:
    if isinstance(value, Mapping | list):
        raise SpecError("InvalidSpec", f"expected a text, found {shorten(repr(value), 80)}", path)
    return to_text(value)


def _clean_items(items: Any, path: str, drop_empty: bool) -> list[str]:
    if isinstance(items, Mapping):
        raise SpecError("InvalidSpec", f"expected a list, found {shorten(repr(items), 80)}", path)
    # A text is the list's only item, as the published converter renders it: no shell splits it into
    # words.
    items = items if isinstance(items, list) else [items]
    return [_to_item(item) for item in items if not (drop_empty and (item is None or item == ""))]


def _to_item(item: Any) -> str:
    """Return an item as text; a null is the empty text, as for Kubernetes.

    A list or mapping becomes Python's text of it. If a part of it is printed, all of it is: the
    quotes are not the author's.
    """
    if isinstance(item, str) or item is None:
        return item or ""
    return TracedText.of_pieces([Piece(str(item), True)]) if is_traced(item) else str(item)


def merge_env(env: Any, path: str = "env") -> list[dict[str, Any]]:
    """Return one entry per name: the last one, at its own position.

    Every value is text, lists and dictionaries as JSON. A null is no value, as for Kubernetes: the
    variable is empty, or what its `valueFrom` says.
    """
    if not isinstance(env, list):
        raise SpecError(
            "InvalidSpec",
            f"expected a list of {{name, value}}, found {shorten(repr(env), 80)}",
            path,
        )
    merged: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(env):
        if not isinstance(entry, Mapping) or entry.get("name") in (None, ""):
            raise SpecError(
                "InvalidSpec",
                f"expected {{name, value}}, found {shorten(repr(entry), 80)}",
                f"{path}[{index}]",
            )
        name = to_text(entry["name"])
        merged.pop(name, None)
        given = {key: item for key, item in entry.items() if item is not None}
        value = {"value": to_traced_text(given["value"])} if "value" in given else {}
        merged[name] = {**given, "name": name, **value}
    return list(merged.values())


def to_traced_text(value: Any) -> str:
    """Return a value as text that keeps track of what a template printed, also within JSON."""
    if isinstance(value, str):
        return value
    return TracedText.of_pieces(_iter_json(value)) if is_traced(value) else to_text(value)


def _iter_json(value: Any) -> Iterator[Piece]:
    """Yield the pieces of the JSON that `to_text` makes.

    The characters of a text are escaped one by one, so its pieces can be too.
    """
    if isinstance(value, Mapping):
        yield from _iter_joined(
            "{",
            "}",
            [
                [*_iter_json(key), Piece(":", False), *_iter_json(item)]
                for key, item in value.items()
            ],
        )
    elif isinstance(value, list | tuple):
        yield from _iter_joined("[", "]", [list(_iter_json(item)) for item in value])
    elif isinstance(value, str):
        yield Piece('"', False)
        yield from (Piece(format_json(text)[1:-1], printed) for text, printed in pieces_of(value))
        yield Piece('"', False)
    else:
        yield Piece(format_json(value), False)


def _iter_joined(opening: str, closing: str, items: list[list[Piece]]) -> Iterator[Piece]:
    for index, item in enumerate(items):
        yield Piece("," if index else opening, False)
        yield from item
    yield Piece(closing if items else opening + closing, False)


def clean_resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return quantities as text: Kubernetes also accepts numbers, but its typed clients do not."""
    cleaned = dict(resources)
    for key in ("limits", "requests"):
        if isinstance(cleaned.get(key), Mapping):
            cleaned[key] = {
                name: to_text(amount) for name, amount in cleaned[key].items() if amount is not None
            }
    return cleaned


def clean_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return labels, annotations and node selectors as maps of text."""
    cleaned = dict(environment)
    for key in ("labels", "annotations", "nodeSelector"):
        if isinstance(cleaned.get(key), Mapping):
            cleaned[key] = {
                name: to_text(value) for name, value in cleaned[key].items() if value is not None
            }
    return cleaned
