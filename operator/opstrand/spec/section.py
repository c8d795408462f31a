"""The base of every section of a polyaxonfile: strict keys in camelCase, templates in place of
values, and the choice by `kind`.

Owns the base class. Must not know any one section, nor word an error (`problems`). Sections build
their validators on first use, so that a job never pays for the matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from opstrand.spec.problems import Handler, describe, fail, fail_at, run_validator
from opstrand.text import find_nearest


class Section(BaseModel):
    """A mapping of the format: every documented key, and no other."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _run_validator(cls, data: Any, handler: Handler) -> Any:
        return run_validator(cls, cls._spread(data), handler)

    @classmethod
    def _spread(cls, data: Any) -> Any:
        """The long form of data that may be written in a short form."""
        return data


@dataclass(frozen=True)
class ByKind:
    """One of several sections, chosen by `kind`.

    The members are given as a function: they are imported only when a file uses one.
    """

    what: str
    members: Callable[[], Mapping[str, type[Section]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.choose)

    def choose(self, data: Any) -> Section:
        members = self.members()
        if isinstance(data, Section) and type(data) in members.values():
            return data
        if not isinstance(data, Mapping):
            raise fail("InvalidSpec", f"expected a mapping with a `kind`, found {describe(data)}")
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in members:
            raise fail_at([(("kind",), "InvalidSpec", self._complain(kind, members))], data)
        return members[kind].model_validate(data)

    def _complain(self, kind: Any, members: Mapping[str, type[Section]]) -> str:
        known = ", ".join(members)
        if kind is None:
            return f"{self.what} needs a kind: {known}"
        near = find_nearest(kind, members) if isinstance(kind, str) else None
        hint = f"; did you mean '{near}'?" if near else ""
        return f"expected a kind of {self.what} ({known}), found {describe(kind)}{hint}"


@dataclass(frozen=True)
class Later:
    """A section whose class is imported on first use, since it contains the section naming it."""

    section: Callable[[], type[Section]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: self.section().model_validate(value)
        )
