"""The table of odd Pods: those that Kubernetes refuses, and those that it accepts against
expectation.

Each case is a `run` section, and the path at which `check` refuses it (null: it is valid). `only`
says why `check` refuses a Pod that the API server alone would accept.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.identity import Identity
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.template import refuse
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.polyaxonfile import parse_operation

_ME = Identity("a" * 32, "odd", "default")
_OWNER = {
    "apiVersion": "opstrand.dev/v1",
    "kind": "Operation",
    "name": "odd",
    "uid": "d1410a91-4d18-4575-89b9-1926d8c23db4",
}
CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "integration/kubernetes_pods.json").read_text(encoding="utf-8")
)


def find_problems(run: dict[str, Any]) -> list[str]:
    """Return every problem that `check` has with a job of this `run`, as `path: message`."""
    return check_spec({"component": {"run": {"kind": "job", **run}}})


def check_spec(spec: dict[str, Any]) -> list[str]:
    """Return every problem that `check` has with a whole operation."""
    try:
        problems = validate_compiled(
            compile_operation(parse_operation(spec)), evaluate=refuse, complete=True
        )[0]
    except SpecError as error:
        problems = list(error.problems)
    return [f"{one.path}: {one.message}" for one in problems]


def render_unchecked(run: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the Pod that would be sent without any check."""
    plain = compile_operation(
        parse_operation({"component": {"run": {"kind": "job", "container": {"image": "busybox"}}}})
    )
    plan = compile_plan(replace(plain, run={"kind": "job", **run}), Resolved({}, {}), _ME)
    return render_pod(plan, owner=_OWNER, pod_name=name, settings=Settings(image="opstrand")).pod
