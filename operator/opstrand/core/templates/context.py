"""What templates can read.

That is `globals`, `params`, every input, output and context value by its name, `connections` and
`init`. Owns the spelling of a value as an argument (`as_arg`, `as_args`, `as_str`). Must not
resolve or render anything but `argFormat`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opstrand.core.identity import Identity, render_globals
from opstrand.core.templates.meter import Exhausted
from opstrand.core.templates.template import Evaluate, NotGiven, View, refuse, render_one
from opstrand.core.values.types import to_text
from opstrand.errors import SpecError
from opstrand.spec.io import IO

_FACTS = ("value", "type", "connection", "as_str", "as_arg")


@dataclass(frozen=True)
class ParamView(View):
    """`params.<name>`: a value with its declaration.

    `as_str` and `as_arg` are made when they are read.
    """

    name: str
    value: Any
    io: IO | None = None
    connection: str | None = None
    evaluate: Evaluate = refuse

    def __getitem__(self, key: str) -> Any:
        match key:
            case "value":
                return self.value
            case "type":
                return self.io.type if self.io else None
            case "connection":
                return self.connection
            case "as_str":
                return self.as_str
            case "as_arg":
                return self.as_arg
            case _:
                raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in _FACTS

    def __iter__(self) -> Iterator[str]:
        return iter(_FACTS)

    def __len__(self) -> int:
        return len(_FACTS)

    @property
    def is_flag(self) -> bool:
        return bool(self.io and self.io.is_flag)

    @cached_property
    def as_str(self) -> Any:
        return self.as_arg if self.is_flag else ("" if self.value is None else to_text(self.value))

    @cached_property
    def as_arg(self) -> Any:
        """`--name=value`, a flag's `--name`, or the rendered `argFormat`; empty if absent."""
        if self.value is None:
            return ""
        if self.io and self.io.arg_format:
            path = f"inputs.{self.name}.argFormat"
            # The author of the file wrote the text of the `argFormat`, and it keeps that trace
            # wherever the argument goes.
            return render_one(
                self.io.arg_format,
                {self.name: self.value},
                path,
                evaluate=self.evaluate,
                traced=True,
            )
        if self.is_flag:
            return f"--{self.name}" if self.value else ""
        return f"--{self.name}={to_text(self.value)}"

    def as_plain(self) -> dict[str, Any]:
        return self._plain

    @cached_property
    def _plain(self) -> dict[str, Any]:
        plain = {key: self[key] for key in _FACTS if key != "as_arg"}
        try:
            return {**plain, "as_arg": self.as_arg}
        except Exhausted:
            raise
        except SpecError:  # a wrong argFormat is an error only where as_arg is read
            return plain


class ParamsView(View):
    """`params`: every value by name, and `as_args`.

    It is filled as values settle; what is made of all of them is made once.
    """

    def __init__(self) -> None:
        self.views: dict[str, ParamView] = {}
        self._args: list[Any] | None = None
        self._plain: dict[str, Any] | None = None

    def add(self, view: ParamView) -> None:
        self.views[view.name] = view
        self._args = self._plain = None

    def __getitem__(self, key: str) -> Any:
        return self.as_args() if key == "as_args" else self.views[key]

    def __contains__(self, key: object) -> bool:
        return key == "as_args" or key in self.views

    def __iter__(self) -> Iterator[str]:
        return iter([*self.views, "as_args"])

    def __len__(self) -> int:
        return len(self.views) + 1

    def as_args(self) -> list[Any]:
        """Return the non-empty arguments of inputs, outputs and context values, in that order."""
        if self._args is None:
            self._args = [
                arg
                for arg in (view.as_arg for view in self.views.values())
                if arg is not None and arg != ""
            ]
        return self._args

    def as_plain(self) -> dict[str, Any]:
        if self._plain is None:
            plain: dict[str, Any] = {name: view.as_plain() for name, view in self.views.items()}
            args = [view.get("as_arg") for view in plain.values()]
            self._plain = {
                **plain,
                "as_args": [arg for arg in args if arg is not None and arg != ""],
            }
        return self._plain


class Scope:
    """The context of one run's templates while it is filled: `add` each value as it settles."""

    def __init__(self, identity: Identity, *, evaluate: Evaluate = refuse) -> None:
        self.params = ParamsView()
        self.values: dict[str, Any] = {"globals": render_globals(identity), "params": self.params}
        self._evaluate = evaluate

    def add(
        self, name: str, value: Any, io: IO | None = None, connection: str | None = None
    ) -> None:
        """Make a value readable.

        If inputs and outputs share a name, the later one counts: add outputs after inputs.
        """
        view = ParamView(name, value, io, connection, self._evaluate)
        self.params.add(view)
        self.values[name] = (f"--{name}" if value else "") if view.is_flag else value

    def add_not_given(self, *names: str, reason: str, message: str) -> None:
        """Add names such as `connections` and `init` whose values are unknown without a catalog.

        No text that reads them can be rendered.
        """
        for name in names:
            self.values.setdefault(name, NotGiven(reason, message))

    def add_mappings(self, **named: Mapping[str, Any]) -> None:
        """Add `connections` and `init`; a value of the same name wins over them."""
        for name, mapping in named.items():
            self.values.setdefault(name, dict(mapping))
