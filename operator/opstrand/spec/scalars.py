"""The types of single values: each as documented, or text with a template.

A value that the published package reads in another spelling is refused with the documented one
proposed. Must not know any section.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Strict
from pydantic_core import CoreSchema, core_schema

from opstrand.spec.problems import Handler, propose
from opstrand.spec.respelling import find_whole


def is_template(value: object) -> bool:
    """Whether a value is text that is rendered later, so that its type is not known yet."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


class _OrTemplate:
    """The annotated type, or text with a template, which is validated after rendering."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_pass_templates, handler(source))


def _pass_templates(value: Any, handler: Handler) -> Any:
    return value if is_template(value) else handler(value)


OR_TEMPLATE = _OrTemplate()


class _RealFlag:
    """The annotated flag. A text or number that means true or false is rejected, with the flag
    proposed in its place, since later stages need a real one.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_propose_flag, handler(source))


def _propose_flag(value: Any, handler: Handler) -> Any:
    if isinstance(value, bool):
        return value
    raise propose("true or false", value, handler(value))


class _ListWithCommas:
    """The annotated list. A text with commas is rejected, with the list proposed in its place."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_propose_list, handler(source))


def _propose_list(value: Any, handler: Handler) -> Any:
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",") if word.strip()]
        raise propose("a list", value, words)
    return handler(value)


LIST_WITH_COMMAS = _ListWithCommas()


class _OrText:
    """The annotated integer. A text that is exactly one is rejected, with the number proposed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_propose_whole, handler(source))


def _propose_whole(value: Any, handler: Handler) -> Any:
    whole = find_whole(value) if isinstance(value, str) else None
    if whole is None:
        return handler(value)
    raise propose("a whole number", value, handler(whole.value))


@dataclass(frozen=True)
class Accepts:
    """Says in words what a validator of ours accepts, where the annotated type does not."""

    words: str


Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict(), OR_TEMPLATE]
#: A whole number that the published package also reads from a text.
WholeOrText = Annotated[int, Strict(), _OrText(), OR_TEMPLATE]
Number = Annotated[float, OR_TEMPLATE]
Flag = Annotated[bool, _RealFlag(), OR_TEMPLATE]
Texts = Annotated[list[Text], OR_TEMPLATE]
