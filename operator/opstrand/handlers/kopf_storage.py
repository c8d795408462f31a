"""kopf's storages for the state of each object, which keep nothing: we have no handlers for it.

kopf compares the object of each event with the one it last handled, even if no handler uses the
difference, and copies the whole object four times for it: more than half of its time per event.
Must not be used together with `on.create`, `on.update` and the like.
"""

from __future__ import annotations

from typing import Any, cast

from opstrand.handlers.kopf_import import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Reports every object as unchanged: no essence is built, stored or found."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """Reports no handler as in progress."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
