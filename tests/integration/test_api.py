"""The HTTP API over a real API server, with the rights of manifests/: who may do what, and what is
stored when it says so.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from opstrand.api.app import create_app
from opstrand.api.auth.callers import Unauthenticated
from opstrand.api.auth.expired_tokens import ExpiredTokens
from opstrand.api.auth.keys import ClusterKeys
from opstrand.api.auth.tokens import ClusterAuth
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS, SERVICE_ACCOUNTS
from opstrand.kube.session import open_session
from opstrand.runs.authorship import Impersonation
from opstrand.runs.live import ClusterRuns
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    API_USER,
    AUDIENCE,
    in_phase,
    make_namespace,
    make_token,
    operation,
    pod_of,
    run_kubectl,
    wait_for,
)
from tests.support.audit import count_requests, read_audit
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess

COMPONENT = json.dumps(
    {
        "kind": "component",
        "name": "echo",
        "inputs": [{"name": "message", "type": "str", "value": "hello"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
)

Client = TestClient[Any, Any]


@pytest_asyncio.fixture(loop_scope="session")
async def api_kube(api_kubeconfig: str) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=api_kubeconfig, connections=64) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session")
async def api(api_kube: KubeApi) -> AsyncIterator[Client]:
    runs = ClusterRuns(api_kube, impersonation=Impersonation(api_kube))
    watching = asyncio.create_task(runs.keep_watching())
    await runs.wait_until_ready()
    async with TestClient(
        TestServer(create_app(runs, ClusterAuth(api_kube, audience=AUDIENCE)))
    ) as client:
        yield client
    watching.cancel()


@dataclass(frozen=True)
class Token:
    """A caller of the API."""

    client: Client
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.client.request(method, path, json=body, headers=headers) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None


@pytest.fixture
def person(
    kube: KubeApi, namespace: str, control_plane: ControlPlane, api: Client
) -> Callable[[str], Any]:
    """Make an account with one of the cluster's own roles in the namespace: `await person("edit")`;
    no role for "".
    """

    async def make(role: str) -> Token:
        account = f"person-{role or 'nobody'}"
        run_kubectl(control_plane.kubeconfig, "-n", namespace, "create", "serviceaccount", account)
        if role:
            binding = (
                "create",
                "rolebinding",
                account,
                f"--clusterrole={role}",
                f"--serviceaccount={namespace}:{account}",
            )
            run_kubectl(control_plane.kubeconfig, "-n", namespace, *binding)
        return Token(api, await make_token(kube, namespace, account))

    return make


async def start_run(kube: KubeApi, namespace: str, editor: Token) -> tuple[Manifest, Manifest, str]:
    """Create a run through the API and let the operator start it: return its body, its Pod, its
    path.
    """
    status, view = await editor.ask(
        "POST", f"/api/v1/default/{namespace}/runs", {"content": COMPONENT}
    )
    assert status == 201, view
    body = await wait_for(kube, namespace, view["name"], in_phase("Starting", "Running"))
    return (
        body,
        await pod_of(kube, namespace, body),
        f"/api/v1/default/{namespace}/runs/{view['uuid']}",
    )


@pytest.mark.usefixtures("operator")
async def test_a_run_reports_on_itself_and_what_was_said_is_in_its_end(
    kube: KubeApi, namespace: str, api: Client, person: Any
) -> None:
    editor = await person("edit")
    body, pod, run = await start_run(kube, namespace, editor)
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    started = "2026-01-02T03:04:05Z"
    await mark(kube, pod, running(started))

    status, view = await own.ask("GET", run)
    assert (status, view["inputs"], view["settings"]) == (
        200,
        {"message": "hello"},
        {"namespace": namespace},
    )
    outputs = {"acc": 0.5, "nothing": None, "deep": {"none": None, "list": [None, 1]}, "a/b~c": "ü"}
    unstorable = {"loss": float("nan"), "large": 2**70}  # as the published client sends them
    assert (await own.ask("PATCH", run, {"outputs": outputs | unstorable, "merge": True}))[0] == 200
    assert (
        await own.ask(
            "PATCH",
            run,
            {"tags": ["t"], "meta_info": {"k": None}, "description": "d", "merge": True},
        )
    )[0] == 200
    assert (
        await own.ask(
            "POST",
            run + "/lineage/artifacts",
            {"artifacts": [{"name": "env", "kind": "env", "summary": {"hash": "1"}}]},
        )
    )[0] == 201

    await mark(kube, pod, ended(0, started))
    final = await wait_for(kube, namespace, body["metadata"]["name"], in_phase("Succeeded"))
    kept = final["status"]
    assert kept["outputs"] == outputs | {"loss": "nan", "large": str(2**70)}
    assert (kept["tags"], kept["meta"], kept["description"]) == (["t"], {"k": None}, "d")
    assert [(item["name"], item["summary"]) for item in kept["artifacts"]] == [
        ("env", {"hash": "1"})
    ]
    _, statuses = await editor.ask("GET", run + "/statuses")
    assert statuses["status"] == "succeeded"


async def forge_pod(kube: KubeApi, namespace: str, pod: Manifest, **spec: Any) -> Manifest:
    """Create a Pod that claims to be the run's: its creator can write any labels and owner
    references.
    """
    meta = {
        "generateName": "forged-",
        **{key: pod["metadata"][key] for key in ("labels", "ownerReferences")},
    }
    containers = {"containers": [{"name": "main", "image": "busybox"}], **spec}
    return await kube.create(
        PODS, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": containers}
    )


@pytest.mark.usefixtures("operator")
async def test_a_pod_of_no_run_reads_what_its_account_may_and_nothing_else(
    kube: KubeApi, namespace: str, api: Client, person: Any, control_plane: ControlPlane
) -> None:
    body, pod, run = await start_run(kube, namespace, await person("edit"))
    other = Token(
        api,
        await make_token(
            kube, namespace, "default", pod=await forge_pod(kube, namespace, pod), audience=AUDIENCE
        ),
    )
    for method, path, said in (
        ("GET", "", None),
        ("GET", "/statuses", None),
        ("GET", "/lineage/artifacts", None),
        ("PATCH", "", {"outputs": {"a": 1}}),
        ("POST", "/lineage/artifacts", {"artifacts": []}),
        ("POST", "/statuses", {}),
        ("POST", "/stop", None),
        ("DELETE", "", None),
        ("POST", "/restart", None),
    ):
        assert (await other.ask(method, run + path, said)) == (404, {"detail": "Not found."})
    logs = run.replace("/api/v1", f"/streams/v1/{namespace}") + "/logs"
    assert (await other.ask("GET", logs))[0] == 404
    assert (await other.ask("GET", run.rpartition("/")[0]))[0] == 403
    elsewhere = await make_namespace(kube, f"{namespace}-b")
    far = await kube.create(OPERATIONS, elsewhere, operation("far"))
    assert (await other.ask("GET", f"/api/v1/default/{elsewhere}/runs/{far['metadata']['uid']}"))[
        0
    ] == 404
    assert (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["status"][
        "outputs"
    ] == {}

    await person("view")  # this account may also read with kubectl
    reader = await forge_pod(kube, namespace, pod, serviceAccountName="person-view")
    token = Token(
        api, await make_token(kube, namespace, "person-view", pod=reader, audience=AUDIENCE)
    )
    assert [(await token.ask("GET", path))[0] for path in (run, run.rpartition("/")[0])] == [
        200,
        200,
    ]
    assert (await token.ask("PATCH", run, {"outputs": {"a": 1}}))[0] == 403


@pytest.mark.usefixtures("operator")
async def test_a_run_reads_its_upstream_and_reports_no_more_once_it_is_over(
    kube: KubeApi, namespace: str, api: Client, person: Any
) -> None:
    editor = await person("edit")
    body, pod, run = await start_run(kube, namespace, editor)
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    started = "2026-01-02T03:04:05Z"
    await mark(kube, pod, running(started))
    assert (await own.ask("PATCH", run, {"outputs": {"acc": 0.5}, "merge": True}))[0] == 200
    await mark(kube, pod, ended(0, started))
    name = body["metadata"]["name"]
    final = await wait_for(kube, namespace, name, in_phase("Succeeded"))
    # within the minute after the end
    assert (await own.ask("PATCH", run, {"outputs": {"last": 1}, "merge": True}))[0] == 200

    second = operation(
        "second",
        {"params": {"acc": {"ref": f"runs.{final['status']['uuid']}", "value": "outputs.acc"}}},
    )
    second["spec"]["component"]["inputs"] = [{"name": "acc", "type": "float"}]
    await kube.create(OPERATIONS, namespace, second)
    down = await wait_for(kube, namespace, "second", in_phase("Starting", "Running"))
    down_pod = await pod_of(kube, namespace, down)
    downstream = Token(
        api, await make_token(kube, namespace, "default", pod=down_pod, audience=AUDIENCE)
    )
    assert (await downstream.ask("GET", run))[1]["outputs"] == {"acc": 0.5, "last": 1}
    assert (await own.ask("GET", f"{run.rpartition('/')[0]}/{down['status']['uuid']}"))[0] == 404

    conditions = [
        {**one, "lastTransitionTime": "2026-01-02T03:04:05Z"}
        for one in final["status"]["conditions"]
    ]
    ops = [{"op": "replace", "path": "/status/conditions", "value": conditions}]
    await kube.json_patch(OPERATIONS, namespace, name, ops, subresource="status")
    deadline = asyncio.get_running_loop().time() + 60
    # the watch reports it soon
    while (answer := await own.ask("PATCH", run, {"outputs": {"acc": 1}, "merge": True}))[0] == 200:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert (answer[0], "has ended" in answer[1]["detail"]) == (403, True)
    assert (await own.ask("GET", run))[0] == 200
    assert (await editor.ask("PATCH", run, {"tags": ["kept"], "merge": True}))[0] == 200


@pytest.mark.usefixtures("operator")
async def test_a_run_reads_the_pipeline_around_it_and_no_other_run_of_that(
    kube: KubeApi, namespace: str, api: Client, person: Any
) -> None:
    pipeline, _, run = await start_run(kube, namespace, await person("edit"))
    owner = {key: pipeline[key] for key in ("apiVersion", "kind")}
    owner |= {key: pipeline["metadata"][key] for key in ("name", "uid")} | {"controller": True}
    for name in ("child", "sibling"):
        await kube.create(OPERATIONS, namespace, operation(name, ownerReferences=[owner]))
    child, sibling = [
        await wait_for(kube, namespace, name, in_phase("Starting", "Running"))
        for name in ("child", "sibling")
    ]
    pod = await pod_of(kube, namespace, child)
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    runs = run.rpartition("/")[0]
    paths = [run, *(f"{runs}/{body['status']['uuid']}" for body in (child, sibling))]
    assert [(await own.ask("GET", path))[0] for path in paths] == [200, 200, 404]
    reports = [(await own.ask("PATCH", path, {"outputs": {"a": 1}}))[0] for path in paths]
    assert reports == [404, 200, 404]


def make_expired(token: str, control_plane: ControlPlane, seconds: float = 600) -> str:
    """Return the same token as if the cluster had made it earlier, so that it expired `seconds`
    ago.
    """
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    back = claims["exp"] - time.time() + seconds
    claims |= {key: int(claims[key] - back) for key in ("exp", "iat", "nbf")}
    return jwt.encode(
        claims, control_plane.service_account_key.read_text(), header["alg"], {"kid": header["kid"]}
    )


@pytest.mark.usefixtures("operator")
async def test_an_expired_token_counts_while_its_pod_and_its_account_live(
    kube: KubeApi, api_kube: KubeApi, namespace: str, person: Any, control_plane: ControlPlane
) -> None:
    _, pod, _ = await start_run(kube, namespace, await person("edit"))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doomed"}}
    await kube.create(SERVICE_ACCOUNTS, namespace, account)
    doomed = await forge_pod(kube, namespace, pod, serviceAccountName="doomed")
    own = make_expired(
        await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE), control_plane
    )
    lost = make_expired(
        await make_token(kube, namespace, "doomed", pod=doomed, audience=AUDIENCE), control_plane
    )
    old = make_expired(
        await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE),
        control_plane,
        7200,
    )

    async def read_keys() -> Any:
        async with api_kube.session.http.get(api_kube.session.server + "/openid/v1/jwks") as answer:
            return json.loads(await answer.read())

    def make_auth() -> ClusterAuth:
        """Return a reviewer with an empty cache."""
        expired = ExpiredTokens(
            api_kube, ClusterKeys(read_keys), audience=AUDIENCE, longest_past=3600
        )
        return ClusterAuth(api_kube, audience=AUDIENCE, expired=expired)

    valid = await make_token(kube, namespace, "doomed", pod=doomed, audience=AUDIENCE)
    for token, name in (
        (own, pod["metadata"]["name"]),
        *((one, doomed["metadata"]["name"]) for one in (lost, valid)),
    ):
        assert (await make_auth().identify(token)).pod_name == name
    with pytest.raises(Unauthenticated):
        await make_auth().identify(old)
    await kube.delete(SERVICE_ACCOUNTS, namespace, "doomed")
    assert await kube.get(PODS, namespace, doomed["metadata"]["name"])
    with pytest.raises(Unauthenticated):
        await make_auth().identify(lost)
    # an account of the same name is another account
    await kube.create(SERVICE_ACCOUNTS, namespace, account)
    with pytest.raises(Unauthenticated):
        await make_auth().identify(lost)
    # The API server itself caches for 10 s which tokens it accepted.
    with pytest.raises(Unauthenticated):
        await identify_for(40, make_auth, valid)


async def identify_for(seconds: float, make_auth: Callable[[], ClusterAuth], token: str) -> None:
    """Identify the token's caller again and again; return if it was accepted each time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        await make_auth().identify(token)
        await asyncio.sleep(0.5)


