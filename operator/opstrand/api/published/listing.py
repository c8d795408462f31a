"""One run of a list, for sorting and searching: a large run is unpacked only if a field needs it.

Owns which fields can be read without unpacking: listing a project must not cost the memory and time
of everything that its runs contain. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from opstrand.api.published.views import run_view
from opstrand.core.identity import read_outermost, read_pipeline
from opstrand.core.packed import is_large
from opstrand.core.recorded import read_status
from opstrand.core.resolving.query_fields import read_field
from opstrand.runs.bodies import original_of
from opstrand.runs.protocols import Listed

#: Fields whose value is in the head of a large body.
_IN_HEAD = frozenset(
    (
        *(
            "uuid",
            "id",
            "status",
            "pending",
            "created_at",
            "updated_at",
            "started_at",
            "finished_at",
            "duration",
            "wait_time",
        ),
        *("owner", "project", "project.name", "project.owner", "is_managed"),
    )
)


def _original_of(run: Listed) -> dict[str, Any] | None:
    if not is_large(run.head):
        return original_of(run.head)
    kept: dict[str, Any] | None = run.beside["original"]
    return kept


#: The fields that name another run by its uuid, and what such a run is to this one; and the key of
#: the result. None of them needs the whole of a large run.
_LINKS: Mapping[str, Callable[[Listed], Any]] = {
    "pipeline": lambda run: read_pipeline(run.head),
    "controller": lambda run: read_outermost(run.head),
    "original": lambda run: (_original_of(run) or {}).get("uuid"),
    "cloning_kind": lambda run: (_original_of(run) or {}).get("kind"),
    "cache_key": lambda run: read_status(run.head).get("cacheKey"),
}


class Searched:
    """A run of a list as a query sees it."""

    def __init__(self, run: Listed, owner: str) -> None:
        self.run, self._owner = run, owner

    @cached_property
    def _view(self) -> dict[str, Any]:
        return {**run_view(self.run.head, self._owner), **self.run.beside}

    def view(self) -> dict[str, Any]:
        """The run as a list shows it."""
        return run_view(self.run.whole, self._owner) if is_large(self.run.head) else self._view

    def read(self, field: str) -> Any:
        """A field by its name in the query language.

        Artifacts and upstream runs can be searched, though a list does not show them.
        """
        if field in ("upstream", "upstream.uuid") and "upstream" in self.run.beside:
            return self.run.beside["upstream"]
        if field.partition(".")[0] in ("artifacts", "upstream"):
            return read_field(read_status(self.run.whole), field)
        if field in _LINKS:
            return _LINKS[field](self.run)
        is_at_hand = field in _IN_HEAD or field in self.run.beside
        return read_field(self._view if is_at_hand else self.view(), field)
