"""A service in real containers: reached by its name from other runs, kept alive, ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.e2e.conftest import (
    CHECKOUT,
    describe,
    in_phase,
    is_final,
    kubectl,
    main_log,
    operation,
    opstrand,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
BIG = 5_000_000
#: Serves its Pod's name, and at /api/status the time of its last activity; prints a message at its
#: end.
SERVER = """
import http.server, json, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("no such table", flush=True)
            os._exit(3)
        idle = json.dumps({"last_activity": "2026-01-01T00:00:00Z"})
        pages = {"/api/status": idle, "/big": "x" * 5_000_000}
        body = pages.get(self.path, os.environ["POLYAXON_K8S_POD_ID"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
def goodbye(*_):
    print("goodbye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, goodbye)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("", {{ globals.ports[0] }}), Handler).serve_forever()
"""


def server(**run: Any) -> dict[str, Any]:
    container = {"image": PLAIN, "command": ["python3", "-u", "-c", SERVER]}
    return {"run": {"kind": "service", "ports": [8000], "container": container, **run}}


#: Requests a service's page until this many different Pods have answered, or for a minute.
ASKER = """
import sys, time, urllib.request
heard = set()
for _ in range(300):
    try:
        heard.add(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())
    except OSError:
        pass
    if len(heard) == int(sys.argv[2]):
        break
    time.sleep(0.2)
print(*sorted(heard), sep="\\n")
"""


def asker(page: str = "", count: int = 1) -> dict[str, Any]:
    """Return a job that waits for the service `web` and sends requests to it."""
    container = {
        "image": PLAIN,
        "command": ["python3", "-c", ASKER, f"http://{{{{ host }}}}:8000/{page}", str(count)],
    }
    host = {"ref": "ops.web", "value": "globals.host", "contextOnly": True}
    return {"params": {"host": host}, "component": {"run": {"kind": "job", "container": container}}}


def has_pods(count: int) -> Callable[[Manifest], bool]:
    """Return whether it runs with this many known replicas."""
    return lambda body: (
        in_phase("Running")(body) and len(body["status"]["service"].get("pods") or ()) == count
    )


async def test_two_replicas_answer_by_the_services_name(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, operation("ask", asker(count=2)))
    await kube.create(OPERATIONS, namespace, operation("web", {"component": server(replicas=2)}))
    asked = await succeed(kube, namespace, "ask")
    body = await wait_for(kube, namespace, "web", has_pods(2))
    assert main_log(namespace, asked).split() == [
        one["name"] for one in body["status"]["service"]["pods"]
    ]
    assert asked["status"]["inputs"]["host"] == body["status"]["service"]["host"]
    told = await asyncio.to_thread(opstrand, "get", "web", "-p", namespace)
    assert f"service:   {body['status']['service']['host']}:8000\n" in told.stdout
    assert f"opstrand port-forward web -p {namespace}\n" in told.stdout


async def test_a_port_is_reached_from_here_for_as_long_as_there_is_a_service(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(
        OPERATIONS, namespace, operation("web", {"component": server(ports=[8000, 9])})
    )
    body = await wait_for(kube, namespace, "web", has_pods(1))
    command = [
        str(CHECKOUT / ".venv/bin/opstrand"),
        "port-forward",
        "web",
        "0:8000",
        "0:9",
        "-p",
        namespace,
    ]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    lines = [(await asyncio.wait_for(process.stderr.readline(), 30)).decode() for _ in range(2)]
    served, silent = (re.findall(r"http://127\.0\.0\.1:\d+", line)[0] for line in lines)
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(served) as answer:
                assert await answer.text() == body["status"]["pod"]["name"]
        async with http.get(f"{served}/big") as answer:
            assert len(await answer.read()) == BIG
        with pytest.raises(aiohttp.ClientError):
            await http.get(silent)
        assert b"refused" in await asyncio.wait_for(process.stderr.readline(), 30)
        await asyncio.to_thread(opstrand, "stop", "web", "-p", namespace)
        await wait_for(kube, namespace, "web", is_final)
        with pytest.raises(aiohttp.ClientError):
            await http.get(served)
    assert await asyncio.wait_for(process.wait(), 30) == 3
    assert b"web has ended (Stopped)" in await process.stderr.read()


async def test_a_service_that_crashes_says_why_and_comes_back(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("web", {"component": server()}))
    body = await wait_for(kube, namespace, "web", has_pods(1))
    crash = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/crash')"
    kubectl(
        "-n",
        namespace,
        "exec",
        body["status"]["pod"]["name"],
        "-c",
        "main",
        "--",
        "python3",
        "-c",
        crash,
        check=False,
    )
    body = await wait_for(kube, namespace, "web", in_phase("Retrying"))
    assert body["status"]["reason"] == "ContainerFailed"
    assert "exit code 3" in body["status"]["message"]
    assert "no such table" in body["status"]["message"]
    body = await wait_for(kube, namespace, "web", in_phase("Running"))
    assert [entry["status"] for entry in body["status"]["history"]] == [
        "created",
        "starting",
        "running",
        "retrying",
        "running",
    ]


async def test_a_stop_lets_a_service_say_goodbye_and_takes_everything_away(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("web", {"component": server()}))
    body = await wait_for(kube, namespace, "web", has_pods(1))
    following = asyncio.create_task(
        asyncio.to_thread(opstrand, "logs", "web", "-f", "-p", namespace)
    )
    await asyncio.sleep(3)
    stopped = await asyncio.to_thread(opstrand, "stop", "web", "-p", namespace)
    assert stopped.returncode == 0, stopped.stderr
    body = await wait_for(kube, namespace, "web", is_final)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Stopped", "Stopped"), describe(
        namespace, body
    )
    assert kubectl("-n", namespace, "get", "deployments,services", "-o", "name").stdout == ""
    kubectl("-n", namespace, "wait", "--for=delete", "pods", "--all", "--timeout=30s")
    assert (await following).stdout.splitlines() == ["serving", "goodbye"]


async def test_an_idle_service_is_culled_and_one_that_cannot_tell_is_not(
    kube: KubeApi, namespace: str
) -> None:
    for name, page in (("idle", "/api/status"), ("mute", "/")):
        termination = {"culling": {"timeout": 5}, "probe": {"http": {"path": page, "port": 8000}}}
        await kube.create(
            OPERATIONS,
            namespace,
            operation(name, {"component": server(), "termination": termination}),
        )
    body = await wait_for(kube, namespace, "idle", is_final)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Stopped", "Culled"), describe(
        namespace, body
    )
    body = await wait_for(
        kube, namespace, "mute", lambda one: one.get("status", {}).get("reason") == "ProbeFailed"
    )
    assert body["status"]["phase"] == "Running"
    assert "last_activity" in body["status"]["message"]


TROUBLES = {
    "no-image": ({"image": "nope/nope"}, "Starting", "ImagePullFailed", "nope/nope"),
    "no-secret": (
        {"envFrom": [{"secretRef": {"name": "absent"}}]},
        "Starting",
        "ContainerConfigError",
        "absent",
    ),
    "no-room": ({"resources": {"requests": {"cpu": "1000"}}}, "Starting", "Unschedulable", "cpu"),
    "no-command": (
        {"command": ["no-such-program"]},
        "Retrying",
        "ContainerFailed",
        "no-such-program",
    ),
    "no-end": (
        {"command": ["sh", "-c", "echo done"]},
        "Retrying",
        "ContainerFailed",
        "its program ended",
    ),
    "no-answer": (
        {"readinessProbe": {"httpGet": {"path": "/", "port": 9}}},
        "Starting",
        "PodCreated",
        "",
    ),
}


def is_seen(body: dict[str, Any], *, phase: str, reason: str) -> bool:
    """Look at both in one body: a container that failed is seen as starting for a moment, before
    Kubernetes restarts it.
    """
    status = body.get("status", {})
    return (status.get("phase"), status.get("reason")) == (phase, reason)


async def test_a_service_that_cannot_serve_says_why(kube: KubeApi, namespace: str) -> None:
    for name, (container, *_) in TROUBLES.items():
        component = server()
        component["run"]["container"].update(container)
        await kube.create(OPERATIONS, namespace, operation(name, {"component": component}))
    for name, (_, phase, reason, words) in TROUBLES.items():
        body = await wait_for(kube, namespace, name, partial(is_seen, phase=phase, reason=reason))
        assert words in body["status"]["message"], describe(namespace, body)
    done = await asyncio.to_thread(opstrand, "stop", *TROUBLES, "-p", namespace)
    assert done.returncode == 0, done.stderr
    for name in TROUBLES:
        body = await wait_for(kube, namespace, name, is_final)
        assert (body["status"]["phase"], body["status"]["reason"]) == ("Stopped", "Stopped"), (
            describe(namespace, body)
        )
