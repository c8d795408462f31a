"""The values that an operation gives to inputs (`params:`, and `joins[].params`), as the user wrote
them.

Owns the fields of a param and its short form. Must not resolve anything: `core` resolves refs,
templates and types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from opstrand.spec.problems import fail_at
from opstrand.spec.scalars import Accepts, Text
from opstrand.spec.section import Section

#: A mapping with none of these keys is a literal value, not the full form.
PARAM_KEYS = frozenset({"value", "ref", "contextOnly", "connection", "toInit", "toEnv"})
JOIN_PARAM_KEYS = PARAM_KEYS - {"ref", "toEnv"}


def _full_form(data: Any, keys: frozenset[str]) -> Any:
    """The full form: `3` and `{a: 1}` are values; `{}` or any key of a param is the full form."""
    if isinstance(data, Mapping) and (not data or any(key in keys for key in data)):
        return data
    return {"value": data}


class Param(Section):
    """One param. `value` is a literal, a template, or with `ref` what is asked of that run."""

    value: Any = Field(
        None,
        description="The value, a template, or with a ref what is asked of that run.",
        examples=["outputs.acc"],
    )
    ref: str | None = Field(
        None,
        description="The run that the value comes from: runs.UUID, ops.NAME or dag.",
        examples=["ops.train"],
    )
    context_only: bool | None = Field(
        None,
        description="Whether the value may be undeclared, for templates only.",
        examples=[True],
    )
    connection: str | None = Field(
        None, description="Connection that the value belongs to.", examples=["s3-data"]
    )
    to_init: bool | None = Field(
        None, description="Fetch the value into the container before it starts.", examples=[True]
    )
    to_env: str | None = Field(
        None,
        description="Environment variable of the main container that holds the value.",
        examples=["MESSAGE"],
    )

    @classmethod
    def _spread(cls, data: Any) -> Any:
        return data if isinstance(data, cls) else _full_form(data, PARAM_KEYS)


class JoinParam(Section):
    """One param of a join. It accepts no `ref`.

    `value` is what is read from every run that the join finds.
    """

    value: Any = Field(None, description="What is asked of each run.", examples=["outputs.loss"])
    context_only: bool | None = Field(
        None,
        description="Whether the value may be undeclared, for templates only.",
        examples=[True],
    )
    connection: str | None = Field(
        None, description="Connection that the value belongs to.", examples=["s3-data"]
    )
    to_init: bool | None = Field(
        None, description="Fetch the value into the container before it starts.", examples=[True]
    )

    @classmethod
    def _spread(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "ref" in data:
            # A rule of the documentation: a join finds its runs by its query, so its params have no
            # references of their own.
            raise fail_at(
                [
                    (
                        ("ref",),
                        "RefInvalid",
                        "a join's param cannot have a `ref`; the join's query says which runs it "
                        "reads",
                    )
                ],
                data,
            )
        return data if isinstance(data, cls) else _full_form(data, JOIN_PARAM_KEYS)


_FORMS = Accepts("mapping of names to values, or to mappings with these keys")
Params = Annotated[dict[Text, Param], _FORMS]
JoinParams = Annotated[dict[Text, JoinParam], _FORMS]
