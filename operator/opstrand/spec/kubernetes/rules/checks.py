"""What the checks share: reading a value that may have a wrong type, and the frequent messages.

Must not know any one object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.problems import describe

#: A check of one object, and the checks of each kind of object.
Rule = Callable[[Mapping[str, Any]], Iterator[Fault]]
Table = Mapping[str, tuple[Rule, ...]]
#: The largest user or group id in Kubernetes, and the largest value of most counts.
MOST = 2**31 - 1
MODE = 0o777


def fault(message: str, *path: str | int) -> Fault:
    return path, "InvalidSpec", message


def below(faults: Iterable[Fault], *path: str | int) -> Iterator[Fault]:
    """The faults of a part of the object, with the path of that part prepended."""
    return (((*path, *inner), reason, message) for inner, reason, message in faults)


def read_whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def read_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def check_range(value: Any, low: int, high: int, *path: str | int) -> Iterator[Fault]:
    number = read_whole(value)
    if number is not None and not low <= number <= high:
        yield fault(f"expected a whole number from {low} to {high}, found {number}", *path)


def check_text(
    value: Any, is_right: Callable[[str], bool], expected: str, *path: str | int
) -> Iterator[Fault]:
    """A fault if a text does not have this syntax. Other checks report a value that is no text."""
    if isinstance(value, str) and not is_right(value):
        yield fault(f"expected {expected}, found {describe(value)}", *path)


def check_one_of(value: Any, allowed: Sequence[str], *path: str | int) -> Iterator[Fault]:
    if isinstance(value, str) and value not in allowed:
        shown = ", ".join(one or "''" for one in allowed)
        near = next(
            (f"; did you mean {one!r}?" for one in allowed if one and one.lower() == value.lower()),
            "",
        )
        yield fault(f"expected one of {shown}, found {describe(value)}{near}", *path)


def check_single(
    value: Mapping[str, Any], keys: Sequence[str], what: str, *, required: bool = True
) -> Iterator[Fault]:
    """At most one of the keys may be set, and with `required` one must be."""
    given = [key for key in keys if value.get(key) is not None]
    if len(given) > 1:
        yield fault(f"{what} has one of {', '.join(keys)}, found {' and '.join(given)}", given[1])
    if not given and required:
        yield fault(f"{what} needs one of {', '.join(keys)}")


def check_relative(value: Any, *path: str | int) -> Iterator[Fault]:
    """A fault if it is not a relative path below a folder."""
    if isinstance(value, str) and (value.startswith("/") or ".." in value.split("/")):
        yield fault(f"expected a relative path without '..', found {describe(value)}", *path)


def check_local(value: Any, *path: str | int) -> Iterator[Fault]:
    """A fault if it cannot name a file in a volume that Kubernetes fills: names that begin with two
    dots are reserved.
    """
    yield from check_relative(value, *path)
    if isinstance(value, str) and value.startswith("..") and ".." not in value.split("/"):
        yield fault(
            f"expected a path that does not begin with '..', found {describe(value)}", *path
        )
