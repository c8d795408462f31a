"""The values that an operation gives to inputs (`params:`, and `joins[].params`), as the user wrote them.

Owns the fields of a param and its short form. Must not resolve anything: refs, templates and types are `core`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

#: A mapping with none of these keys is a literal value, not the full form.
PARAM_KEYS = frozenset({"value", "ref", "contextOnly", "connection", "toInit", "toEnv"})
JOIN_PARAM_KEYS = PARAM_KEYS - {"ref", "toEnv"}


def _full_form(data: Any, keys: frozenset[str]) -> Any:
    """`3` and `{a: 1}` are values; `{}` and everything with a param's key is the full form."""
    if isinstance(data, Mapping) and (not data or any(key in keys for key in data)):
        return data
    return {"value": data}


class Param(BaseModel):
    """One param. `value` is a literal, a template, or with `ref` what is asked of that run."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True)

    value: Any = Field(None, description="The value, a template, or with a ref what is asked of that run.", examples=["outputs.acc"])
    ref: str | None = Field(None, description="The run that the value comes from: runs.UUID, ops.NAME or dag.", examples=["ops.train"])
    context_only: bool | None = Field(None, description="Whether the value may be undeclared, for templates only.", examples=[True])
    connection: str | None = Field(None, description="Connection that the value belongs to.", examples=["s3-data"])
    to_init: bool | None = Field(None, description="Bring the value into the container before it starts.", examples=[True])
    to_env: str | None = Field(None, description="Environment variable of the main container that holds the value.", examples=["MESSAGE"])

    @model_validator(mode="before")
    @classmethod
    def _accept_short_form(cls, data: Any) -> Any:
        return data if isinstance(data, cls) else _full_form(data, PARAM_KEYS)


class JoinParam(BaseModel):
    """One param of a join: `value` is what is asked of every run that the join finds. It takes no `ref`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True)

    value: Any = Field(None, description="What is asked of each run.", examples=["outputs.loss"])
    context_only: bool | None = Field(None, description="Whether the value may be undeclared, for templates only.", examples=[True])
    connection: str | None = Field(None, description="Connection that the value belongs to.", examples=["s3-data"])
    to_init: bool | None = Field(None, description="Bring the value into the container before it starts.", examples=[True])

    @model_validator(mode="before")
    @classmethod
    def _accept_short_form(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "ref" in data:
            raise ValueError("a join's param cannot have a ref: the join's query names the runs")
        return data if isinstance(data, cls) else _full_form(data, JOIN_PARAM_KEYS)
