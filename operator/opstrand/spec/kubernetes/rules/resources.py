"""Checks of the resource requests and limits of a container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.names import QUALIFIED, is_qualified, parse_quantity
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules.checks import Table, fault, read_items, read_mapping
from opstrand.spec.problems import describe

_NATIVE = ("cpu", "memory", "ephemeral-storage")
_PAGES = "hugepages-"


def _check_names(value: Mapping[str, Any]) -> Iterator[Fault]:
    for part in ("limits", "requests"):
        for name in read_mapping(value.get(part)):
            if not isinstance(name, str) or not is_qualified(name):
                yield fault(f"expected {QUALIFIED}", part, str(name))
            elif "/" not in name and name not in _NATIVE and not name.startswith(_PAGES):
                example = "; a GPU is nvidia.com/gpu or its like" if "gpu" in name.lower() else ""
                yield fault(
                    "expected cpu, memory, ephemeral-storage, hugepages-SIZE or "
                    f"DOMAIN/NAME{example}",
                    part,
                    name,
                )
            elif name.startswith("requests."):
                yield fault("the name of a resource cannot begin with 'requests.'", part, name)


def _check_amounts(value: Mapping[str, Any]) -> Iterator[Fault]:
    for part in ("limits", "requests"):
        for name, amount in read_mapping(value.get(part)).items():
            number = parse_quantity(amount)
            if number is not None and number < 0:
                yield fault(
                    f"expected an amount of at least 0, found {describe(amount)}", part, name
                )
            elif number is not None and _is_counted(str(name)) and number != int(number):
                yield fault(
                    f"expected a whole number of {name}, found {describe(amount)}", part, name
                )


def _check_requests(value: Mapping[str, Any]) -> Iterator[Fault]:
    """A request is at most its limit; for one that cannot be shared (a GPU) they are equal."""
    limits = read_mapping(value.get("limits"))
    for name, amount in read_mapping(value.get("requests")).items():
        asked, most = parse_quantity(amount), parse_quantity(limits.get(name))
        if limits.get(name) is None:
            if _is_exclusive(str(name)) and all(key.isascii() for key in map(str, limits)):
                yield fault(
                    f"{name} cannot be asked for without the same limit: write it in limits",
                    "requests",
                    name,
                )
        elif asked is None or most is None:
            continue
        elif _is_exclusive(str(name)) and asked != most:
            yield fault(
                f"expected the limit {limits[name]}, since {name} cannot be shared, found "
                f"{describe(amount)}",
                "requests",
                name,
            )
        elif asked > most:
            yield fault(
                f"expected at most the limit {limits[name]}, found {describe(amount)}",
                "requests",
                name,
            )


def _check_pages(value: Mapping[str, Any]) -> Iterator[Fault]:
    names = [str(name) for part in ("limits", "requests") for name in read_mapping(value.get(part))]
    if any(name.startswith(_PAGES) for name in names) and not {"cpu", "memory"} & set(names):
        yield fault("huge pages need an amount of cpu or memory too")
    for part in ("limits", "requests"):
        for name, amount in read_mapping(value.get(part)).items():
            if isinstance(name, str) and name.startswith(_PAGES):
                size, number = parse_quantity(name.removeprefix(_PAGES)), parse_quantity(amount)
                if not size or size < 0:
                    yield fault("expected hugepages-SIZE with an amount such as 2Mi", part, name)
                elif number is not None and (number <= 0 or number % size):
                    yield fault(
                        f"expected a multiple of {name.removeprefix(_PAGES)}, found "
                        f"{describe(amount)}",
                        part,
                        name,
                    )


def _check_claims(value: Mapping[str, Any]) -> Iterator[Fault]:
    if read_items(value.get("claims")):
        yield fault("a run's Pod has no resource claims that a container could name", "claims")


def _is_exclusive(name: str) -> bool:
    return name.startswith(_PAGES) or _is_counted(name)


def _is_counted(name: str) -> bool:
    """Whether it is counted in whole units, like a device."""
    return "/" in name and "kubernetes.io/" not in name


RULES: Table = {
    "ResourceRequirements": (
        _check_names,
        _check_amounts,
        _check_requests,
        _check_pages,
        _check_claims,
    )
}
