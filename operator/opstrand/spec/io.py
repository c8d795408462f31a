"""One declared input or output of a component (`inputs:` / `outputs:`), as the user wrote it.

Owns the fields of a declaration and the rules that can be judged without a value. Must not convert or check values: the meaning of a
type is `core.types`' business.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

#: Names that a template already knows as something else.
RESERVED_NAMES = ("globals", "params", "connections")


class _Written(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class Validation(_Written):
    """What a value must satisfy beyond its type. Item-wise for lists and the values of dicts."""

    delay: bool | None = None
    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None
    multiple_of: float | None = None
    min_digits: int | None = None
    max_digits: int | None = None
    decimal_places: int | None = None
    regex: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    contains: Any = None
    excludes: Any = None
    options: Any = None
    min_items: int | None = None
    max_items: int | None = None
    keys: list[str] | None = None
    contains_keys: list[str] | None = None
    excludes_keys: list[str] | None = None


class IO(_Written):
    """A declared input or output.

    `is_optional` is as written; ask `is_required`, since a default (a null one too) makes an input optional. `has_default` tells a
    null default from none.
    """

    name: str
    description: str | None = None
    type: str | None = None
    value: Any = None
    is_optional: bool | None = None
    is_list: bool | None = None
    is_flag: bool | None = None
    arg_format: str | None = None
    connection: str | None = None
    to_init: bool | None = None
    to_env: str | None = None
    validation: Validation | None = None
    delay_validation: bool | None = None
    options: list[Any] | None = Field(default=None)

    @property
    def has_default(self) -> bool:
        return "value" in self.model_fields_set

    @property
    def is_required(self) -> bool:
        return not self.is_optional and not self.has_default

    @model_validator(mode="after")
    def _judge(self) -> IO:
        if not self.name:
            raise ValueError("a declaration needs a name")
        if self.name in RESERVED_NAMES:
            raise ValueError(f"'{self.name}' is a reserved name ({', '.join(RESERVED_NAMES)})")
        if self.is_optional is False and self.value is not None:
            raise ValueError(f"'{self.name}' is not optional and has the default {self.value!r}; make it optional or remove the default")
        if self.is_flag and self.type != "bool":
            raise ValueError(f"'{self.name}' of type '{self.type}' cannot be a flag; a flag must be of type 'bool'")
        return self
