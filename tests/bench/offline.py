"""Measures what needs no cluster, each in its own process: `python -m tests.bench.offline WHAT`
prints one JSON object.

The median of several batches counts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench.stopwatch import milliseconds

ECHO = "tests/samples/echo.yaml"


def run_to_pod() -> float:
    """From an Operation's body to its Pod: parse, compile, resolve, render."""
    from opstrand.core.compiling.prepare import prepare
    from opstrand.core.pods.attempt import render_attempt
    from opstrand.core.resolving.resolve import Resolved, resolve
    from opstrand.core.templates.template import refuse
    from opstrand.settings import Settings
    from tests.bench.stage import operation

    settings = Settings()
    metadata = {"name": "echo", "namespace": "bench", "uid": "0f0e0d0c-1111-4222-8333-444455556666"}
    body = {**operation("echo"), "metadata": metadata}

    def work() -> None:
        prepared = prepare(body, settings=settings)
        assert prepared.compiled is not None
        resolved = resolve(prepared.compiled, prepared.identity, {})
        assert isinstance(resolved, Resolved)
        render_attempt(prepared, resolved, body=body, number=0, settings=settings, evaluate=refuse)

    return milliseconds(work, batch=100)


def check() -> float:
    """Validate one file as `opstrand check` does."""
    from opstrand.cli.checking.validate import validate_submission
    from opstrand.cli.files.submission import read_submission
    from opstrand.core.templates.template import refuse

    def work() -> None:
        verdict = validate_submission(
            read_submission([ECHO], ["message=test 1"]), evaluate=refuse, complete=False
        )
        assert not verdict.problems

    return milliseconds(work, batch=20)


def resolve_file() -> float:
    """Read, compile, resolve: from a file to the values and the container that run."""
    from pathlib import Path

    from opstrand.core.compiling.compile import compile_operation
    from opstrand.core.identity import Identity
    from opstrand.core.planning.plan import compile_plan
    from opstrand.core.resolving.resolve import Resolved, resolve
    from opstrand.spec.document import parse_document
    from opstrand.spec.polyaxonfile import parse_polyaxonfile

    me = Identity("0" * 32, "echo", "bench")

    def work() -> None:
        document = parse_document(Path(ECHO).read_bytes(), source=ECHO)
        compiled = compile_operation(parse_polyaxonfile(document.data, document=document))
        resolved = resolve(compiled, me, {})
        assert isinstance(resolved, Resolved)
        compile_plan(compiled, resolved, me)

    return milliseconds(work, batch=20)


def check_dag() -> float:
    """Validate 500 operations, each after the one before and with a value of it."""
    from tempfile import NamedTemporaryFile

    import yaml

    from opstrand.cli.checking.validate import validate_submission
    from opstrand.cli.files.submission import read_submission
    from opstrand.core.templates.template import refuse

    inputs, outputs = (
        [{"name": "x", "type": "float", "value": 1.0}],
        [{"name": "y", "type": "float", "value": 1.0}],
    )
    component = {
        "inputs": inputs,
        "outputs": outputs,
        "run": {"kind": "job", "container": {"image": "busybox", "args": ["{{ x }}"]}},
    }
    operations: list[dict[str, Any]] = [{"name": "op-0", "component": component}]
    for number in range(1, 500):
        ref = {"x": {"ref": f"ops.op-{number - 1}", "value": "outputs.y"}}
        operations.append(
            {
                "name": f"op-{number}",
                "dependencies": [f"op-{number - 1}"],
                "params": ref,
                "component": component,
            }
        )
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(
            {"kind": "component", "run": {"kind": "dag", "operations": operations}}, file
        )
        file.flush()

        def work() -> None:
            assert not validate_submission(
                read_submission([file.name], []), evaluate=refuse, complete=False
            ).problems

        return milliseconds(work, batch=1, batches=2)


def resolve_params() -> float:
    """Resolve 10,000 declared inputs with a param each, every other one a look-up of the one
    before.
    """
    from opstrand.core.compiling.compile import compile_operation
    from opstrand.core.identity import Identity
    from opstrand.core.resolving.resolve import Resolved, resolve
    from opstrand.spec.polyaxonfile import parse_operation

    names = [f"p{number:05d}" for number in range(10_000)]
    params = {
        name: {"value": number if number % 2 == 0 else f"{{{{ {names[number - 1]} }}}}"}
        for number, name in enumerate(names)
    }
    run = {"kind": "job", "container": {"image": "busybox"}}
    component = {"inputs": [{"name": name, "type": "int"} for name in names], "run": run}
    compiled = compile_operation(parse_operation({"params": params, "component": component}))
    me = Identity("0" * 32, "many", "bench")

    def work() -> None:
        found = resolve(compiled, me, {})
        assert isinstance(found, Resolved)
        assert found.inputs[names[-1]] == 9998

    return milliseconds(work, batch=1, batches=2)


def decide_dag() -> float:
    """Decide about a pipeline of 2,000 operations, 1,000 of which run and have no letter yet."""
    from datetime import UTC, datetime

    from opstrand.core.compiling.prepare import prepare
    from opstrand.core.decide import decide, list_asks
    from opstrand.core.lifecycle.asks import Children, Known, Pipeline, Sighting
    from opstrand.core.lifecycle.snapshot import Snapshot
    from opstrand.core.pipelines.children import render_child
    from opstrand.core.pipelines.outline import read_outline
    from opstrand.core.templates.template import refuse
    from opstrand.settings import Settings
    from tests.bench.stage import ECHO

    settings, now = Settings(), datetime.now(UTC)
    operations = [{"name": f"o{number:04d}", "dagRef": "echo"} for number in range(2000)]
    run = {"kind": "dag", "components": [{**ECHO, "name": "echo"}], "operations": operations}
    body: Any = {
        "metadata": {"name": "many", "namespace": "bench", "uid": "0f0e", "resourceVersion": "1"},
        "spec": {"component": {"run": {**run, "concurrency": 2000}}},
    }
    prepared = prepare(body, settings=settings)
    assert prepared.compiled is not None
    outline = read_outline(prepared.compiled, body)
    body["status"] = decide(Snapshot(body, prepared, now, settings, refuse)).status
    children = {}
    for op in operations[:1000]:
        child = render_child(body, op["name"], op)
        child["metadata"] |= {"uid": op["name"], "resourceVersion": "1"}
        child["status"] = {"phase": "Running", "startedAt": "2026-01-01T00:00:00Z"}
        children[child["metadata"]["name"]] = child

    def work() -> None:
        answers: dict[Any, Any] = {Children(): tuple(children.values()), Pipeline(): outline}
        snapshot = Snapshot(body, prepared, now, settings, refuse, answers=answers)
        while asks := list_asks(snapshot):
            for ask in asks:
                assert isinstance(ask, Known)
                found = children[ask.name]
                answers[ask] = Sighting(found, found["metadata"]["uid"])
            snapshot = snapshot.changed(answers=answers)
        assert len(decide(snapshot).actions) == 50

    return milliseconds(work, batch=3, batches=5)


WORK = {
    "run_to_pod": run_to_pod,
    "check": check,
    "resolve_file": resolve_file,
    "check_dag": check_dag,
    "resolve_params": resolve_params,
    "decide_dag": decide_dag,
}

if __name__ == "__main__":
    print(json.dumps({"ms": WORK[sys.argv[1]]()}))
