"""Validate data as a section, in the documented or another unambiguous spelling.

Owns the replacement of what the errors of the section propose, until nothing is left to replace.
Must not know any one section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from opstrand.errors import MAX_PROBLEMS
from opstrand.spec.respelling import CONTEXT, Key, Path, Respelling, Value, respell

_Model = TypeVar("_Model", bound=BaseModel)
#: The keys below a respelled key are checked only in the next pass. Few sections are nested so
#: deep, and a hostile file gets no more passes.
_PASSES = 4


@dataclass(frozen=True)
class Respelled(Generic[_Model]):
    """A section, its data in the documented spelling, and the respelled keys: (path, documented
    key).
    """

    section: _Model
    data: Any
    keys: tuple[tuple[Path, str], ...] = ()


def validate(
    model: type[_Model], data: Any, *, may_rename: Callable[[Path], bool] = lambda path: True
) -> Respelled[_Model]:
    """The section in `data`, with other spellings replaced. Raises ValidationError for everything
    else that is wrong with it.

    `may_rename` says whether the other spelling of the key at a path is accepted.
    """
    keys: list[tuple[Path, str]] = []
    for _ in range(_PASSES):
        try:
            return Respelled(model.model_validate(data), data, tuple(keys))
        except ValidationError as error:
            found = [
                (path, one)
                for path, one in _find_respellings(error)
                if isinstance(one, Value) or may_rename(path)
            ]
            respelled = respell(data, found)
            if respelled is data:
                raise
            keys += [(path, one.name) for path, one in found if isinstance(one, Key)]
            data = respelled
    return Respelled(model.model_validate(data), data, tuple(keys))


def _find_respellings(error: ValidationError) -> list[tuple[Path, Respelling]]:
    """The proposed respellings.

    Empty if the list of problems is cut off: so many would take too long to validate in each pass.
    """
    found = error.errors(include_url=False, include_input=False)
    if len(found) >= MAX_PROBLEMS:
        return []
    return [(one["loc"], one["ctx"][CONTEXT]) for one in found if CONTEXT in one.get("ctx", ())]
