"""Creating runs, finding them, and controlling them."""

import io
import json
from contextlib import closing
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.running_run import RUN, UUID, operation
from yarl import URL

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.validation import MODULE, Validation
from opstrand.core.identity import read_identity, render_globals
from opstrand.core.planning.connections import read_catalog
from opstrand.runs.memory import MemoryRuns
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file
from opstrand.workers.pool import Pool

Api = TestClient[Any, Any]
RUNS = "/api/v1/default/quick-start/runs"
ECHO = """
version: 1.1
kind: component
name: echo-it
inputs:
- {name: message, type: str}
run:
  kind: job
  container: {image: python, command: [echo, "{{ message }}"]}
"""


def as_operation(**params: Any) -> str:
    import yaml

    given = {name: {"value": value} for name, value in params.items()}
    return json.dumps(
        {"version": 1.1, "kind": "operation", "params": given, "component": yaml.safe_load(ECHO)}
    )


async def test_an_operation_becomes_a_run_named_after_its_component(
    api: Api, runs: MemoryRuns
) -> None:
    answer = await api.post(
        RUNS, json={"content": as_operation(message="test 1"), "managed_by": "agent", "tags": ["a"]}
    )
    assert answer.status == 201
    view = await answer.json()
    body = await runs.get("quick-start", view["uuid"])
    assert body["metadata"]["name"].startswith("echo-it-")
    assert body["spec"]["params"] == {"message": {"value": "test 1"}}
    assert view["tags"] == ["a"]
    assert json.loads(view["raw_content"]) == body["spec"]


async def test_a_component_as_yaml_is_wrapped(api: Api, runs: MemoryRuns) -> None:
    content = ECHO.replace("type: str", "type: str, value: hello")
    view = await (
        await api.post(RUNS, json={"content": content, "name": "mine", "meta_info": {"k": None}})
    ).json()
    body = await runs.get("quick-start", view["uuid"])
    assert body["spec"]["component"]["name"] == "echo-it"
    assert body["spec"]["name"] == view["name"] == "mine"
    assert body["status"]["meta"] == {"k": None}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"content": as_operation()}, ["params.message", "required"]),
        (
            {"content": as_operation(message="a").replace('"params"', '"parmas"')},
            ["'parmas'", "'params'"],
        ),
        ({"content": ECHO.replace("image:", "imag:").replace("kind: job", "kind: jub")}, ["jub"]),
        (
            {
                "content": ECHO.replace("{{ message }}", "{{ mesage }}").replace(
                    "str}", "int, value: x}"
                )
            },
            ["'mesage'", "'message'", "'x'"],
        ),
        (
            {
                "content": ECHO.replace("str}", "str, value: x}").replace(
                    "{{ message }}", "{{ message.a() }}"
                )
            },
            ["message.a()"],
        ),
        (
            {
                "content": ECHO.replace("kind: component", "")
                .replace("str}", "str, value: x}")
                .replace("{{ m", "{{ n")
            },
            ["'nessage'"],
        ),
        ({"content": "{"}, ["2:1"]),
        ({"content": ""}, ["empty"]),
        ({}, ["content"]),
        ({"content": ECHO, "is_managed": False}, ["outside the cluster"]),
        ({"content": ECHO, "pending": "upload"}, ["uploading"]),
    ],
)
async def test_what_cannot_run_creates_nothing_and_says_why(
    api: Api, runs: MemoryRuns, body: Any, words: list[str]
) -> None:
    answer = await api.post(RUNS, json=body)
    detail = (await answer.json())["detail"]
    assert answer.status == 400
    assert [word for word in words if word not in detail] == [], detail
    assert len(runs.bodies) == 1


