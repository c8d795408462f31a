"""The API behind the API server's aggregation layer: people with client certificates read runs by
their rights on the group's paths, and no one is believed who is not the front proxy.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from opstrand.api.pages.loopback import Door
from opstrand.artifacts.folder import RunFiles
from opstrand.cli.ui import create_cluster_app, require_api
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES
from opstrand.kube.session import open_session
from opstrand.runs.memory import MemoryRuns
from tests.cluster.certificates import Authority, Pair, user_subject
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import make_namespace, make_token, run_kubectl
from tests.support.aggregated_api import Ports, serve
from tests.support.running_run import UUID, operation

ROOT = "/apis/runs.opstrand.dev/v1alpha1"
PROJECT = "team"
RUNS = f"{ROOT}/namespaces/{PROJECT}/runs"
LINES = ("step 0", "step 1")
#: Users of the cluster, each with one of its own roles in the project.
ROLES = {"anna": "view", "emil": "edit", "nora": ""}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Yield an API server of these tests alone: an APIService concerns every namespace."""
    with ControlPlane(controllers=True) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def admin(plane: ControlPlane) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=str(plane.kubeconfig)) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def ports(
    plane: ControlPlane, admin: KubeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ports]:
    """Yield the API, which keeps a run whose Operation is gone, and a file of it."""
    files = tmp_path_factory.mktemp("files")
    folder = RunFiles(files, f"uid-of-{PROJECT}", UUID).folder / "a"
    folder.mkdir(parents=True)
    (folder / "model.txt").write_text("weights")
    runs = MemoryRuns()
    body = operation(phase="Succeeded", finishedAt="2026-01-02T03:05:07Z")
    body["metadata"] |= {"namespace": PROJECT, "labels": {"tier": "test"}}
    await runs.put(body)
    for line in LINES:
        await runs.write_log(UUID, line, at="2026-01-02T03:04:08.000000001Z")
    await make_namespace(admin, PROJECT)
    for user, role in ROLES.items():
        if role:
            words = ("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
            run_kubectl(plane.kubeconfig, "-n", PROJECT, *words)
    async with serve(plane, runs, files) as found:
        yield found


@dataclass(frozen=True)
class Asked:
    code: int
    out: str
    error: str


async def ask(plane: ControlPlane, user: str, *arguments: str) -> Asked:
    """Run kubectl as a user who has a client certificate and no token."""
    done = await asyncio.to_thread(run_kubectl, plane.user(user), *arguments, check=False)
    return Asked(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("user", [user for user, role in ROLES.items() if role])
async def test_a_user_with_a_role_reads_runs_and_logs_by_any_kubeconfig(
    plane: ControlPlane, ports: Ports, user: str
) -> None:
    listed = await ask(plane, user, "get", "--raw", RUNS)
    assert [one["metadata"]["name"] for one in json.loads(listed.out)["items"]] == ["echo"]
    for name in ("echo", UUID):
        run = json.loads((await ask(plane, user, "get", "--raw", f"{RUNS}/{name}")).out)
        assert run["status"]["inputs"] == {"message": "test 1"}
        log = await ask(plane, user, "get", "--raw", f"{RUNS}/{name}/log")
        assert log.out.splitlines() == list(LINES)
    file = await ask(plane, user, "get", "--raw", f"{RUNS}/echo/artifacts/a/model.txt")
    assert file.out == "weights"
    tree = await ask(plane, user, "get", "--raw", f"{RUNS}/echo/artifacts?path=a")
    assert json.loads(tree.out)["files"] == [{"name": "model.txt", "size": 7}]


async def test_a_user_without_a_role_gets_the_api_servers_own_refusal(
    plane: ControlPlane, ports: Ports
) -> None:
    for path in ("", "/echo", "/echo/log", "/echo/artifacts", "/echo/artifacts/a/model.txt"):
        asked = await ask(plane, "nora", "get", "--raw", RUNS + path)
        assert asked.code == 1
        assert 'User "nora" cannot' in asked.error
    everywhere = await ask(plane, "anna", "get", "--raw", f"{ROOT}/runs")
    assert 'User "anna" cannot list resource "runs"' in everywhere.error
    words = ("get", "--raw", f"{ROOT}/runs")
    whole = await asyncio.to_thread(run_kubectl, plane.kubeconfig, *words)
    assert len(json.loads(whole.stdout)["items"]) == 1


async def test_a_right_on_runs_alone_does_not_let_read_logs_and_files(
    plane: ControlPlane, ports: Ports
) -> None:
    for words in (
        ("create", "role", "only-runs", "--verb=get,list", "--resource=runs.runs.opstrand.dev"),
        ("create", "rolebinding", "only-runs", "--role=only-runs", "--user=rosa"),
    ):
        run_kubectl(plane.kubeconfig, "-n", PROJECT, *words)
    assert (await ask(plane, "rosa", "get", "--raw", f"{RUNS}/echo")).code == 0
    for part, path in (("log", "log"), ("artifacts", "artifacts/a/model.txt")):
        asked = await ask(plane, "rosa", "get", "--raw", f"{RUNS}/echo/{path}")
        assert f'resource "runs/{part}"' in asked.error


async def test_kubectl_discovers_and_shows_the_resource(plane: ControlPlane, ports: Ports) -> None:
    resources = await ask(plane, "anna", "api-resources", "--api-group=runs.opstrand.dev")
    assert resources.error == ""
    assert resources.out.splitlines()[1].split() == [
        "runs",
        ROOT.removeprefix("/apis/"),
        "true",
        "Run",
    ]
    named = ("get", "runs.runs.opstrand.dev", "-n", PROJECT, "-l", "tier=test", "-o", "name")
    assert (await ask(plane, "anna", *named)).out == "run.runs.opstrand.dev/echo\n"
    absent = await ask(plane, "anna", "get", "runs.runs.opstrand.dev", "no-such", "-n", PROJECT)
    assert "NotFound" in absent.error
    # The documents of other groups are still served beside ours.
    explained = await ask(plane, "anna", "explain", "namespaces.metadata.labels")
    assert explained.code == 0, explained.error


async def test_a_namespace_is_deleted_while_the_api_answers(
    plane: ControlPlane, admin: KubeApi, ports: Ports
) -> None:
    await make_namespace(admin, "short-lived")
    gone = ("delete", "namespace", "short-lived", "--timeout=60s")
    assert (await asyncio.to_thread(run_kubectl, plane.kubeconfig, *gone)).returncode == 0
    assert "short-lived" not in {
        one["metadata"]["name"] for one in (await admin.list(NAMESPACES))[0]
    }


def tls(plane: ControlPlane, pair: Pair | None) -> ssl.SSLContext:
    """Return the TLS of a client that shows this certificate; what it trusts is of no concern."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


async def statuses(
    url: str, context: ssl.SSLContext | bool, *requests: dict[str, Any]
) -> list[int]:
    """Return the answers to requests that are sent one after the other over one connection."""
    found = []
    connector = aiohttp.TCPConnector(limit=1, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as http:
        for headers in requests:
            async with http.get(url, headers=headers) as answer:
                await answer.read()
                found.append(answer.status)
    return found


ADMIN = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]
ANNA = [("X-Remote-User", "anna")]


async def test_the_front_proxy_is_believed_for_each_request_alone(
    plane: ControlPlane, ports: Ports
) -> None:
    context = tls(plane, plane.front_proxy)
    url = f"https://127.0.0.1:{ports.aggregated}{RUNS}"
    requests: list[Any] = [
        ANNA,
        [],
        ADMIN,
        [("X-Remote-User", "nora")],
        [("X-Remote-User", "anna"), ("X-Remote-User", "admin")],
        [("X-Remote-User", " ")],
        [("Authorization", "Bearer x")],
        ANNA,
    ]
    assert await statuses(url, context, *requests) == [200, 401, 200, 403, 401, 401, 401, 200]


@pytest.mark.parametrize("who", ["no one", "a user", "another name", "another authority"])
async def test_without_the_front_proxys_certificate_no_header_is_believed(
    plane: ControlPlane, ports: Ports, who: str, tmp_path: Path
) -> None:
    pair = {
        "no one": lambda: None,
        "a user": lambda: plane.authority.issue(
            "forger", user_subject("front-proxy-client", ["system:masters"])
        ),
        "another name": lambda: plane.front_authority.issue("other-name", "/CN=other"),
        "another authority": lambda: Authority(tmp_path, "front-proxy-ca").issue(
            "forger", "/CN=front-proxy-client"
        ),
    }[who]()
    url = f"https://127.0.0.1:{ports.aggregated}"
    for path in (RUNS, ROOT, "/openapi/v2", "/healthz"):
        try:
            found = await statuses(url + path, tls(plane, pair), ADMIN, ADMIN)
        except aiohttp.ClientError:
            assert who != "another name"
        else:
            assert (who, found) == ("another name", [401, 401])


async def test_the_port_for_tokens_never_reads_the_front_proxys_headers(
    plane: ControlPlane, admin: KubeApi, ports: Ports
) -> None:
    bearers: list[Any] = []
    for account in ("nobody", "reader"):
        run_kubectl(plane.kubeconfig, "-n", PROJECT, "create", "serviceaccount", account)
        token = await make_token(admin, PROJECT, account)
        bearers.append([("Authorization", f"Bearer {token}")])
    named = ("reader", "--clusterrole=view", f"--serviceaccount={PROJECT}:reader")
    run_kubectl(plane.kubeconfig, "-n", PROJECT, "create", "rolebinding", *named)
    nobody, reader = bearers
    url = f"http://127.0.0.1:{ports.tokens}{RUNS}"
    requests = [ADMIN, nobody, [*nobody, *ADMIN], reader, ADMIN, [*nobody, *ANNA], reader]
    assert await statuses(url, True, *requests) == [401, 403, 403, 200, 401, 403, 200]


async def _open_pages(plane: ControlPlane, user: str, stack: AsyncExitStack) -> Any:
    """Open what `opstrand ui` serves to a user, as a client that has its key."""
    door = Door()
    session = await stack.enter_async_context(await open_session(kubeconfig=str(plane.user(user))))
    await require_api(session)
    server = TestServer(create_cluster_app(door, session))
    headers = {"Authorization": f"Bearer {door.key}"}
    client = await stack.enter_async_context(TestClient(server, headers=headers))
    door.port = server.port or 0
    return client


async def test_the_pages_ask_with_the_rights_of_a_kubeconfig(
    plane: ControlPlane, ports: Ports
) -> None:
    """Who may only read sees every part of a run; its actions are refused, with the right that is
    missing, by the answer and by the API server.
    """
    async with AsyncExitStack() as stack:
        reader = await _open_pages(plane, "anna", stack)
        for part in ("", "/content", "/lineage", "/members", "/actions", "/events/metric"):
            async with reader.get(f"{RUNS}/{UUID}{part}") as answer:
                assert answer.status == 200, (part, await answer.text())
        async with reader.get(f"{RUNS}/{UUID}/actions") as answer:
            actions = {one["name"]: one for one in (await answer.json())["items"]}
        assert "right to create operations" in actions["restart"]["refusal"]
        async with reader.post(f"{RUNS}/{UUID}/actions/restart", json={}) as answer:
            assert answer.status == 403
            assert "runs/actions" in (await answer.json())["message"]
        editor = await _open_pages(plane, "emil", stack)
        async with editor.post(f"{RUNS}/{UUID}/actions/restart", json={}) as answer:
            assert answer.status == 200, await answer.text()
            again = (await answer.json())["uuid"]
        async with editor.post(f"{RUNS}/{again}/actions/delete", json={}) as answer:
            assert answer.status == 200, await answer.text()
