"""Every init step with real containers: which files exist before main starts, who owns them, and
the message if a step fails.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from tests.cluster.cluster import read_cluster
from tests.e2e.catalog import catalog
from tests.e2e.conftest import describe, is_final, kubectl, main_log, operation, succeed, wait_for
from tests.support.git_server import LOGIN, GitServer

PLAIN = "localhost/python-base:1"


def reach() -> str:
    """Return an address of this machine that Pods reach."""
    return read_cluster().host_address


@pytest.fixture(scope="module")
def git_server(cluster: object) -> Iterator[GitServer]:
    del cluster
    with tempfile.TemporaryDirectory() as folder, GitServer(Path(folder), reach()) as found:
        yield found


def job(init: list[dict[str, Any]], shell: str, **run: Any) -> dict[str, Any]:
    container = {
        "image": PLAIN,
        "command": ["sh", "-ec", shell],
        "workingDir": "{{ globals.artifacts_path }}",
    }
    return {
        "component": {
            "run": {
                "kind": "job",
                "init": init,
                "container": {**container, **run.pop("container", {})},
                **run,
            }
        }
    }


async def test_git_by_url_by_connection_with_a_login_and_submodules(
    kube: KubeApi, namespace: str, git_server: GitServer
) -> None:
    kubectl(
        "-n",
        namespace,
        "create",
        "secret",
        "generic",
        "git-login",
        f"--from-literal=POLYAXON_GIT_CREDENTIALS={':'.join(LOGIN)}",
    )
    connection = {
        "name": "code",
        "kind": "git",
        "schema": {"url": f"{git_server.url}/private/code.git"},
        "secret": {"name": "git-login"},
    }
    public = f"{git_server.url}/public/code.git"
    nobody = {"securityContext": {"runAsUser": 1234, "runAsNonRoot": True}}
    runs = {
        "public": job(
            [{"git": {"url": public, "revision": "v1", "flags": ["--depth 1"]}}],
            "cat code/main.txt; ls code/library | wc -l",
        ),
        "submodules": job(
            [{"git": {"url": public, "flags": ["--recurse-submodules"]}}],
            "cat code/library/lib.txt",
        ),
        "private": job(
            [{"connection": "code", "path": "/work"}],
            "cat /work/code/main.txt; echo changed > /work/code/main.txt; ! grep -r s3cr3t /work "
            "/plx-context",
            container=nobody,
        ),
        "wrong": job([{"git": {"url": f"{git_server.url}/private/code.git"}}], "true"),
    }
    async with catalog({"connections": [connection]}):
        for name, spec in runs.items():
            await kube.create(OPERATIONS, namespace, operation(name, spec))
        bodies = {
            name: await succeed(kube, namespace, name)
            for name in ("public", "submodules", "private")
        }
        wrong = await wait_for(kube, namespace, "wrong", is_final)
    assert main_log(namespace, bodies["public"]) == "one\n0\n"
    assert main_log(namespace, bodies["submodules"]) == "from the library\n"
    assert main_log(namespace, bodies["private"]) == "two\n"
    assert wrong["status"]["reason"] == "InitFailed"
    assert "could not read Username" in wrong["status"]["message"], describe(namespace, wrong)
    (commit,) = [one for one in bodies["public"]["status"]["artifacts"] if one["kind"] == "coderef"]
    assert commit["name"] == git_server.commits["v1"]
    assert commit["isInput"] is True


async def test_files_dockerfiles_containers_and_their_order(kube: KubeApi, namespace: str) -> None:
    shell = """
ls order; cat own.txt; cat Dockerfile; test -x bin/run.sh; cat /elsewhere/note.txt
echo changed >> bin/run.sh; cd {{ globals.run_outputs_path }} && ls
"""
    steps: list[dict[str, Any]] = [
        {"container": {"name": "late", "image": PLAIN, "command": ["sh", "-c", "exit 0"]}},
        {
            "file": {
                "filename": "bin/run.sh",
                "content": "#!/bin/sh\necho $(A) $$\n",
                "chmod": "u+x",
            }
        },
        {"dockerfile": {"image": "python:3.12", "run": ["pip install x"], "env": {"A": "1"}}},
        {"file": {"filename": "note.txt", "content": '{"json": [1]}'}, "path": "/elsewhere"},
        {
            "file": {"filename": "order/first", "content": ""},
            "container": {"resources": {"limits": {"memory": "128Mi"}}},
        },
        {"file": {"filename": "own.txt", "content": "$(B) $$ äöü"}},
    ]
    await kube.create(OPERATIONS, namespace, operation("files", job(steps, shell)))
    non_root = {"securityContext": {"runAsNonRoot": True, "runAsUser": 4321}}
    await kube.create(
        OPERATIONS, namespace, operation("files-of-nobody", job(steps, shell, container=non_root))
    )
    for name in ("files", "files-of-nobody"):
        body = await succeed(kube, namespace, name)
        assert main_log(namespace, body) == (
            'first\n$(B) $$ äöüFROM python:3.12\nENV SHELL="/bin/bash"\nENV A="1"\nWORKDIR '
            '/code\nRUN pip install x\n{"json": [1]}'
            "Dockerfile\nfirst\nnote.txt\nown.txt\nrun.sh\n"
        )
        kinds = {one["name"]: one["kind"] for one in body["status"]["artifacts"]}
        assert kinds == {
            "run-sh": "file",
            "Dockerfile": "dockerfile",
            "note-txt": "file",
            "first": "file",
            "own-txt": "file",
        }
    pod = await kube.get(PODS, namespace, body["status"]["pod"]["name"])
    assert [one["name"] for one in pod["spec"]["initContainers"]] == [
        "opstrand-init",
        "opstrand-init-2",
        "opstrand-init-3",
        "late",
        "opstrand-collector",
    ]


async def test_a_git_host_that_never_answers_ends_the_run(kube: KubeApi, namespace: str) -> None:
    with socket.create_server((reach(), 0)) as silent:
        url = f"http://{reach()}:{silent.getsockname()[1]}/a.git"
        spec = {"termination": {"timeout": 5}, **job([{"git": {"url": url}}], "true")}
        await kube.create(OPERATIONS, namespace, operation("silent", spec))
        body = await wait_for(kube, namespace, "silent", is_final)
    assert body["status"]["reason"] == "DeadlineExceeded", describe(namespace, body)
    said = (
        f"init step 'opstrand-init' did not end within 5 s: ended from outside while fetching {url}"
    )
    assert body["status"]["message"] == said