async def test_a_template_beyond_look_ups_is_tried_before_anything_is_created(
    runs: MemoryRuns,
) -> None:
    content = ECHO.replace("type: str", "type: str, value: hello").replace(
        "{{ message }}", "{{ %s }}"
    )
    with closing(Pool(modules=(MODULE,))) as pool:
        app = create_app(runs, StaticToken("secret"), validation=Validation(pool))
        async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as api:
            assert (
                await api.post(RUNS, json={"content": content % "message | upper"})
            ).status == 201
            refused = await api.post(RUNS, json={"content": content % "message | uper"})
            assert (refused.status, "uper" in await refused.text()) == (400, True)
    assert len(runs.bodies) == 2


async def test_a_connection_that_is_not_there_is_reported_before_anything_is_created(
    runs: MemoryRuns,
) -> None:
    code = {"name": "code", "kind": "git", "schema": {"url": "https://example.com/code"}}
    catalog = read_catalog(parse_catalog_file({"connections": [code]}))

    def asking(first: str, second: str) -> dict[str, str]:
        more = (
            f"  connections: ['{{{{ message }}}}', {first}]\n  init: [{{connection: {second}}}]\n"
        )
        return {"content": ECHO.replace("str}", "str, value: code}") + more}

    app = create_app(runs, StaticToken("secret"), read_catalog=lambda: catalog)
    async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as api:
        assert (await api.post(RUNS, json=asking("code", "code"))).status == 201
        refused = [
            await (await api.post(RUNS, json=one)).json()
            for one in (asking("code", "coda"), asking("coda", "code"))
        ]
    words = "there is no connection 'coda' (did you mean 'code'? it has: code)"
    assert [one["detail"] for one in refused] == [
        f"run.init[0].connection: {words}",
        f"run.connections[1]: {words}",
    ]
    assert len(runs.bodies) == 2


async def test_what_is_said_of_a_run_is_validated_before_it_is_created(
    api: Api, runs: MemoryRuns
) -> None:
    said = {
        "content": ECHO.replace("type: str", "type: str, value: hello"),
        "meta_info": {"k": "x" * 70_000},
    }
    refused = await api.post(RUNS, json=said)
    assert (refused.status, "meta would be" in await refused.text()) == (400, True)
    refused = await api.post(
        RUNS, data=io.BytesIO(json.dumps({"content": "x" * 2 * 1024 * 1024}).encode())
    )
    assert (refused.status, "2,097,152" in await refused.text()) == (400, True)
    assert len(runs.bodies) == 1


class WaryRuns(MemoryRuns):
    """Fails if it is asked for a name that cannot be a namespace."""

    async def list(self, project: str) -> Any:
        assert project.replace("-", "").isalnum(), project
        return await super().list(project)


async def test_a_name_that_is_no_namespaces_is_not_looked_up() -> None:
    app = create_app(WaryRuns(projects=["quick-start"]), StaticToken("secret"))
    async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as api:
        assert (await api.get("/api/v1/default/quick-start/runs")).status == 200
        for name in (
            "a%2F..%2Fkube-system",
            "..",
            "%2E%2E%2Fx",
            "A",
            "a" * 64,
            "-a",
            "%00",
            "a%0A",
        ):
            assert (
                await api.get(URL(f"/api/v1/default/{name}/runs", encoded=True))
            ).status == 404, name


async def test_a_project_that_is_not_there(api: Api) -> None:
    assert (
        await api.post(
            RUNS.replace("quick-start", "other"), json={"content": as_operation(message="a")}
        )
    ).status == 404
    assert (await api.get("/api/v1/default/other")).status == 404
    assert (await api.get("/api/v1/acme/quick-start")).status == 404
    refused = await api.post("/api/v1/default/projects/create", json={"name": "other"})
    assert refused.status == 400
    assert "namespace" in (await refused.json())["detail"]


async def test_projects_are_namespaces(api: Api) -> None:
    assert (await (await api.get("/api/v1/default/quick-start")).json())["name"] == "quick-start"
    assert (
        await api.post("/api/v1/default/projects/create", json={"name": "quick-start"})
    ).status == 200
    assert [
        item["name"]
        for item in (await (await api.get("/api/v1/default/projects/list")).json())["results"]
    ] == ["quick-start"]


