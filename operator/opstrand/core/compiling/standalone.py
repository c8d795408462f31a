"""The operation of a pipeline's run as it stands alone: for a new run outside of the pipeline.

Owns what becomes of its references to siblings and to the pipeline: the same runs by their uuid,
and the values that it got. Must not look at any other run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.compiling.matrix import make_literal
from opstrand.core.identity import read_schedule_at
from opstrand.core.recorded import read_status
from opstrand.errors import Problem, SpecError
from opstrand.types import Body, RunStatus

#: Keys that say when an operation starts among others.
_AMONG_OTHERS = ("dependencies", "trigger", "skipOnUpstreamSkip", "events")


def stand_alone(body: Body) -> dict[str, Any]:
    """Return the spec of a run, to be run again outside of its pipeline, if one made it.

    The values are those with which the run started. Raises SpecError if it never did.
    """
    spec = {key: value for key, value in (body.get("spec") or {}).items() if key != "control"}
    # The run of a schedule is alone as it is.
    if names.find_controller(body) is None or read_schedule_at(body) is not None:
        return spec
    params = spec.get("params")
    if isinstance(params, Mapping):
        spec["params"] = _replace_refs(params, read_status(body))
    return {key: value for key, value in spec.items() if key not in _AMONG_OTHERS}


def _replace_refs(params: Mapping[str, Any], status: RunStatus) -> dict[str, Any]:
    upstreams = {
        name: edge["uuid"]
        for edge in status.get("upstream") or ()
        for name in edge.get("values") or ()
    }
    values = {**(status.get("frozenOutputs") or {}), **(status.get("inputs") or {})}
    replaced: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, param in params.items():
        try:
            replaced[name] = _replace_ref(name, param, upstreams, values)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError.of(problems)
    return replaced


def _replace_ref(
    name: str, param: Any, upstreams: Mapping[str, str], values: Mapping[str, Any]
) -> Any:
    """Return a param without a ref that only means something inside the pipeline."""
    ref = param.get("ref") if isinstance(param, Mapping) else None
    if not isinstance(ref, str) or not (ref == "dag" or ref.startswith("ops.")):
        return param
    uuid = upstreams.get(name)
    if ref != "dag" and uuid:
        return {**param, "ref": f"runs.{uuid}"}
    if name in values:
        kept = {key: value for key, value in param.items() if key not in ("ref", "value")}
        return {**kept, "value": make_literal(values[name])}
    message = (
        f"'{ref}' means something in its pipeline only, and the run never got a value of it: "
        "restart the pipeline"
    )
    raise SpecError("RefInvalid", message, f"params.{name}")
