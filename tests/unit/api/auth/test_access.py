"""A run's token against the routes: its own run until a minute after the end, the runs around it,
and otherwise what its account may do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.running_run import RUN, UUID, operation

from opstrand.api.app import create_app
from opstrand.api.auth.access import authorize_report, is_over
from opstrand.api.auth.callers import Caller, Forbidden, Verb
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import Listed, RunNotFound
from opstrand.types import Body

Client = TestClient[Any, Any]
POD = "echo-4f0c1a2b-0"


class PodAuth:
    """Every token is the name of a Pod in quick-start, with the uid `pod-uid`.

    Its account may do `allowed` in `project`.
    """

    def __init__(self, *allowed: Verb, project: str = "quick-start") -> None:
        self.allowed, self.project = allowed, project

    async def identify(self, token: str) -> Caller:
        return Caller(name="sa", namespace="quick-start", pod_name=token, pod_uid="pod-uid")

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        return verb in self.allowed and project == self.project


class LaggingRuns(MemoryRuns):
    """Returns each run as it was before the freeze, until the API server itself is asked."""

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        body = await super().get(project, uuid)
        return body if newest else {**body, "status": {"phase": "Created"}}

    async def list(self, project: str) -> list[Listed]:
        return [
            Listed({**run.whole, "status": {"phase": "Created"}})
            for run in await super().list(project)
        ]


def named(name: str, digit: str, *, owner: str = "", **status: Any) -> dict[str, Any]:
    """Return another run of the project: its uuid is the digit 32 times, `owner` the uid of the
    pipeline that made it.
    """
    body = operation(
        uuid=digit * 32, pod={"name": f"{name}-{digit * 8}-0", "uid": "other"}, **status
    )
    body["metadata"] |= {"name": name, "uid": digit * 32}
    if owner:
        reference = {
            "apiVersion": "opstrand.dev/v1",
            "kind": "Operation",
            "name": "p",
            "uid": owner,
            "controller": True,
        }
        body["metadata"]["ownerReferences"] = [reference]
    return body


def path_of(digit: str) -> str:
    return RUN.replace(UUID, digit * 32)


async def neighbourhood(runs: MemoryRuns) -> MemoryRuns:
    """Add the runs around `echo`: its upstream is a, it is in the pipeline b, which is in the
    pipeline c; d is a sibling, e is unrelated, f is the upstream of a.
    """
    echo = operation(upstream=[{"uuid": "a" * 32, "name": "up", "kind": "run", "values": {}}])
    echo["metadata"]["ownerReferences"] = named("x", "1", owner="b" * 32)["metadata"][
        "ownerReferences"
    ]
    await runs.put(echo)
    await runs.put(
        named("up", "a", phase="Succeeded", upstream=[{"uuid": "f" * 32, "name": "far"}])
    )
    await runs.put(named("pipeline", "b", owner="c" * 32))
    await runs.put(named("outer", "c"))
    await runs.put(named("sibling", "d", owner="b" * 32))
    await runs.put(named("stranger", "e"))
    await runs.put(named("far", "f", phase="Succeeded"))
    return runs


MakeClient = Callable[..., Any]


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    clients = []

    async def make(runs: MemoryRuns, auth: PodAuth, pod: str = POD) -> Client:
        client = TestClient(
            TestServer(create_app(runs, auth)), headers={"Authorization": f"Token {pod}"}
        )
        clients.append(client)
        await client.start_server()
        return client

    yield make
    for client in clients:
        await client.close()


async def statuses(client: Client, paths: list[str]) -> list[int]:
    return [(await client.get(path)).status for path in paths]


READS = [
    "",
    "/statuses",
    "/namespace",
    "/lineage/artifacts",
    "/lineage/artifacts/names",
    "/lineage/upstream",
    "/lineage/downstream",
]


@pytest.mark.parametrize("keeper", [MemoryRuns, LaggingRuns])
@pytest.mark.parametrize("suffix", READS)
async def test_a_run_reads_itself_its_upstreams_and_its_pipeline(
    make_client: MakeClient, keeper: type[MemoryRuns], suffix: str
) -> None:
    client = await make_client(await neighbourhood(keeper()), PodAuth())
    around = await statuses(
        client, [path + suffix for path in (RUN, path_of("a"), path_of("b"), path_of("c"))]
    )
    beyond = await statuses(client, [path_of(digit) + suffix for digit in "def9"])
    assert (around, beyond) == ([200] * 4, [404] * 4)


async def test_a_run_reads_the_run_whose_result_its_upstream_took(make_client: MakeClient) -> None:
    runs = await neighbourhood(MemoryRuns())
    edge = {"uuid": "a" * 32, "name": "up", "kind": "run", "original": "e" * 32}
    await runs.put(operation(upstream=[edge]))
    client = await make_client(runs, PodAuth())
    assert await statuses(client, [path_of(digit) for digit in "aed"]) == [200, 200, 404]


async def test_the_rest_of_its_project_is_read_by_the_rights_of_its_account(
    make_client: MakeClient,
) -> None:
    runs = await neighbourhood(MemoryRuns())
    client = await make_client(runs, PodAuth(Verb.READ))
    assert await statuses(client, [path_of(digit) for digit in "adef9"]) == [
        200,
        200,
        200,
        200,
        404,
    ]
    logs = f"/streams/v1/quick-start/default/quick-start/runs/{'e' * 32}/logs"
    assert (await client.get(logs)).status == 403
    await runs.end_log("e" * 32)
    assert (await (await make_client(runs, PodAuth(Verb.READ, Verb.LOGS))).get(logs)).status == 200


async def test_logs_and_lists_are_no_ones_by_default(make_client: MakeClient) -> None:
    runs = await neighbourhood(MemoryRuns())
    client = await make_client(runs, PodAuth())
    await runs.end_log(UUID)
    logs = "/streams/v1/quick-start/default/quick-start/runs/{}/logs"
    assert (await client.get(logs.format(UUID))).status == 200
    assert (await client.get(logs.format("e" * 32))).status == 404
    listed = await client.get("/api/v1/default/quick-start/runs")
    assert (listed.status, "a run reads itself" in (await listed.json())["detail"]) == (403, True)
    assert (await client.get("/api/v1/default/quick-start")).status == 200
    assert (await (await client.get("/api/v1/default/projects/list")).json())["results"] == []
    assert await statuses(
        client, ["/api/v1/default/elsewhere/runs", "/api/v1/default/elsewhere"]
    ) == [404, 404]


async def test_a_pod_that_is_no_runs_reads_nothing(make_client: MakeClient) -> None:
    client = await make_client(
        await neighbourhood(MemoryRuns()), PodAuth(), pod="any-pod-with-our-audience"
    )
    assert await statuses(client, [path_of(digit) for digit in "abcde"] + [RUN]) == [404] * 6


async def test_what_a_run_asks_of_runs_is_its_accounts_right(make_client: MakeClient) -> None:
    runs = await neighbourhood(MemoryRuns())
    client = await make_client(runs, PodAuth())
    orders = [await client.post(path + "/stop") for path in (RUN, path_of("a"), path_of("e"))]
    assert [answer.status for answer in orders] == [403, 403, 404]
    assert (await client.delete(RUN)).status == 403
    assert (
        await (await make_client(runs, PodAuth(Verb.READ, Verb.CONTROL))).post(
            path_of("e") + "/stop"
        )
    ).status == 200


async def test_a_pipeline_that_contains_itself_ends_the_search(make_client: MakeClient) -> None:
    runs = await neighbourhood(MemoryRuns())
    await runs.put(named("outer", "c", owner="b" * 32))
    client = await make_client(runs, PodAuth())
    assert await statuses(client, [path_of("c"), path_of("e")]) == [200, 404]


async def test_a_run_reports_before_the_watch_shows_its_freeze(
    make_client: MakeClient,
) -> None:
    client = await make_client(await neighbourhood(LaggingRuns()), PodAuth())
    assert (await (await client.get(RUN)).json())["inputs"] == {"message": "test 1"}
    assert (await client.patch(RUN, json={"outputs": {"a": 1}, "merge": True})).status == 200


async def test_another_run_must_not_even_learn_that_it_could_not_write(
    make_client: MakeClient,
) -> None:
    client = await make_client(await neighbourhood(LaggingRuns()), PodAuth(), pod="other-0")
    missing = await client.patch(RUN[:-1] + "0", json={})
    refused = await client.patch(RUN, json={"outputs": {"a": 1}})
    assert (
        (refused.status, await refused.read())
        == (missing.status, await missing.read())
        == (404, b'{"detail": "Not found."}')
    )


def own_pod(**changes: str) -> Caller:
    return Caller(
        **{
            "name": "sa",
            "namespace": "quick-start",
            "pod_name": POD,
            "pod_uid": "pod-uid",
            **changes,
        }
    )


async def test_a_run_reports_on_itself_and_on_nothing_else() -> None:
    auth = PodAuth()
    await authorize_report(auth, own_pod(), operation())
    # the status does not have its uid yet
    await authorize_report(auth, own_pod(), operation(pod={"name": POD}))
    for stranger in (
        own_pod(pod_name="other"),
        own_pod(pod_uid="other"),
        own_pod(namespace="other"),
    ):
        with pytest.raises(RunNotFound):
            await authorize_report(auth, stranger, operation())
    with pytest.raises(RunNotFound):
        # its next attempt has replaced it
        await authorize_report(auth, own_pod(), operation(pod={"name": "echo-4f0c1a2b-1"}))


async def test_the_replicas_of_a_service_that_the_operator_wrote_down_report_on_their_run() -> None:
    replicas = [{"name": "web-1", "uid": "1"}, {"name": "web-2", "uid": "2"}]
    body = operation(pod=replicas[0], service={"pods": replicas})
    for number in ("1", "2"):
        await authorize_report(PodAuth(), own_pod(pod_name=f"web-{number}", pod_uid=number), body)
    for stranger in (
        own_pod(pod_name="web-2", pod_uid="1"),
        own_pod(pod_name="web-3", pod_uid="3"),
        own_pod(),
    ):
        with pytest.raises(RunNotFound):
            await authorize_report(PodAuth(), stranger, body)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def finished(seconds: float) -> dict[str, Any]:
    return {
        "conditions": [{"type": "Finished", "status": "True", "lastTransitionTime": ago(seconds)}]
    }


# Functions, because the tests may start long after this file is imported.
ENDS = {
    "not over": (lambda: {"finishedAt": ago(900)}, "Running", False),
    "over a moment ago": (lambda: {"finishedAt": ago(30)}, "Succeeded", False),
    "over for more than a minute": (lambda: {"finishedAt": ago(90)}, "Failed", True),
    "stopped": (lambda: {"finishedAt": ago(90)}, "Stopped", True),
    "a node whose clock is behind": (
        lambda: {"finishedAt": ago(900), **finished(5)},
        "Succeeded",
        False,
    ),
    "a node whose clock is ahead": (
        lambda: {"finishedAt": ago(-9000), **finished(90)},
        "Succeeded",
        True,
    ),
    "no time at all": (dict, "Succeeded", True),
    "an unreadable time": (lambda: {"finishedAt": "yesterday"}, "Succeeded", True),
    "a time without zone": (lambda: {"finishedAt": ago(90).removesuffix("Z")}, "Succeeded", True),
    "a condition without a time": (
        lambda: {"finishedAt": ago(90), "conditions": [{"type": "Finished"}]},
        "Succeeded",
        True,
    ),
}


@pytest.mark.parametrize(("make_status", "phase", "over"), ENDS.values(), ids=ENDS.keys())
async def test_no_report_of_a_run_later_than_a_minute_after_its_end(
    make_client: MakeClient, make_status: Callable[[], dict[str, Any]], phase: str, over: bool
) -> None:
    body = operation(phase=phase, **make_status())
    assert is_over(body, datetime.now(UTC)) == over
    runs = MemoryRuns()
    await runs.put(body)
    # The rights of its account make no difference for its own run: the token is a run's, and is in
    # a Pod that has ended.
    for auth in (PodAuth(), PodAuth(*Verb)):
        client = await make_client(runs, auth)
        said = [
            await client.patch(RUN, json={"outputs": {"a": 1}, "merge": True}),
            await client.patch(RUN, json={"inputs": {"message": "other"}}),
            await client.post(RUN + "/lineage/artifacts", json={"artifacts": [{"name": "late"}]}),
            await client.post(RUN + "/statuses", json={}),
        ]
        assert [answer.status for answer in said] == ([403] * 4 if over else [200, 200, 201, 201])
        assert (await client.get(RUN)).status == 200
    if over:
        with pytest.raises(Forbidden, match="The run has ended"):
            await authorize_report(PodAuth(), own_pod(), body)
        assert runs.bodies["quick-start", "echo"]["status"] == body["status"]