async def test_runs_are_listed_in_pages_newest_first(api: Api, runs: MemoryRuns) -> None:
    for number in range(5):
        body = operation(uuid=f"{number:032x}", phase="Succeeded")
        body["metadata"] |= {
            "name": f"r{number}",
            "uid": f"{number:032x}",
            "creationTimestamp": f"2027-01-0{number + 1}T00:00:00Z",
        }
        await runs.put(body)
    first = await (await api.get(RUNS, params={"limit": 2, "query": "status: succeeded"})).json()
    assert ([item["name"] for item in first["results"]], first["count"]) == (["r4", "r3"], 5)
    last = await (
        await api.get(
            RUNS,
            params={"limit": 2, "offset": 4, "query": "status:succeeded", "sort": "-created_at"},
        )
    ).json()
    assert [item["name"] for item in last["results"]] == ["r0"]
    for wrong in ({"query": "wat: 1"}, {"sort": "wat"}, {"limit": "many"}, {"query": "status"}):
        assert (await api.get(RUNS, params=wrong)).status == 400


LISTED: dict[str, dict[str, Any]] = {
    "one": {
        "phase": "Running",
        "tags": ["x"],
        "outputs": {"acc": 0.5},
        "artifacts": [{"name": "model", "path": "outputs/model"}],
    },
    "two": {"phase": "Failed", "outputs": {"acc": 0.9, "ok": True}, "meta": {"note": "kept"}},
    "three": {
        "phase": "Failed",
        "outputs": {},
        "duration": 3,
        "upstream": [{"uuid": "b" * 32, "name": "prep", "kind": "run"}],
    },
}


@pytest.fixture
async def listed(api: Api, runs: MemoryRuns) -> Api:
    await runs.delete("quick-start", UUID)
    for number, (name, status) in enumerate(LISTED.items(), 1):
        body = operation(uuid=f"{number:032x}", **status)
        body["metadata"] |= {
            "name": name,
            "uid": f"{number:032x}",
            "creationTimestamp": f"2026-01-0{number}T00:00:00Z",
        }
        if name == "three":
            body["metadata"]["ownerReferences"] = [
                {
                    "apiVersion": "opstrand.dev/v1",
                    "kind": "Operation",
                    "controller": True,
                    "name": "p",
                    "uid": "a" * 32,
                }
            ]
            body["metadata"]["labels"] = {"opstrand.dev/controller": "c" * 32}
        if name == "two":
            # The label alone, which anyone can write, makes no run a part of a pipeline.
            body["metadata"]["labels"] = {"opstrand.dev/controller": "c" * 32}
            body["metadata"]["annotations"] = {"opstrand.dev/restart-of": "d" * 32}
        await runs.put(body)
    return api


async def names(api: Api, **params: str) -> list[str]:
    answer = await (await api.get(RUNS, params=params)).json()
    return [item["name"] for item in answer["results"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["one", "two", "three"]),
        ("status: failed", ["two", "three"]),
        ("status: failed|running", ["one", "two", "three"]),
        ("status: ~failed", ["one"]),
        ("metrics.acc: >=0.9", ["two"]),
        ("outputs.acc: <0.9, tags: x", ["one"]),
        ("outputs.ok: true", ["two"]),
        (f"pipeline: {'a' * 8}-{'a' * 24}", ["three"]),
        ("pipeline: nil", ["one", "two"]),
        (f"controller: {'c' * 32}", ["three"]),
        (f"original: {'d' * 32}", ["two"]),
        ("cloning_kind: restart", ["two"]),
        ("kind: job", ["one", "two", "three"]),
        (f"uuid: {1:032x}|{2:032x}", ["one", "two"]),
        ("name: %o%", ["one", "two"]),
        ("name: t%", ["two", "three"]),
        ("created_at: >2026-01-01", ["two", "three"]),
        ("tags: nil", ["two", "three"]),
        ("artifacts.model: ~nil", ["one"]),
        ("artifacts.name: model", ["one"]),
        ("upstream.name: prep", ["three"]),
        (f"upstream: {'b' * 32}", ["three"]),
        ("project.name: quick-start, owner: default", ["one", "two", "three"]),
        ("meta_info.note: kept", ["two"]),
        ("duration: >2", ["three"]),
    ],
)
async def test_queries(listed: Api, query: str, found: list[str]) -> None:
    assert await names(listed, query=query, sort="created_at") == found


