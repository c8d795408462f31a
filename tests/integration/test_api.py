"""The HTTP API over a real API server, with the rights of manifests/: who may do what, and what is stored when it says so."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from opstrand.kube.api import OPERATIONS, PODS, KubeApi, Manifest, Resource
from opstrand.kube.session import open_session
from opstrand.tracking.app import create_app
from opstrand.tracking.cluster import ClusterRuns
from opstrand.tracking.expired import ExpiredTokens
from opstrand.tracking.tokens import ClusterAuth
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import CHECKOUT, in_phase, make_namespace, operation, pod_of, run_kubectl, wait_for
from tests.support.audit import count_requests
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess

API_USER = "opstrand-api"
AUDIENCE = "opstrand"
COMPONENT = json.dumps(
    {
        "kind": "component",
        "name": "echo",
        "inputs": [{"name": "message", "type": "str", "value": "hello"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
)

Client = TestClient[Any, Any]


@pytest.fixture(scope="session")
def api_kubeconfig(control_plane: ControlPlane) -> str:
    run_kubectl(control_plane.kubeconfig, "create", "namespace", "opstrand", check=False)
    run_kubectl(control_plane.kubeconfig, "apply", "--server-side", "-n", "opstrand", "-f", str(CHECKOUT / "manifests/base/rbac-api.yaml"))
    for role in ("opstrand-api", "system:service-account-issuer-discovery"):
        name = f"api-of-the-tests-{role.rpartition(':')[2]}"
        run_kubectl(
            control_plane.kubeconfig, "create", "clusterrolebinding", name, f"--clusterrole={role}", f"--user={API_USER}", check=False
        )
    return str(control_plane.user(API_USER))


@pytest_asyncio.fixture(loop_scope="session")
async def api_kube(api_kubeconfig: str) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=api_kubeconfig, connections=64) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session")
async def api(api_kube: KubeApi) -> AsyncIterator[Client]:
    runs = ClusterRuns(api_kube)
    watching = asyncio.create_task(runs.keep_watching())
    async with TestClient(TestServer(create_app(runs, ClusterAuth(api_kube, audience=AUDIENCE)))) as client:
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


async def make_token(kube: KubeApi, namespace: str, account: str, *, pod: Manifest | None = None, audience: str = "") -> str:
    spec: dict[str, Any] = {"audiences": [audience] if audience else []}
    if pod is not None:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    requests = Resource("", "v1", f"serviceaccounts/{account}/token", "TokenRequest")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str((await kube.create(requests, namespace, body))["status"]["token"])


@pytest.fixture
def person(kube: KubeApi, namespace: str, control_plane: ControlPlane, api: Client) -> Callable[[str], Any]:
    """An account with a role of the cluster's own in the namespace: `await person("edit")`; no role for ""."""

    async def make(role: str) -> Token:
        account = f"person-{role or 'nobody'}"
        run_kubectl(control_plane.kubeconfig, "-n", namespace, "create", "serviceaccount", account)
        if role:
            binding = ("create", "rolebinding", account, f"--clusterrole={role}", f"--serviceaccount={namespace}:{account}")
            run_kubectl(control_plane.kubeconfig, "-n", namespace, *binding)
        return Token(api, await make_token(kube, namespace, account))

    return make


async def start_run(kube: KubeApi, namespace: str, editor: Token) -> tuple[Manifest, Manifest, str]:
    """A run made through the API and started by the operator: its body, its Pod, its path."""
    status, view = await editor.ask("POST", f"/api/v1/default/{namespace}/runs", {"content": COMPONENT})
    assert status == 201, view
    body = await wait_for(kube, namespace, view["name"], in_phase("Starting", "Running"))
    return body, await pod_of(kube, namespace, body), f"/api/v1/default/{namespace}/runs/{view['uuid']}"


