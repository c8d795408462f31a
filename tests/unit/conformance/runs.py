"""Takes a vector's operation through the whole core: parse, compile, resolve, plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.conformance.vectors import classify, identity_of, load

from opstrand.cli.files.submission import parse_params
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.planning.plan import Plan, compile_plan
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.template import Evaluate
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

RUN = load("params")["run"]
#: The connections of the measured agent, as templates read them.
CATALOG: dict[str, dict[str, Any]] = {
    "bucket": {"bucket": "s3://bucket/path"},
    "data-vol": {"hostPath": "/data", "mountPath": "/mnt/data", "readOnly": False},
    "repo": {"url": "https://git.example.com/acme/repo"},
    "reg": {"url": "registry.example.com/acme", "insecure": False},
    "store": {"volumeClaim": "store", "mountPath": "/store"},
}
_CONTAINER = ("args", "command", "env", "workingDir", "resources")


def write_operation(vector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file that a vector stands for."""
    container = {"image": "busybox", **{key: vector[key] for key in _CONTAINER if key in vector}}
    component = {
        "kind": "component",
        **{key: vector[key] for key in ("inputs", "outputs") if key in vector},
        **vector.get("component", {}),
        "run": {"kind": "job", **vector.get("run", {}), "container": container},
    }
    params = dict(vector.get("params", {}))
    if "cli" in vector:
        params.update({name: {"value": text} for name, text in parse_params(vector["cli"]).items()})
    strict = {"strictParams": True} if vector.get("strictParams") else {}
    return {
        "kind": "operation",
        "params": params,
        **strict,
        **vector.get("operation", {}),
        "component": component,
    }


def plan_vector(
    vector: Mapping[str, Any], evaluate: Evaluate, uuid: str | None = None
) -> tuple[Resolved, Plan]:
    """Return the plan with which the run of a vector starts. Raises SpecError."""
    compiled = compile_operation(parse_operation(write_operation(vector)))
    identity = identity_of(RUN, uuid)
    resolved = resolve(compiled, identity, {}, evaluate=evaluate)
    assert isinstance(resolved, Resolved)
    return resolved, compile_plan(compiled, resolved, identity, CATALOG, evaluate=evaluate)


def refusal_of(error: SpecError) -> dict[str, Any]:
    assert all(problem.message for problem in error.problems)
    return {"error": classify(error)}