@pytest.mark.usefixtures("operator")
async def test_only_a_token_that_was_made_for_us_is_a_runs(
    kube: KubeApi, namespace: str, api: Client, person: Any
) -> None:
    _, pod, run = await start_run(kube, namespace, await person("edit"))
    for token in (
        await make_token(kube, namespace, "default", pod=pod),
        await make_token(kube, namespace, "default", audience=AUDIENCE),
    ):
        assert (await Token(api, token).ask("PATCH", run, {"outputs": {"a": 1}}))[0] == 404
    wrong = await make_token(kube, namespace, "default", pod=pod, audience="somebody-else")
    for token in (wrong, "made.up.token", "x", "é", wrong[:-8] + "AAAAAAAA"):
        assert (await Token(api, token).ask("GET", run))[0] == 401
    async with api.get(run) as answer:
        assert answer.status == 401


@pytest.mark.usefixtures("operator")
async def test_people_may_what_the_clusters_own_rules_let_them(
    kube: KubeApi, namespace: str, person: Any
) -> None:
    editor, viewer, nobody = await person("edit"), await person("view"), await person("")
    body, _, run = await start_run(kube, namespace, editor)
    runs = run.rpartition("/")[0]
    assert [(await who.ask("GET", run))[0] for who in (editor, viewer, nobody)] == [200, 200, 404]
    assert [(await who.ask("GET", runs))[0] for who in (editor, viewer, nobody)] == [200, 200, 404]
    assert [
        (await who.ask("POST", runs, {"content": COMPONENT}))[0] for who in (viewer, nobody)
    ] == [403, 404]
    assert [(await who.ask("POST", run + "/stop"))[0] for who in (viewer, nobody, editor)] == [
        403,
        404,
        200,
    ]
    assert (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["spec"]["control"] == {
        "stop": True
    }
    assert [(await who.ask("DELETE", run))[0] for who in (viewer, nobody, editor)] == [
        403,
        404,
        204,
    ]
    assert (await editor.ask("GET", run))[0] == 404
    _, listed = await viewer.ask("GET", "/api/v1/default/projects/list")
    assert [item["name"] for item in listed["results"]] == [namespace]


def read_annotations(body: Manifest) -> dict[str, str]:
    found = (body["metadata"].get("annotations") or {}).items()
    return {
        key.removeprefix("opstrand.dev/"): value
        for key, value in found
        if key.startswith("opstrand.dev/")
    }


@pytest.mark.parametrize(
    ("asked", "annotation"),
    [
        ("stop", "stopped-by"),
        ("skip", "skipped-by"),
        ("approve", "approved-by"),
        ("invalidate", "invalidated-by"),
    ],
)
async def test_a_run_says_who_made_it_and_who_asked_what_of_it(
    kube: KubeApi,
    namespace: str,
    person: Any,
    caplog: pytest.LogCaptureFixture,
    asked: str,
    annotation: str,
) -> None:
    caplog.set_level("INFO", logger="opstrand.runs.authorship")
    editor, admin = await person("edit"), await person("admin")
    alice, bob = (f"system:serviceaccount:{namespace}:person-{role}" for role in ("edit", "admin"))
    runs = f"/api/v1/default/{namespace}/runs"
    _, view = await editor.ask("POST", runs, {"content": COMPONENT})
    run = f"{runs}/{view['uuid']}"
    assert read_annotations(await kube.get(OPERATIONS, namespace, view["name"])) == {
        "created-by": alice
    }
    assert (await admin.ask("POST", f"{run}/{asked}"))[0] == 200
    assert read_annotations(await kube.get(OPERATIONS, namespace, view["name"])) == {
        "created-by": alice,
        annotation: bob,
    }
    _, again = await admin.ask("POST", f"{run}/restart")
    assert read_annotations(await kube.get(OPERATIONS, namespace, again["name"])) == {
        "created-by": bob,
        "restart-of": view["uuid"],
    }
    assert (await editor.ask("DELETE", run))[0] == 204
    said = [(record.message, record.by, record.project) for record in caplog.records]  # type: ignore[attr-defined]
    wanted = [("created", alice), (f"asked to {asked}", bob), ("created", bob), ("deleted", alice)]
    assert said == [(f"run {action}", user, namespace) for action, user in wanted]


async def test_whom_the_api_may_impersonate_the_audit_log_names(
    kube: KubeApi, namespace: str, person: Any, control_plane: ControlPlane
) -> None:
    granted, other = await person("edit"), await person("admin")
    kubeconfig = control_plane.kubeconfig
    role = (
        "create",
        "role",
        "impersonate",
        "--verb=impersonate",
        "--resource=serviceaccounts",
        "--resource-name=person-edit",
    )
    run_kubectl(kubeconfig, "-n", namespace, *role)
    run_kubectl(
        kubeconfig,
        "-n",
        namespace,
        "create",
        "rolebinding",
        "impersonate",
        "--role=impersonate",
        f"--user={API_USER}",
    )
    offset = control_plane.audit_log.stat().st_size
    runs, made = f"/api/v1/default/{namespace}/runs", []
    for who in (granted, other):
        status, view = await who.ask("POST", runs, {"content": COMPONENT})
        assert status == 201, view
        made.append(view)
        assert (await who.ask("POST", f"{runs}/{view['uuid']}/stop"))[0] == 200
        assert (await who.ask("DELETE", f"{runs}/{view['uuid']}"))[0] == 204
    await asyncio.sleep(0.3)
    writes = [
        (entry["verb"], (entry.get("impersonatedUser") or {}).get("username"))
        for entry in read_audit(control_plane.audit_log, API_USER, after=offset)
        if (entry.get("objectRef") or {}).get("resource") == "operations"
        and entry["verb"] in ("create", "patch", "delete")
    ]
    account = f"system:serviceaccount:{namespace}:person-edit"
    # A write that conflicts with one of the operator's is retried.
    assert list(dict.fromkeys(writes)) == [
        (verb, user) for user in (account, None) for verb in ("create", "patch", "delete")
    ]


@pytest.mark.usefixtures("operator")
async def test_a_burst_of_reports_is_few_writes_and_none_is_lost(
    kube: KubeApi, namespace: str, api: Client, person: Any, control_plane: ControlPlane
) -> None:
    body, pod, run = await start_run(kube, namespace, await person("edit"))
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    offset = control_plane.audit_log.stat().st_size
    answers = await asyncio.gather(
        *(
            own.ask("PATCH", run, {"outputs": {f"k{n}": n, "last": n}, "merge": True})
            for n in range(1000)
        )
    )
    assert {status for status, _ in answers} == {200}
    outputs = (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["status"]["outputs"]
    assert outputs == {**{f"k{n}": n for n in range(1000)}, "last": outputs["last"]}
    await asyncio.sleep(0.3)
    requests = count_requests(control_plane.audit_log, API_USER, after=offset)
    assert requests["patch", "operations/status", 200] <= 60, requests
    assert requests["create", "tokenreviews", 201] == 1, requests


@pytest.mark.usefixtures("operator")
async def test_writes_of_others_in_between_are_neither_lost_nor_overwritten(
    kube: KubeApi, namespace: str, api: Client, person: Any
) -> None:
    body, pod, run = await start_run(kube, namespace, await person("edit"))
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))

    async def interfere() -> None:
        for number in range(30):
            ops = [{"op": "add", "path": "/status/message", "value": str(number)}]
            await kube.json_patch(
                OPERATIONS, namespace, body["metadata"]["name"], ops, subresource="status"
            )

    logged = [
        own.ask("POST", run + "/lineage/artifacts", {"artifacts": [{"name": f"a{n}"}]})
        for n in range(20)
    ]
    *answers, _ = await asyncio.gather(*logged, interfere())
    assert {answer[0] for answer in answers} == {201}
    status = (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["status"]
    assert {item["name"] for item in status["artifacts"]} == {f"a{n}" for n in range(20)}
    assert status["message"] == "29"


@pytest.mark.usefixtures("operator")
async def test_a_run_is_known_before_the_watch_reports_it(
    kube: KubeApi, api_kube: KubeApi, namespace: str
) -> None:
    runs = ClusterRuns(api_kube)  # no watch feeds it
    made = await kube.create(OPERATIONS, namespace, operation("new"))
    assert (await runs.get(namespace, made["metadata"]["uid"].replace("-", "")))["metadata"][
        "name"
    ] == "new"


@pytest.mark.usefixtures("operator")
async def test_the_clusters_own_keys_prove_a_token(
    kube: KubeApi, api_kube: KubeApi, namespace: str, person: Any
) -> None:
    _, pod, _ = await start_run(kube, namespace, await person("edit"))
    token = await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE)

    async def read_keys() -> Any:
        async with api_kube.session.http.get(api_kube.session.server + "/openid/v1/jwks") as answer:
            return json.loads(await answer.read())

    caller = await ExpiredTokens(api_kube, ClusterKeys(read_keys), audience=AUDIENCE).identify(
        token
    )
    assert (caller.namespace, caller.pod_name, caller.pod_uid) == (
        namespace,
        pod["metadata"]["name"],
        pod["metadata"]["uid"],
    )
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["aud"] == [AUDIENCE]


