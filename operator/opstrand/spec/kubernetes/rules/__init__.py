"""What Kubernetes refuses in an object whose keys and types are right, as one small check each.

Owns which checks an object has, and their order. A check gets a mapping of the right shape, in
which a value may still have a wrong type (`values` reports that), and yields each fault as (path
from here, reason, message). The messages say what to write instead. Must not look beyond its
object: `core.pods.pod_rules` checks the whole Pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules import (
    container,
    environment,
    handlers,
    resources,
    scheduling,
    security,
    volumes,
)
from opstrand.spec.kubernetes.rules.checks import Rule, Table


def _merge(*tables: Table) -> dict[str, tuple[Rule, ...]]:
    merged: dict[str, tuple[Rule, ...]] = {}
    for table in tables:
        for kind, rules in table.items():
            merged[kind] = (*merged.get(kind, ()), *rules)
    return merged


RULES = _merge(
    container.RULES,
    environment.RULES,
    handlers.RULES,
    resources.RULES,
    scheduling.RULES,
    security.RULES,
    volumes.RULES,
)


def find_broken_rules(kind: str, value: Mapping[str, Any]) -> Iterator[Fault]:
    """Everything that Kubernetes would refuse in this object, without the objects inside it."""
    for rule in RULES.get(kind, ()):
        yield from rule(value)
