"""What kopf would remember of every object, for handlers that we do not have: nothing.

kopf compares each event's object with what it last handled, whether anyone asks for the difference
or not, and copies the whole object four times for it: more than half of its time per event. Must
not be used beside `on.create`, `on.update` and their like.
"""

from __future__ import annotations

from typing import Any, cast

from opstrand.handlers.kopf_import import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Every object is the same as before: no essence is built, stored or found."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """No handler is ever under way."""

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