async def test_the_process_answers_when_it_is_ready_and_ends_on_request(
    control_plane: ControlPlane, api_kubeconfig: str, tmp_path: Path, kube: KubeApi, namespace: str
) -> None:
    port = free_port("127.0.0.1")
    process = OperatorProcess(
        Path(api_kubeconfig),
        tmp_path / "api.log",
        module="opstrand.api",
        api_listen_port=port,
        store_url=f"sqlite://{tmp_path}/store/runs.db",
        data=tmp_path / "data",
    )
    process.start()
    process.wait_until_started()
    made = await kube.create(OPERATIONS, namespace, operation("waits", {"isApproved": False}))
    token = await make_token(kube, "kube-system", "default")
    run = f"/runs/{made['metadata']['uid']}"
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", headers={"Authorization": f"Token {token}"}
    ) as http:
        for _ in range(1200):
            if (await http.get("/readyz")).status == 200:
                break
            await asyncio.sleep(0.05)
        run_kubectl(
            control_plane.kubeconfig,
            "create",
            "clusterrolebinding",
            "reader",
            "--clusterrole=admin",
            "--serviceaccount=kube-system:default",
        )
        async with http.get(f"/api/v1/default/{namespace}{run}") as answer:
            assert answer.status == 200, process.read_log()
        held = asyncio.create_task(
            http.get(
                f"/streams/v1/{namespace}/default/{namespace}{run}/logs",
                params={"last_file": "0.0."},
            )
        )
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(asyncio.to_thread(process.stop))
        await asyncio.sleep(0.5)
        assert (await http.get("/healthz")).status == 200  # until the Service has removed it
        assert await stopping == 0
        await asyncio.gather(held, return_exceptions=True)
    entries = [json.loads(line) for line in process.read_log().splitlines()]
    assert [entry["message"] for entry in entries if entry["level"] != "info"] == []
