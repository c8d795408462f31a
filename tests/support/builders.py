"""Operations and upstreams for tests, from as little as a test wants to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.identity import Identity
from opstrand.core.operation import Compiled
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.template import Evaluate, refuse
from opstrand.spec.polyaxonfile import parse_operation

ME = Identity("a" * 32, "eval", "quick-start")
UP = Ref("ops", "prep")


def operation(params: Mapping[str, Any] | None = None, inputs: Any = (), outputs: Any = (), run: Any = None, **own: Any) -> Compiled:
    """A compiled job over a component with these declarations; `own` are the operation's other fields."""
    container = {"image": "busybox"}
    component = {
        "kind": "component",
        "inputs": list(inputs),
        "outputs": list(outputs),
        "run": {"kind": "job", "container": container, **(run or {})},
    }
    return compile_operation(parse_operation({"kind": "operation", "params": dict(params or {}), "component": component, **own}))


def upstream(phase: str = "Succeeded", **changes: Any) -> Upstream:
    """The run `prep`, ended well unless told otherwise."""
    done = phase in ("Succeeded", "Failed", "Stopped", "Skipped", "UpstreamFailed")
    facts: dict[str, Any] = {
        "inputs": {"lr": 0.1},
        "outputs": {"acc": 0.9, "loss": 0} if done else None,
        "artifacts": ({"name": "model", "path": "outputs/model"},) if done else (),
        "done": done,
        "frozen": True,
        **changes,
    }
    return Upstream("b" * 32, "prep", phase, {"uuid": "b" * 32, "name": "prep", "status": phase.lower()}, **facts)


def values(compiled: Compiled, evaluate: Evaluate = refuse) -> Resolved:
    """The values of an operation that needs nobody."""
    found = resolve(compiled, ME, {}, evaluate=evaluate)
    assert isinstance(found, Resolved)
    return found
