"""The API's process with a given certificate or its own: the published client works with it
unmodified, and so does ours.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opstrand.api.certificates import issue
from opstrand.api.own_certificate import OwnCertificate
from opstrand.core.names import run_uuid
from opstrand.core.pods.volumes import CA_PATH
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS, SECRETS
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    API_USER,
    AUDIENCE,
    CHECKOUT,
    make_namespace,
    make_token,
    operation,
    run_kubectl,
)
from tests.support.audit import read_audit
from tests.support.operator_process import OperatorProcess

PUBLISHED = (
    Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
    / "bin"
    / "python"
)
#: Python, the source of the package, and the name of its client.
CLIENTS = {
    "published": (PUBLISHED, "", "polyaxon.client"),
    "ours": (Path(sys.executable), str(CHECKOUT / "operator"), "opstrand.client"),
}
REPORT = """
import json, sys, importlib
run = importlib.import_module(sys.argv[1]).RunClient()
run.refresh_data()
run.log_outputs(said_by=sys.argv[1], message=run.get_inputs()["message"])
"""
TRACK = (
    "from polyaxon import tracking; tracking.init(); tracking.log_outputs(tracked=True); "
    "tracking.end()"
)


#: A certificate of the user's in files, or the API's own, as manifests/ sets it up.
KINDS = ("given", "own")
SECRET, PUBLISHED_IN = "opstrand-api-own-tls", "opstrand-api-ca"
HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Place:
    """The process, and the files of the authority by which clients trust it."""

    kind: str
    url: str
    authority: Path
    another: Path


@pytest.fixture(scope="module")
def account(quiet_plane: ControlPlane) -> Path:
    """Return a kubeconfig with the API's rights in manifests/; those of its own namespace apply in
    `default`.
    """
    kubeconfig = quiet_plane.kubeconfig
    run_kubectl(kubeconfig, "create", "namespace", "opstrand", check=False)
    for namespace, file in (("opstrand", "rbac-api"), ("default", "tls")):
        run_kubectl(
            kubeconfig,
            "apply",
            "--server-side",
            "-n",
            namespace,
            "-f",
            str(CHECKOUT / f"manifests/base/{file}.yaml"),
        )
    run_kubectl(
        kubeconfig,
        "create",
        "clusterrolebinding",
        "api-with-tls",
        "--clusterrole=opstrand-api",
        f"--user={API_USER}",
    )
    run_kubectl(
        kubeconfig,
        "create",
        "rolebinding",
        "-n",
        "default",
        "own-tls",
        "--role=opstrand-api-tls",
        f"--user={API_USER}",
    )
    return Path(quiet_plane.user(API_USER))


def make_process(account: Path, folder: Path, **settings: object) -> tuple[OperatorProcess, str]:
    """Return the API as its Deployment runs it, not started yet, and its address."""
    port = free_port("127.0.0.1")
    settings = {
        "api_url": f"https://127.0.0.1:{port}",
        "api_listen_port": port,
        "api_tls_cert": folder / "tls.crt",
        "api_tls_key": folder / "tls.key",
        "api_tls_secret": SECRET,
        "api_tls_published": PUBLISHED_IN,
        **settings,
    }
    return OperatorProcess(account, folder / "api.log", module="opstrand.api", **settings), str(
        settings["api_url"]
    )


def published(plane: ControlPlane) -> str:
    found = run_kubectl(
        plane.kubeconfig, "get", "configmap", "-n", "default", PUBLISHED_IN, "-o", "json"
    ).stdout
    return str(json.loads(found)["data"]["ca.crt"])


@pytest.fixture(scope="module", params=KINDS)
def place(
    quiet_plane: ControlPlane,
    account: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    issued = issue(HOSTS)
    if request.param == "given":
        for name, text in (
            ("tls.crt", issued.certificate),
            ("tls.key", issued.key),
            ("ca.crt", issued.authority),
        ):
            (folder / name).write_text(text)
    process, url = make_process(account, folder)
    process.start()
    process.wait_until_started()
    authority, another = folder / "trusted", folder / "other"
    authority.write_text(published(quiet_plane))
    another.write_text(issue(["x"]).authority)
    assert (authority.read_text() == issued.authority) == (request.param == "given")
    yield Place(request.param, url, authority, another)
    assert process.stop(30) == 0
    entries = [json.loads(line) for line in process.read_log().splitlines()]
    assert [entry for entry in entries if entry["level"] == "error" or "traceback" in entry] == []


@pytest.fixture
def make_environment(
    quiet_kube: KubeApi, place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> Any:
    """Return the variables that the operator gives to the Pod of a run that it has started."""

    async def make(namespace: str) -> dict[str, str]:
        await make_namespace(quiet_kube, namespace)
        pod = {
            "metadata": {"name": "a-0"},
            "spec": {"containers": [{"name": "main", "image": "x"}]},
        }
        pod = await quiet_kube.create(PODS, namespace, pod)
        body = await quiet_kube.create(OPERATIONS, namespace, operation("a"))
        uuid = run_uuid(body["metadata"]["uid"])
        known = {
            "uuid": uuid,
            "kind": "job",
            "phase": "Running",
            "inputs": {"message": "test 1"},
            "outputs": {},
            "meta": {},
        }
        status = {**known, "pod": {"name": "a-0", "uid": pod["metadata"]["uid"]}}
        ops = [{"op": "add", "path": "/status", "value": status}]
        await quiet_kube.json_patch(OPERATIONS, namespace, "a", ops, subresource="status")
        return {
            "HOME": str(tmp_path),
            "PATH": os.defpath,
            "POLYAXON_HOST": place.url,
            "POLYAXON_VERIFY_SSL": "true",
            "POLYAXON_SSL_CA_CERT": str(place.authority),
            "POLYAXON_IS_MANAGED": "true",
            "POLYAXON_API_VERSION": "v1",
            "POLYAXON_RUN_INSTANCE": f"default.{namespace}.runs.{uuid}",
            "POLYAXON_AUTH_TOKEN": await make_token(
                quiet_kube, namespace, "default", pod=pod, audience=AUDIENCE
            ),
            "POLYAXON_CONTEXT_ROOT": str(tmp_path),
        }

    return make


async def run_client(
    name: str, program: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    python, path, module = CLIENTS[name]
    if not python.exists() and os.environ.get("CI") != "true":
        pytest.skip("needs the published package: make published")
    command = [str(python), "-c", program, module]
    env = {**environment, "PYTHONPATH": path}
    return await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=240
    )


async def outputs(kube: KubeApi, namespace: str) -> dict[str, Any]:
    return dict((await kube.get(OPERATIONS, namespace, "a"))["status"]["outputs"])


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_in_a_run_works_with_it(
    quiet_kube: KubeApi, make_environment: Any, place: Place, client: str
) -> None:
    namespace = f"tls-{place.kind}-{client}"
    environment = await make_environment(namespace)
    done = await run_client(client, REPORT, environment)
    assert done.returncode == 0, done.stderr
    assert await outputs(quiet_kube, namespace) == {
        "said_by": CLIENTS[client][2],
        "message": "test 1",
    }
    if client == "published":
        done = await run_client(client, TRACK, environment)
        assert done.returncode == 0, done.stderr
        assert (await outputs(quiet_kube, namespace))["tracked"] is True


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_gives_its_token_to_no_one_else(
    quiet_kube: KubeApi, make_environment: Any, place: Place, client: str
) -> None:
    namespace = f"tls-wrong-{place.kind}-{client}"
    environment = await make_environment(namespace)
    impatient = REPORT.replace(
        "RunClient()",
        "RunClient()\nif hasattr(run, '_connection'): run._connection.patience = 1\nrun = run",
    )
    for wrong in ({"POLYAXON_SSL_CA_CERT": str(place.another)}, {"POLYAXON_SSL_CA_CERT": ""}):
        done = await run_client(client, impatient, environment | wrong)
        assert done.returncode != 0, done.stdout
        assert "certificate verify failed" in done.stderr.lower()
    assert await outputs(quiet_kube, namespace) == {}


async def test_who_does_not_ask_for_proof_gets_none(make_environment: Any, place: Place) -> None:
    environment = await make_environment(f"tls-unverified-{place.kind}")
    done = await run_client(
        "ours", REPORT, environment | {"POLYAXON_VERIFY_SSL": "false", "POLYAXON_SSL_CA_CERT": ""}
    )
    assert done.returncode == 0, done.stderr


async def test_nothing_is_said_in_clear(place: Place) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(place.url.replace("https", "http") + "/healthz")


def kept(plane: ControlPlane) -> dict[str, str]:
    found = run_kubectl(
        plane.kubeconfig, "get", "secret", "-n", "default", SECRET, "-o", "json"
    ).stdout
    return dict(json.loads(found).get("data") or {})


def test_the_authority_outlives_the_process_and_another_installation(
    quiet_plane: ControlPlane, account: Path, tmp_path: Path
) -> None:
    """Running runs trust the authority; it also issues the certificate for another address."""
    run_kubectl(
        quiet_plane.kubeconfig,
        "patch",
        "secret",
        "-n",
        "default",
        SECRET,
        "--type=merge",
        "-p",
        '{"data": null}',
    )
    seen = []
    for external in ("", "", "https://runs.example.com"):
        process, _ = make_process(
            account, tmp_path, external_url=external, api_url="https://opstrand-api.opstrand:8000"
        )
        process.start()
        process.wait_until_started()
        assert process.stop(30) == 0
        seen.append(kept(quiet_plane))
        for arguments in (("--server-side", "--force-conflicts"), ()):
            run_kubectl(
                quiet_plane.kubeconfig,
                "apply",
                *arguments,
                "-n",
                "default",
                "-f",
                str(CHECKOUT / "manifests/base/tls.yaml"),
            )
        assert kept(quiet_plane) == seen[-1]
        assert base64.b64decode(seen[-1]["ca.crt"]).decode() == published(quiet_plane)
    assert seen[0] == seen[1]
    assert {key for key in seen[0] if seen[1][key] != seen[2][key]} == {"tls.crt", "tls.key"}


async def test_copies_that_start_at_once_agree(quiet_kube: KubeApi) -> None:
    name = "of-many"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    await quiet_kube.create(SECRETS, "default", body)
    issued = await asyncio.gather(
        *(OwnCertificate(quiet_kube, "default", name, HOSTS).read() for _ in range(8))
    )
    assert len(set(issued)) == 1
    assert await OwnCertificate(quiet_kube, "default", name, HOSTS).read() == issued[0]


def test_without_its_secret_it_says_what_to_do(account: Path, tmp_path: Path) -> None:
    process, _ = make_process(account, tmp_path, api_tls_secret="none-such")
    process.start()
    assert process.process is not None
    assert process.process.wait(60) == 5
    (entry,) = [json.loads(line) for line in process.read_log().splitlines()]
    assert "none-such" in entry["message"]


def test_it_asks_for_these_two_objects_and_may_ask_for_no_others(
    quiet_plane: ControlPlane, account: Path, tmp_path: Path
) -> None:
    process, _ = make_process(account, tmp_path, external_url="https://rights.example.com")
    process.start()
    process.wait_until_started()
    assert process.stop(30) == 0
    used, may = set(), set()
    for entry in read_audit(quiet_plane.audit_log, API_USER):
        reference = entry.get("objectRef") or {}
        if (
            reference.get("resource") in ("secrets", "configmaps")
            and entry["responseStatus"]["code"] != 403
        ):
            used.add(
                (
                    reference["namespace"],
                    reference["resource"],
                    reference.get("name"),
                    entry["verb"],
                )
            )
    for resource, names in (
        ("secrets", (SECRET, "opstrand-api-tls")),
        ("configmaps", (PUBLISHED_IN, "opstrand")),
    ):
        for name, verb in itertools.product(
            names, ("get", "list", "watch", "create", "update", "patch", "delete")
        ):
            if (
                run_kubectl(
                    account,
                    "auth",
                    "can-i",
                    verb,
                    f"{resource}/{name}",
                    "-n",
                    "default",
                    check=False,
                ).stdout.strip()
                == "yes"
            ):
                may.add(("default", resource, name, verb))
    wanted = {
        ("default", *one, verb)
        for one in (("secrets", SECRET), ("configmaps", PUBLISHED_IN))
        for verb in ("get", "patch")
    }
    assert used == may == wanted


def test_a_run_is_handed_the_file_where_it_looks() -> None:
    assert CA_PATH == "/plx-context/.configs/ca.crt"