@pytest.mark.usefixtures("operator")
async def test_a_run_reports_on_itself_and_what_was_said_is_in_its_end(kube: KubeApi, namespace: str, api: Client, person: Any) -> None:
    editor = await person("edit")
    body, pod, run = await start_run(kube, namespace, editor)
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    started = "2026-01-02T03:04:05Z"
    await mark(kube, pod, running(started))

    status, view = await own.ask("GET", run)
    assert (status, view["inputs"], view["settings"]) == (200, {"message": "hello"}, {"namespace": namespace})
    outputs = {"acc": 0.5, "nothing": None, "deep": {"none": None, "list": [None, 1]}, "a/b~c": "ü"}
    unstorable = {"loss": float("nan"), "large": 2**70}  # as the published client sends them
    assert (await own.ask("PATCH", run, {"outputs": outputs | unstorable, "merge": True}))[0] == 200
    assert (await own.ask("PATCH", run, {"tags": ["t"], "meta_info": {"k": None}, "description": "d", "merge": True}))[0] == 200
    assert (await own.ask("POST", run + "/lineage/artifacts", {"artifacts": [{"name": "env", "kind": "env", "summary": {"hash": "1"}}]}))[
        0
    ] == 201

    await mark(kube, pod, ended(0, started))
    final = await wait_for(kube, namespace, body["metadata"]["name"], in_phase("Succeeded"))
    kept = final["status"]
    assert kept["outputs"] == outputs | {"loss": "nan", "large": str(2**70)}
    assert (kept["tags"], kept["meta"], kept["description"]) == (["t"], {"k": None}, "d")
    assert [(item["name"], item["summary"]) for item in kept["artifacts"]] == [("env", {"hash": "1"})]
    _, statuses = await editor.ask("GET", run + "/statuses")
    assert statuses["status"] == "succeeded"


