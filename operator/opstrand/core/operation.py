"""One operation, ready to be resolved: the result of `compile`, which every later step reads.

Owns the names of its parts. Must not know how it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.spec.io import IO
from opstrand.spec.params import Param


@dataclass(frozen=True)
class Node:
    """One operation of a pipeline.

    `compiled` is None if its component is not known here (hubRef).
    """

    name: str
    path: str
    written: Mapping[str, Any]
    compiled: CompiledOperation | None = None
    upstreams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CompiledOperation:
    """A compiled operation. Mappings and lists are as the user wrote them, merged, not rendered."""

    name: str | None
    kind: str
    run: Mapping[str, Any]
    description: str | None = None
    tags: tuple[str, ...] = ()
    inputs: tuple[IO, ...] = ()
    outputs: tuple[IO, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    plugins: Mapping[str, Any] | str = field(default_factory=dict)
    termination: Mapping[str, Any] | str = field(default_factory=dict)
    joins: tuple[Mapping[str, Any], ...] | None = None
    matrix: Mapping[str, Any] | None = None
    schedule: Mapping[str, Any] | None = None
    cache: Mapping[str, Any] | None = None
    hooks: tuple[Mapping[str, Any], ...] | None = None
    events: tuple[Mapping[str, Any], ...] | None = None
    build: Mapping[str, Any] | None = None
    conditions: str | None = None
    is_approved: bool | str | None = None
    strict_params: bool = False
    queue: str | None = None
    namespace: str | None = None
    trigger: str | None = None
    dependencies: tuple[str, ...] = ()
    skip_on_upstream_skip: bool | str | None = None
    presets: tuple[str, ...] = ()
    cost: float | str | None = None
    mount: tuple[Any, ...] = ()
    merged: Mapping[str, Any] = field(default_factory=dict)
    #: A pipeline's operations by name.
    nodes: Mapping[str, Node] = field(default_factory=dict, compare=False, repr=False)
    #: Where each value comes from, kept by `resolving.bindings.bind_params` once it is known. Not
    #: copied by `replace`: another operation has other values.
    bindings: Any = field(init=False, default=None, compare=False, repr=False)

    @property
    def runtime(self) -> str:
        """The kind of what runs: schedules and matrices make runs of the operation's own kind."""
        if self.schedule is not None:
            return "schedule"
        return "matrix" if self.matrix is not None else self.kind

    def as_dict(self) -> dict[str, Any]:
        """Return the compiled file, in the format's own keys."""
        return {"version": 1.1, "kind": "compiled_operation", **self.merged}