async def test_sorting_puts_what_has_no_value_last(listed: Api) -> None:
    assert await names(listed) == ["three", "two", "one"]
    assert await names(listed, sort="-metrics.acc") == ["two", "one", "three"]
    assert await names(listed, sort="status,-name") == ["two", "three", "one"]
    assert (
        "password" in (await (await listed.get(RUNS, params={"sort": "password"})).json())["detail"]
    )


@pytest.mark.parametrize(
    ("action", "spec"),
    [
        ("stop", {"control": {"stop": True}}),
        ("skip", {"control": {"skip": True}}),
        ("approve", {"isApproved": True}),
    ],
)
async def test_what_is_asked_of_a_run_is_in_its_spec(
    api: Api, runs: MemoryRuns, action: str, spec: dict[str, Any]
) -> None:
    assert (await api.post(f"{RUN}/{action}")).status == 200
    body = await runs.get("quick-start", UUID)
    assert {key: body["spec"].get(key) for key in spec} == spec


async def test_a_run_that_is_over_is_left_alone_and_can_be_restarted(
    api: Api, runs: MemoryRuns
) -> None:
    await runs.put(operation(phase="Failed"))
    assert (await api.post(RUN + "/stop")).status == 200
    assert "control" not in (await runs.get("quick-start", UUID))["spec"]
    again = await (await api.post(RUN + "/restart", json={"tags": ["again"]})).json()
    copy = await runs.get("quick-start", again["uuid"])
    assert again["uuid"] != UUID
    assert copy["spec"] == {"component": {"run": {"kind": "job"}}, "tags": ["again"]}
    assert again["original"] == {"uuid": UUID, "kind": "restart"}
    clones = (await (await api.get(RUN + "/lineage/clones")).json())["results"]
    assert [(one["uuid"], one["cloning_kind"], one["status"]) for one in clones] == [
        (again["uuid"], "restart", "created")
    ]
    known = render_globals(read_identity(copy, Settings()))
    assert (known["cloning_kind"], known["original_uuid"]) == ("restart", UUID)


async def test_a_run_that_is_over_is_resumed_with_the_next_number_and_without_its_stop(
    api: Api, runs: MemoryRuns
) -> None:
    made = operation(phase="Stopped")
    made["spec"]["control"] = {"stop": True, "invalidate": True, "resume": 2}
    made["status"]["resume"] = 3
    await runs.put(made)
    # The second order comes before the operator acted on the first.
    for _ in range(2):
        answer = await api.post(RUN + "/resume")
        assert (answer.status, (await answer.json())["uuid"]) == (201, UUID)
        body = await runs.get("quick-start", UUID)
        assert body["spec"]["control"] == {"invalidate": True, "resume": 4}


@pytest.mark.parametrize(
    ("phase", "body", "expected"),
    [
        ("Running", {}, "has not ended (Running)"),
        ("Resuming", {}, "has not ended (Resuming)"),
        ("Failed", {"content": "{}"}, "content: a resumed run keeps its file"),
        ("Failed", {"name": "other"}, "name: a resumed run keeps its file"),
    ],
)
async def test_what_cannot_be_resumed_is_refused_and_not_stored(
    api: Api, runs: MemoryRuns, phase: str, body: dict[str, Any], expected: str
) -> None:
    await runs.put(operation(phase=phase))
    refusal = await api.post(RUN + "/resume", json=body)
    assert refusal.status == 400
    assert expected in (await refusal.json())["detail"]
    assert "control" not in (await runs.get("quick-start", UUID))["spec"]


async def test_a_deleted_run_is_gone(api: Api) -> None:
    assert (await api.delete(RUN)).status == 204
    assert (await api.get(RUN)).status == 404