@pytest.mark.usefixtures("operator")
async def test_another_runs_token_reads_and_never_writes(kube: KubeApi, namespace: str, api: Client, person: Any) -> None:
    body, pod, run = await start_run(kube, namespace, await person("edit"))
    forged = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "forged",
            "labels": pod["metadata"]["labels"],
            "ownerReferences": pod["metadata"]["ownerReferences"],
        },
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    }
    other = Token(api, await make_token(kube, namespace, "default", pod=await kube.create(PODS, namespace, forged), audience=AUDIENCE))
    assert (await other.ask("GET", run))[0] == 200
    for method, path, said in (
        ("PATCH", "", {"outputs": {"a": 1}}),
        ("POST", "/lineage/artifacts", {"artifacts": []}),
        ("POST", "/statuses", {}),
    ):
        assert (await other.ask(method, run + path, said)) == (404, {"detail": "Not found."})
    for method, path in (("POST", "/stop"), ("DELETE", ""), ("POST", "/restart")):
        assert (await other.ask(method, run + path))[0] == 403
    elsewhere = await make_namespace(kube, f"{namespace}-b")
    far = await kube.create(OPERATIONS, elsewhere, operation("far"))
    assert (await other.ask("GET", f"/api/v1/default/{elsewhere}/runs/{far['metadata']['uid']}"))[0] == 404
    assert (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["status"]["outputs"] == {}


@pytest.mark.usefixtures("operator")
async def test_only_a_token_that_was_made_for_us_is_a_runs(kube: KubeApi, namespace: str, api: Client, person: Any) -> None:
    _, pod, run = await start_run(kube, namespace, await person("edit"))
    for token in (await make_token(kube, namespace, "default", pod=pod), await make_token(kube, namespace, "default", audience=AUDIENCE)):
        assert (await Token(api, token).ask("PATCH", run, {"outputs": {"a": 1}}))[0] == 404
    wrong = await make_token(kube, namespace, "default", pod=pod, audience="somebody-else")
    for token in (wrong, "made.up.token", "x", "é", wrong[:-8] + "AAAAAAAA"):
        assert (await Token(api, token).ask("GET", run))[0] == 401
    async with api.get(run) as answer:
        assert answer.status == 401


@pytest.mark.usefixtures("operator")
async def test_people_may_what_the_clusters_own_rules_let_them(kube: KubeApi, namespace: str, person: Any) -> None:
    editor, viewer, nobody = await person("edit"), await person("view"), await person("")
    body, _, run = await start_run(kube, namespace, editor)
    runs = run.rpartition("/")[0]
    assert [(await who.ask("GET", run))[0] for who in (editor, viewer, nobody)] == [200, 200, 404]
    assert [(await who.ask("GET", runs))[0] for who in (editor, viewer, nobody)] == [200, 200, 404]
    assert [(await who.ask("POST", runs, {"content": COMPONENT}))[0] for who in (viewer, nobody)] == [403, 404]
    assert [(await who.ask("POST", run + "/stop"))[0] for who in (viewer, nobody, editor)] == [403, 404, 200]
    assert (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["spec"]["control"] == {"stop": True}
    assert [(await who.ask("DELETE", run))[0] for who in (viewer, nobody, editor)] == [403, 404, 204]
    assert (await editor.ask("GET", run))[0] == 404
    _, listed = await viewer.ask("GET", "/api/v1/default/projects/list")
    assert [item["name"] for item in listed["results"]] == [namespace]


@pytest.mark.usefixtures("operator")
async def test_a_burst_of_reports_is_few_writes_and_none_is_lost(
    kube: KubeApi, namespace: str, api: Client, person: Any, control_plane: ControlPlane
) -> None:
    body, pod, run = await start_run(kube, namespace, await person("edit"))
    own = Token(api, await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE))
    offset = control_plane.audit_log.stat().st_size
    answers = await asyncio.gather(*(own.ask("PATCH", run, {"outputs": {f"k{n}": n, "last": n}, "merge": True}) for n in range(1000)))
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
            await kube.json_patch(OPERATIONS, namespace, body["metadata"]["name"], ops, subresource="status")

    logged = [own.ask("POST", run + "/lineage/artifacts", {"artifacts": [{"name": f"a{n}"}]}) for n in range(20)]
    *answers, _ = await asyncio.gather(*logged, interfere())
    assert {answer[0] for answer in answers} == {201}
    status = (await kube.get(OPERATIONS, namespace, body["metadata"]["name"]))["status"]
    assert {item["name"] for item in status["artifacts"]} == {f"a{n}" for n in range(20)}
    assert status["message"] == "29"


@pytest.mark.usefixtures("operator")
async def test_a_run_is_known_before_the_watch_told_of_it(kube: KubeApi, api_kube: KubeApi, namespace: str) -> None:
    runs = ClusterRuns(api_kube)  # nobody feeds it
    made = await kube.create(OPERATIONS, namespace, operation("new"))
    assert (await runs.get(namespace, made["metadata"]["uid"].replace("-", "")))["metadata"]["name"] == "new"


@pytest.mark.usefixtures("operator")
async def test_the_clusters_own_keys_prove_a_token(kube: KubeApi, api_kube: KubeApi, namespace: str, person: Any) -> None:
    _, pod, _ = await start_run(kube, namespace, await person("edit"))
    token = await make_token(kube, namespace, "default", pod=pod, audience=AUDIENCE)

    async def read_keys() -> Any:
        async with api_kube.session.http.get(api_kube.session.server + "/openid/v1/jwks") as answer:
            return json.loads(await answer.read())

    caller = await ExpiredTokens(api_kube, read_keys, audience=AUDIENCE).identify(token)
    assert (caller.namespace, caller.pod_name, caller.pod_uid) == (namespace, pod["metadata"]["name"], pod["metadata"]["uid"])
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["aud"] == [AUDIENCE]


async def test_the_process_answers_when_it_is_ready_and_ends_when_it_is_told(
    control_plane: ControlPlane, api_kubeconfig: str, tmp_path: Path, kube: KubeApi, namespace: str
) -> None:
    port = free_port("127.0.0.1")
    process = OperatorProcess(Path(api_kubeconfig), tmp_path / "api.log", module="opstrand.tracking", api_listen_port=port)
    process.start()
    process.wait_until_started()
    made = await kube.create(OPERATIONS, namespace, operation("waits", {"isApproved": False}))
    token = await make_token(kube, "kube-system", "default")
    run = f"/runs/{made['metadata']['uid']}"
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Token {token}"}) as http:
        for _ in range(100):
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
        held = asyncio.create_task(http.get(f"/streams/v1/{namespace}/default/{namespace}{run}/logs", params={"last_file": "0.0."}))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(asyncio.to_thread(process.stop))
        await asyncio.sleep(0.5)
        assert (await http.get("/healthz")).status == 200  # until the Service has forgotten it
        assert await stopping == 0
        await asyncio.gather(held, return_exceptions=True)
    entries = [json.loads(line) for line in process.read_log().splitlines()]
    assert [entry["message"] for entry in entries if entry["level"] != "info"] == []
