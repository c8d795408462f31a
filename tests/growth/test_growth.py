"""The work on a file grows with its length, and not with the square of it, whatever it has many of.

Every section that holds a list or a mapping is filled with n and with 4 n things; the CPU time for
the larger one may be a generous multiple of four, which a square exceeds. The whole way is
measured: reading, composing and validating, as in the API and `check`, and deciding, as in the
operator.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from opstrand.api.submission import parse_submission
from opstrand.controller.template_worker import Sandbox
from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.normalize import as_stored
from opstrand.core.templates.meter import Evaluate
from opstrand.errors import SpecError
from opstrand.settings import Settings

Spec = dict[str, Any]
SETTINGS = Settings()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(**fields: Any) -> Spec:
    run = {
        "kind": "job",
        "container": {"image": "b", **fields.pop("container", {})},
        **fields.pop("run", {}),
    }
    component = {
        "kind": "component",
        "run": run,
        **{key: fields.pop(key) for key in ("inputs", "outputs") if key in fields},
    }
    return {"kind": "operation", "component": component, **fields}


def value(value: Any, rules: Spec | None = None, **io: Any) -> Spec:
    declared = {"name": "a", **({"validation": rules} if rules else {}), **io}
    return job(inputs=[declared], params={"a": {"value": value}})


def texts(n: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{number}" for number in range(n)]


def named(n: int, prefix: str = "i", **fields: Any) -> list[Spec]:
    return [{"name": f"{prefix}{number}", **fields} for number in range(n)]


def dag(operations: list[Spec], **run: Any) -> Spec:
    return {
        "kind": "operation",
        "component": {"kind": "component", "run": {"kind": "dag", "operations": operations, **run}},
    }


def matrix(**fields: Any) -> Spec:
    return job(matrix=fields, inputs=[{"name": "a", "isOptional": True}])


def ref(n: int, **given: Any) -> Spec:
    return {
        f"p{number}": {"ref": "ops.up", "value": f"outputs.o{number}", **given}
        for number in range(n)
    }


def chain(n: int) -> list[Spec]:
    return [
        {"name": f"o{k}", "hubRef": "h", "dependencies": [f"o{k - 1}"] if k else []}
        for k in range(n)
    ]


def ring(n: int) -> list[Spec]:
    return [{"name": f"o{k}", "hubRef": "h", "dependencies": [f"o{(k + 1) % n}"]} for k in range(n)]


def pairs(n: int) -> list[Spec]:
    return [
        {"name": f"o{k}", "hubRef": "h", "dependencies": [f"o{k ^ 1}"]} for k in range(n - n % 2)
    ]


def similar(n: int) -> list[str]:
    """Return names that look alike, each as long as a name may be."""
    return [
        f"{number:05}".translate(str.maketrans("0123456789", "abcdefghij")) * 18
        for number in range(n)
    ]


#: Name -> the first size, and the operation with that many things.
DOCUMENTS: dict[str, tuple[int, Callable[[int], Spec]]] = {
    "options of a list": (
        2000,
        lambda n: value(texts(n), options=texts(n + 1), type="str", isList=True),
    ),
    "options of a list, numbers": (
        2000,
        lambda n: value(list(range(n)), options=list(range(n, -1, -1)), type="int", isList=True),
    ),
    "options of a list, mappings": (
        500,
        lambda n: value(
            [{"a": k} for k in range(n)], options=[{"a": k} for k in range(n)], isList=True
        ),
    ),
    "options of a list, none of them": (
        2000,
        lambda n: value(texts(n), options=texts(n, "u"), type="str", isList=True),
    ),
    "validation.options": (
        2000,
        lambda n: value(texts(n), {"options": texts(n)}, type="str", isList=True),
    ),
    "excludes": (
        2000,
        lambda n: value(texts(n), {"excludes": texts(n, "u")}, type="str", isList=True),
    ),
    "excludes of one letter": (
        2000,
        lambda n: value(["a"] * n, {"excludes": [chr(0x4E00 + k) for k in range(n)]}, isList=True),
    ),
    "excludes of all lengths": (
        100,
        lambda n: value("ab" * n * n, {"excludes": ["c" * k for k in range(1, n)]}, type="str"),
    ),
    "contains": (2000, lambda n: value("-".join(texts(n)), {"contains": texts(n)}, type="str")),
    "contains, the same again": (
        2000,
        lambda n: value(["ab"] * n, {"contains": ["a", "b"] * n}, isList=True),
    ),
    "keys": (2000, lambda n: value(dict.fromkeys(texts(n), 1), {"keys": texts(n)}, type="dict")),
    "containsKeys": (
        2000,
        lambda n: value(
            dict.fromkeys(texts(n), 1),
            {"containsKeys": texts(n), "excludesKeys": texts(n, "u")},
            type="dict",
        ),
    ),
    "a large bound": (
        2000,
        lambda n: value(list(range(n)), {"ge": "0" * n * 10}, type="int", isList=True),
    ),
    "a long regex": (
        500,
        lambda n: value(texts(n), {"regex": "t" + "[0-9]?" * n}, type="str", isList=True),
    ),
    "a costly regex": (
        500,
        lambda n: value(texts(n), {"regex": "(t*)*t[0-9]+"}, type="str", isList=True),
    ),
    "a regex of two choices": (
        300,
        lambda n: value(["t" * 170] * n, {"regex": ".*.*t"}, type="str", isList=True),
    ),
    "inputs": (500, lambda n: job(inputs=named(n, type="int", value=1))),
    "inputs that are wrong": (500, lambda n: job(inputs=named(n, type="int", value="x"))),
    "inputs without values": (500, lambda n: job(inputs=named(n, type="int"))),
    "types that are none": (
        500,
        lambda n: job(inputs=[{"name": f"i{k}", "type": f"in{k}"} for k in range(n)]),
    ),
    "outputs": (500, lambda n: job(outputs=named(n, type="int", value=1))),
    "params": (500, lambda n: job(params={name: {"value": 1} for name in texts(n)})),
    "params of templates": (
        500,
        lambda n: job(
            params={f"t{k}": {"value": f"{{{{ t{k - 1} }}}}" if k else "a"} for k in range(n)}
        ),
    ),
    "params in a circle": (
        500,
        lambda n: job(params={f"t{k}": {"value": f"{{{{ t{(k + 1) % n} }}}}"} for k in range(n)}),
    ),
    "params with refs": (500, lambda n: job(params=ref(n))),
    "params that are undeclared": (
        500,
        lambda n: job(params=dict.fromkeys(similar(n), 1), inputs=named(400), strictParams=True),
    ),
    "names that are alike": (
        60,
        lambda n: job(
            container={"args": [f"{{{{ x{name} }}}}" for name in similar(n)]},
            inputs=[{"name": name, "isOptional": True} for name in similar(n)],
        ),
    ),
    "parts that are missing": (
        500,
        lambda n: job(
            container={"args": ["{{ d.x }}"] * n},
            params={"d": {"value": dict.fromkeys(texts(n), 1)}},
        ),
    ),
    "arguments": (2000, lambda n: job(container={"args": texts(n)})),
    "arguments of templates": (
        500,
        lambda n: job(
            container={"args": [f"{{{{ t{k} }}}}" for k in range(n)]},
            params={name: {"value": 1} for name in texts(n)},
        ),
    ),
    "one long template": (
        2000,
        lambda n: job(container={"args": ["{{ a }}-" * n]}, params={"a": {"value": ""}}),
    ),
    "one long expression": (
        300,
        lambda n: job(container={"args": ["{{ a | upper }}-" * n]}, params={"a": {"value": ""}}),
    ),
    "expressions": (
        100,
        lambda n: job(
            container={"args": [f"{{{{ t{k} | upper }}}}" for k in range(n)]},
            params={name: {"value": "a"} for name in texts(n)},
        ),
    ),
    "quotes without an end": (2000, lambda n: job(container={"args": ["{{ " + "'\" " * n]})),
    "open braces": (2000, lambda n: job(container={"args": ["{{ " * n, "{# " * n, "{% " * n]})),
    "variables": (
        300,
        lambda n: job(container={"env": [{"name": f"v{k}", "value": "a"} for k in range(n)]}),
    ),
    "variables, the same again": (
        500,
        lambda n: job(container={"env": [{"name": "v", "value": "a"}] * n}),
    ),
    "env": (300, lambda n: job(env={f"v{k}": "a" for k in range(n)})),
    "toEnv": (
        300,
        lambda n: job(params={f"p{k}": {"value": "a", "toEnv": f"v{k}"} for k in range(n)}),
    ),
    "toEnv in every sidecar": (
        200,
        lambda n: job(
            params={f"p{k}": {"value": "a", "toEnv": f"v{k}"} for k in range(n)},
            run={"sidecars": named(n, "s", image="b")},
        ),
    ),
    "sidecars": (20, lambda n: job(run={"sidecars": named(n, "s", image="b")})),
    "too many sidecars": (500, lambda n: job(run={"sidecars": named(n, "s", image="b")})),
    "volumes": (
        300,
        lambda n: job(
            run={"volumes": named(n, "v", emptyDir={})},
            container={
                "volumeMounts": [{"name": f"v{k}", "mountPath": f"/v{k}"} for k in range(n)]
            },
        ),
    ),
    "mounts of no volume": (
        300,
        lambda n: job(
            run={"volumes": named(n, "v", emptyDir={})},
            container={
                "volumeMounts": [{"name": f"x{k}", "mountPath": f"/v{k}"} for k in range(n)]
            },
        ),
    ),
    "volumes in every sidecar": (
        100,
        lambda n: job(
            run={
                "volumes": named(n, "v", emptyDir={}),
                "sidecars": named(
                    n, "s", image="b", volumeMounts=[{"name": "v1", "mountPath": "/v"}]
                ),
            }
        ),
    ),
    "init files": (
        300,
        lambda n: job(
            run={"init": [{"file": {"filename": f"f{k}", "content": "a"}} for k in range(n)]}
        ),
    ),
    "init folders": (
        300,
        lambda n: job(
            run={
                "init": [
                    {"file": {"filename": "f", "content": "a"}, "path": f"/d{k}"} for k in range(n)
                ]
            }
        ),
    ),
    "init containers": (
        20,
        lambda n: job(run={"init": [{"container": {"image": "b"}} for k in range(n)]}),
    ),
    "init folders and sidecars": (
        200,
        lambda n: job(
            run={
                "init": [
                    {"file": {"filename": "f", "content": "a"}, "path": f"/d{k}"} for k in range(n)
                ],
                "sidecars": named(n, "s", image="b"),
            }
        ),
    ),
    "init containers between files": (
        300,
        lambda n: job(
            run={
                "init": [
                    {
                        "file": {"filename": "f", "content": "a"},
                        "path": f"/d{k}",
                        "container": {"image": "b"},
                    }
                    for k in range(n)
                ]
            }
        ),
    ),
    "paths of an init step": (500, lambda n: job(run={"init": [{"paths": texts(n)}]})),
    "a dockerfile": (
        500,
        lambda n: job(
            run={
                "init": [
                    {
                        "dockerfile": {
                            "image": "b",
                            "run": texts(n),
                            "env": dict.fromkeys(texts(n), "a"),
                        }
                    }
                ]
            }
        ),
    ),
    "labels": (
        500,
        lambda n: job(
            run={
                "environment": {
                    "labels": dict.fromkeys(texts(n), "a"),
                    "annotations": dict.fromkeys(texts(n), "a"),
                }
            }
        ),
    ),
    "tolerations": (500, lambda n: job(run={"environment": {"tolerations": [{"key": "a"}] * n}})),
    "pull secrets": (500, lambda n: job(run={"environment": {"imagePullSecrets": texts(n)}})),
    "connections": (500, lambda n: job(run={"connections": texts(n)})),
    "tags": (2000, lambda n: job(tags=texts(n))),
    "tags of both": (
        2000,
        lambda n: {
            **job(tags=texts(n)),
            "component": {**job()["component"], "tags": texts(n, "u")},
        },
    ),
    "arguments of both": (
        500,
        lambda n: job(
            container={"args": texts(n)}, runPatch={"container": {"args": texts(n, "u")}}
        ),
    ),
    "layers": (3, lambda n: layers(n)),  # noqa: PLW0108 - it is defined below
    "unknown keys": (500, lambda n: {**job(), **dict.fromkeys(similar(n), 1)}),
    "unknown keys of a container": (
        500,
        lambda n: job(container=dict.fromkeys(texts(n, "imag"), 1)),
    ),
    "wrong values": (500, lambda n: job(container={"args": [[1]] * n, "env": [1] * n})),
    "joins": (
        10,
        lambda n: job(
            joins=[
                {"query": "status: succeeded", "params": {f"j{k}": {"value": "outputs.a"}}}
                for k in range(n)
            ]
        ),
    ),
    "params of a join": (
        300,
        lambda n: job(
            joins=[
                {
                    "query": "status: succeeded",
                    "params": {f"j{k}": {"value": "outputs.a"} for k in range(n)},
                }
            ]
        ),
    ),
    "conditions of a query": (
        300,
        lambda n: job(
            joins=[{"query": "status: succeeded," * n, "params": {"j": {"value": "outputs.a"}}}]
        ),
    ),
    "choices of a query": (
        2000,
        lambda n: job(
            joins=[
                {"query": f"name: {'|'.join(texts(n))}", "params": {"j": {"value": "outputs.a"}}}
            ]
        ),
    ),
    "events": (
        300,
        lambda n: job(
            events=[{"ref": f"ops.o{k}", "kinds": ["run_status_done"]} for k in range(n)]
        ),
    ),
    "hooks": (300, lambda n: job(hooks=[{"hubRef": f"h{k}"} for k in range(n)])),
    "ports": (
        300,
        lambda n: {
            "kind": "operation",
            "component": {
                "kind": "component",
                "run": {"kind": "service", "ports": list(range(1, n)), "container": {"image": "b"}},
            },
        },
    ),
    "too many ports": (
        2000,
        lambda n: {
            "kind": "operation",
            "component": {
                "kind": "component",
                "run": {"kind": "service", "ports": list(range(1, n)), "container": {"image": "b"}},
            },
        },
    ),
    "rows of a matrix": (
        500,
        lambda n: matrix(kind="mapping", values=[{"a": k} for k in range(n)]),
    ),
    "names of rows": (
        100,
        lambda n: matrix(kind="mapping", values=[{f"a{k}": k} for k in range(n)]),
    ),
    "rows with options": (
        500,
        lambda n: job(
            matrix={"kind": "mapping", "values": [{"a": k} for k in range(n)]},
            inputs=[{"name": "a", "type": "int", "options": list(range(n))}],
        ),
    ),
    "a grid of choices": (
        300,
        lambda n: matrix(
            kind="grid",
            params={
                "a": {"kind": "choice", "value": list(range(n))},
                "b": {"kind": "choice", "value": list(range(n))},
            },
        ),
    ),
    "spaces of a grid": (
        100,
        lambda n: matrix(
            kind="grid",
            params={name: {"kind": "linspace", "value": "0:1:5000"} for name in texts(n)},
        ),
    ),
    "spaces of a search": (
        100,
        lambda n: matrix(
            kind="random",
            numRuns=5,
            params={name: {"kind": "linspace", "value": "0:1:5000"} for name in texts(n)},
        ),
    ),
    "weighted choices": (
        500,
        lambda n: matrix(
            kind="random",
            numRuns=5,
            params={"a": {"kind": "pchoice", "value": [[k, 0.0] for k in range(n)]}},
        ),
    ),
    "operations of a pipeline": (
        100,
        lambda n: dag([{"name": f"o{k}", **job()} for k in range(n)]),
    ),
    "operations in a chain": (300, lambda n: dag(chain(n))),
    "operations in a ring": (300, lambda n: dag(ring(n))),
    "operations in pairs": (300, lambda n: dag(pairs(n))),
    "operations that all wait for all": (
        30,
        lambda n: dag(
            [
                {"name": f"o{k}", "hubRef": "h", "dependencies": [f"o{j}" for j in range(30)]}
                for k in range(n)
            ]
        ),
    ),
    "operations of one name": (300, lambda n: dag([{"name": "o", "hubRef": "h"}] * n)),
    "operations of one component": (
        200,
        lambda n: dag(
            [{"name": f"o{k}", "dagRef": "c"} for k in range(n)],
            components=[
                {
                    "name": "c",
                    "inputs": named(n, value=1),
                    "run": {"kind": "job", "container": {"image": "b"}},
                }
            ],
        ),
    ),
    "operations of no component": (
        60,
        lambda n: dag(
            [{"name": f"o{k}", "dagRef": name} for k, name in enumerate(similar(n))],
            components=[
                {"name": name, "run": {"kind": "job", "container": {"image": "b"}}}
                for name in similar(n)
            ],
        ),
    ),
    "dependencies on nothing": (
        60,
        lambda n: dag(
            [{"name": f"o{k}", "hubRef": "h", "dependencies": [f"x{k}"]} for k in range(n)]
        ),
    ),
    "values between operations": (
        100,
        lambda n: dag(
            [
                {"name": "up", **job(outputs=named(n, "o", type="int", value=1))},
                {"name": "down", **job(inputs=named(n, "p", type="int"), params=ref(n))},
            ]
        ),
    ),
    "values that an operation lacks": (
        100,
        lambda n: dag(
            [
                {"name": "up", **job(outputs=named(n, "x", type="int", value=1))},
                {"name": "down", **job(inputs=named(n, "p", type="int"), params=ref(n))},
            ]
        ),
    ),
    "groups of a cluster": (
        20,
        lambda n: {
            "kind": "operation",
            "component": {
                "kind": "component",
                "run": {
                    "kind": "rayjob",
                    "workers": {
                        name: {"replicas": 1, "container": {"image": "b"}} for name in texts(n)
                    },
                },
            },
            "env": {f"v{k}": "a" for k in range(n)},
        },
    ),
}


def layers(n: int) -> Spec:
    """Return a component within a component, each with its own arguments."""
    written = job(container={"args": texts(300)})["component"]
    for number in range(n):
        written = {
            "kind": "component",
            "component": written,
            "tags": texts(300, f"l{number}"),
            "runPatch": {"container": {"args": texts(300, f"l{number}")}},
        }
    return {"kind": "operation", "component": written}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.start()
        yield sandbox


def submit(text: str, evaluate: Evaluate) -> None:
    """Validate the text as the API does."""
    try:
        parse_submission(text, evaluate=evaluate)
    except SpecError as error:
        str(error)


def reconcile(text: str, evaluate: Evaluate) -> None:
    """Decide as the operator does."""
    metadata = {
        "name": "r",
        "namespace": "default",
        "uid": "00000000-0000-4000-8000-000000000000",
        "generation": 1,
    }
    body = {
        "metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": as_stored(json.loads(text)),
    }
    try:
        prepared = prepare(body, settings=SETTINGS)
        found = dict.fromkeys(prepared.refs)
        decide(
            Snapshot(
                body=body,
                prepared=prepared,
                now=NOW,
                settings=SETTINGS,
                evaluate=evaluate,
                upstream=found,
            )
        )
    except SpecError as error:
        str(error)


def measure(spec: Spec, sandbox: Sandbox) -> float:
    """Return the CPU time of both."""
    text = json.dumps(spec)
    gc.collect()
    start = time.process_time()
    for door in (submit, reconcile):
        door(text, sandbox.for_one_run())
    return time.process_time() - start


#: The bound for four times as much: four times, with a generous margin; a square takes sixteen
#: times.
FACTOR = 9
#: Shorter times are not significant.
NOISE = 0.02


@pytest.mark.parametrize("name", DOCUMENTS)
def test_work_grows_with_the_length_of_a_file(name: str, sandbox: Sandbox) -> None:
    size, make = DOCUMENTS[name]
    measure(make(2), sandbox)
    small, large = make(size), make(4 * size)
    for _ in range(3):
        before, after = measure(small, sandbox), measure(large, sandbox)
        if after <= FACTOR * max(before, NOISE):
            return
    pytest.fail(f"{size} take {before:.3f} s, {4 * size} take {after:.3f} s")
