"""The environment of the template language: what a template may call, and what it may print.

It prints only values.

Owns the immutable sandbox, the package's filter and opstrand's own test, what an unknown name does,
and the handling of objects that are no values (methods, functions, macros, namespaces, iterators):
they may be called and iterated, but have no text, whatever filter, operator or format requests one,
since their default text would show a memory address. Must not compile or evaluate a template.
"""

from __future__ import annotations

import functools
import re
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Set,
    ValuesView,
)
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.runtime import BlockReference, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, missing
from jinja2.visitor import NodeTransformer

from opstrand.core.templates.template import EvaluationFailed

#: Results that are lists in all but name.
LAZY: tuple[type[Iterable[Any]], ...] = (
    range,
    Iterator,
    Set,
    tuple,
    KeysView,
    ValuesView,
    ItemsView,
)
_VIEWS = (KeysView, ValuesView, ItemsView)
#: Objects of the engine that have a name in a template.
_OBJECTS = (Macro, LoopContext, TemplateReference, BlockReference)


class UnknownName(jinja2.UndefinedError):
    """A name that does not exist was used; `name` is None if it was a part of a value."""

    def __init__(self, message: str, name: str | None) -> None:
        super().__init__(message)
        self.name = name


class Unknown(jinja2.Undefined):
    """An unknown name: false when tested, an error when printed, iterated or compared."""

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> NoReturn:
        is_top = self._undefined_obj is missing
        raise UnknownName(self._undefined_message, self._undefined_name if is_top else None)

    __str__ = __repr__ = __format__ = __iter__ = __len__ = __eq__ = __ne__ = __contains__ = (
        _fail_with_undefined_error
    )
    # The base class sets these to its own function.
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __div__ = __rdiv__ = (
        _fail_with_undefined_error
    )
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = (
        _fail_with_undefined_error
    )
    __pos__ = __neg__ = __call__ = __getitem__ = __lt__ = __le__ = __gt__ = __ge__ = (
        _fail_with_undefined_error
    )
    __int__ = __float__ = __complex__ = __pow__ = __rpow__ = _fail_with_undefined_error
    __hash__ = jinja2.Undefined.__hash__


def refuse_text(value: Any) -> NoReturn:
    raise EvaluationFailed(f"a {type(value).__name__.lower()} is no value that could be printed")


class _NoText:
    """An object without a text: str(), repr() and format() fail."""

    def __str__(self) -> str:
        refuse_text(self)

    def __repr__(self) -> str:
        refuse_text(self)

    def __format__(self, spec: str) -> str:
        refuse_text(self)


class Function(_NoText):
    """A function or method, which can be called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return shield(self.function(*args, **kwargs))


class _Namespace(_NoText, Namespace):
    pass


class _Cycler(_NoText, Cycler):
    pass


class _Joiner(_NoText, Joiner):
    pass


class Lazy(Iterator[Any]):
    """An iterator whose text is that of the list that it makes."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __next__(self) -> Any:
        return shield(next(self._items))

    def __str__(self) -> str:
        return str(list(self))

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def shield(value: Any) -> Any:
    """Wrap what an attribute, an item, a call or a filter returns to a template."""
    if isinstance(value, _VIEWS):
        return list(value)
    if isinstance(value, Iterator) and not isinstance(value, Lazy | LoopContext):
        return Lazy(value)
    if callable(value) and not isinstance(
        value, jinja2.Undefined | _NoText | Macro | LoopContext | TemplateReference
    ):
        return Function(value)
    return value


class Sandbox(ImmutableSandboxedEnvironment):
    """The immutable sandbox, which returns no object with a text of its own."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return shield(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return shield(super().getitem(obj, argument))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        function = __obj.function if isinstance(__obj, Function) else __obj
        return shield(super().call(__context, function, *args, **kwargs))


def print_value(value: Any) -> Any:
    """Return what is printed for a value: lazy results as lists, never a memory address."""
    if isinstance(value, LAZY):
        return list(value)
    if value is None or isinstance(
        value, str | bool | int | float | list | Mapping | jinja2.Undefined
    ):
        return value
    refuse_text(value)


def _to_json_value(value: Any) -> Any:
    """Return the JSON form of what JSON does not have, the same as in a text."""
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises for an unknown name
    if isinstance(value, LAZY):
        return list(value)
    refuse_text(value)


#: A filter name that no template can write.
_VALUE = "value of a name"


@jinja2.pass_context  # never evaluated while compiling: the context is not known then
def _require_value(context: jinja2.runtime.Context, value: Any) -> Any:
    if isinstance(value, _OBJECTS):
        refuse_text(value)
    return value


class _Guard(NodeTransformer):
    """Require a value for every name that is neither called nor accessed by a part.

    Macros and loops would otherwise print texts of their own.
    """

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.ctx != "load":
            return node
        return nodes.Filter(node, _VALUE, [], [], None, None).set_lineno(node.lineno)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        return self._visit_parts(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        return self._visit_parts(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        return self._visit_parts(node)

    def _visit_parts(self, node: Any) -> nodes.Node:
        owner = node.node
        self.generic_visit(node)
        if isinstance(owner, nodes.Name):
            node.node = owner
        return node  # type: ignore[no-any-return]


def guard(tree: nodes.Template) -> nodes.Template:
    """Guard a template: names of objects that are no values can be used, but not printed."""
    guarded: nodes.Template = _Guard().visit(tree)
    return guarded


def _shield_result(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def shielded(*args: Any, **kwargs: Any) -> Any:
        return shield(function(*args, **kwargs))

    return shielded


def _map_format(value: Any, pattern: Any, variable_name: str | None = None) -> str:
    """Apply `pattern % value`: a filter of the published package."""
    return str(pattern % ({variable_name: value} if variable_name else value))


def _is_matching(text: str, pattern: str) -> bool:
    return re.match(pattern, text) is not None


def make_environment() -> Sandbox:
    environment = Sandbox(
        undefined=Unknown, keep_trailing_newline=True, autoescape=False, finalize=print_value
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _to_json_value}
    environment.filters["map_format"] = _map_format
    # A run has the same plan at every retry and on every machine: nothing is random.
    del environment.filters["random"]
    environment.filters |= {
        name: _shield_result(function) for name, function in environment.filters.items()
    }
    environment.filters[_VALUE] = _require_value
    environment.tests["matching"] = _is_matching
    # Memory and time bound the use of a range; its length alone costs nothing.
    functions = {
        "range": range,
        "dict": dict,
        "namespace": _Namespace,
        "cycler": _Cycler,
        "joiner": _Joiner,
    }
    environment.globals = {name: Function(function) for name, function in functions.items()}
    return environment
