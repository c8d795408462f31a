"""One declared input or output of a component (`inputs:` / `outputs:`), as the user wrote it.

Owns the fields of a declaration and the rules that need no value. Must not convert or check values:
`core.values.types` defines the types, `core.resolving.validation` the checks.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, Strict, model_validator

from opstrand.spec.problems import describe
from opstrand.spec.scalars import Accepts
from opstrand.spec.section import Section

#: Names that have another meaning in a template.
RESERVED_NAMES = ("globals", "params", "connections")


def _validate_bound(value: Any) -> Any:
    try:
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            float(value)
            return value
    except ValueError:
        pass
    raise ValueError(f"expected a number, found {describe(value)}")


#: A text that holds a number is accepted as a number, as everywhere in the format.
Bound = Annotated[Any, BeforeValidator(_validate_bound), Accepts("number")]
Parts = Annotated[Any, Accepts("text or list of text")]
Count = Annotated[int, Strict()]
#: `multiple_of` is accepted for `multipleOf`: a measurement showed that the published package does.
_EITHER_CASE = ConfigDict(populate_by_name=True)


class Validation(Section):
    """What a value must satisfy beyond its type.

    For lists and dictionaries the rules hold for each value inside.
    """

    model_config = _EITHER_CASE

    delay: bool | None = Field(
        None, description="Check when the run starts instead of when it is sent.", examples=[True]
    )
    gt: Bound | None = Field(
        None, description="The number must be greater than this.", examples=[0]
    )
    ge: Bound | None = Field(
        None, description="The number must be greater than or equal to this.", examples=[0]
    )
    lt: Bound | None = Field(None, description="The number must be less than this.", examples=[1])
    le: Bound | None = Field(
        None, description="The number must be less than or equal to this.", examples=[1]
    )
    multiple_of: float | None = Field(
        None, description="The number must be a multiple of this.", examples=[8]
    )
    min_digits: Count | None = Field(
        None,
        description="The number has at least so many digits, its sign not counted.",
        examples=[2],
    )
    max_digits: Count | None = Field(
        None,
        description="The number has at most so many digits, its sign not counted.",
        examples=[4],
    )
    decimal_places: Count | None = Field(
        None, description="The number has at most so many decimal places.", examples=[2]
    )
    regex: str | None = Field(
        None, description="The text must match from its start.", examples=["^s3://"]
    )
    min_length: Count | None = Field(
        None, description="The text has at least so many characters.", examples=[1]
    )
    max_length: Count | None = Field(
        None, description="The text has at most so many characters.", examples=[63]
    )
    contains: Parts | None = Field(
        None, description="The text contains this, or each of these.", examples=["-"]
    )
    excludes: Parts | None = Field(
        None, description="The text contains neither this nor any of these.", examples=[" "]
    )
    options: Annotated[Any, Accepts("list of anything")] | None = Field(
        None,
        description="The values that are allowed; of a text, every part of it.",
        examples=[["adam", "sgd"]],
    )
    min_items: Count | None = Field(
        None, description="The list or dictionary has at least so many items.", examples=[1]
    )
    max_items: Count | None = Field(
        None, description="The list or dictionary has at most so many items.", examples=[10]
    )
    keys: list[str] | None = Field(
        None, description="The dictionary has exactly these keys.", examples=[["train", "test"]]
    )
    contains_keys: list[str] | None = Field(
        None, description="The dictionary has at least these keys.", examples=[["train"]]
    )
    excludes_keys: list[str] | None = Field(
        None, description="The dictionary has none of these keys.", examples=[["secret"]]
    )


class IO(Section):
    """A declared input or output.

    `is_optional` is as written: use `is_required`, since a default, even null, makes an input
    optional. `has_default` distinguishes a null default from none.
    """

    model_config = _EITHER_CASE

    name: str = Field(
        description="Name of the value in params and templates.", examples=["message"]
    )
    description: str | None = Field(
        None, description="What the value is for, for people.", examples=["What to print."]
    )
    type: str | None = Field(
        None,
        description="Type that a value is converted to. Without one, any value is kept as it is.",
        examples=["str"],
    )
    value: Any = Field(
        None, description="The default. It makes an input optional.", examples=["Default message"]
    )
    is_optional: bool | None = Field(
        None, description="Whether the run starts without a value.", examples=[True]
    )
    is_list: bool | None = Field(
        None, description="Whether the value is a list of the type.", examples=[False]
    )
    is_flag: bool | None = Field(
        None, description="For bool: as an argument it is `--name` or nothing.", examples=[True]
    )
    arg_format: str | None = Field(
        None, description="Template of the value as an argument.", examples=["--lr={{ lr }}"]
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
    validation: Validation | None = Field(
        None, description="What a value must satisfy beyond its type.", examples=[{"ge": 0}]
    )
    delay_validation: bool | None = Field(
        None,
        description=(
            "Whether the value may be missing when the run is sent. Default: on for outputs."
        ),
        examples=[True],
    )
    options: Annotated[Any, Accepts("list of anything")] | None = Field(
        None,
        description="The values that are allowed; of a text, every part of it.",
        examples=[["adam", "sgd"]],
    )

    @property
    def has_default(self) -> bool:
        return "value" in self.model_fields_set

    @property
    def is_required(self) -> bool:
        return not self.is_optional and not self.has_default

    @model_validator(mode="after")
    def _validate(self) -> IO:
        if not self.name:
            raise ValueError("a declaration needs a name")
        if self.name in RESERVED_NAMES:
            raise ValueError(f"'{self.name}' is a reserved name ({', '.join(RESERVED_NAMES)})")
        if self.is_optional is False and self.value is not None:
            raise ValueError(
                f"'{self.name}' is not optional and has the default {self.value!r}; make it "
                "optional or remove the default"
            )
        if self.is_flag and self.type != "bool":
            raise ValueError(
                f"'{self.name}' of type '{self.type}' cannot be a flag; a flag must be of type "
                "'bool'"
            )
        return self
