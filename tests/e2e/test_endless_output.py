"""Programs that print without end: a gigabyte of lines, and a line without an end.

No process that forwards their log may fill its memory with it.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.e2e.conftest import (
    describe,
    in_phase,
    kubectl,
    open_http,
    operation,
    opstrand,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
GIGABYTE = 1024**3
#: A kubelet checks every 10 s whether the log of a running program is longer than 10 MiB. It then
#: begins a new file, and last messages are read from that one alone: a program that prints more has
#: none, unless it runs on for longer than the kubelet's period.
FLOOD = f"yes $(head -c 1500 /dev/zero | tr '\\0' x) | head -c {GIGABYTE}"
#: On a busy node containerd drops what a program prints right before its end: its file then lacks
#: it for good, so each program waits a little.
LINES = f"{FLOOD}; sleep 30; yes after the flood | head -c 2000000; echo last words; sleep 4"
#: MiB. Both Deployments have a limit of 512: they must not hold the log of a run.
MOST = 300


def one_line(length: int) -> str:
    return f"head -c {length} /dev/zero | tr '\\0' y; echo; echo last words; sleep 4; exit 3"


def job(shell: str) -> dict[str, Any]:
    return {
        "component": {
            "run": {"kind": "job", "container": {"image": PLAIN, "command": ["sh", "-c", shell]}}
        }
    }


def peak(deployment: str) -> int:
    """Return the most memory that it ever used, in MiB."""
    status = kubectl(
        "-n", "opstrand", "exec", f"deployment/{deployment}", "--", "cat", "/proc/1/status"
    ).stdout
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, status
    return int(found[1]) // 1024


async def read_by_api(url: str, token: str, namespace: str, body: Manifest) -> tuple[int, str]:
    """Return the size of the log in the API's answer, and the end of its first line."""
    path = (
        f"/streams/v1/{namespace}/default/{namespace}/runs/{run_uuid(body['metadata']['uid'])}/logs"
    )
    async with open_http(token) as http, http.get(url + path) as answer:
        text = await answer.text()
        assert answer.status == 200, text[:500]
    lines = json.loads(text)["logs"]
    return len(text), lines[0]["value"][-40:] if lines else ""


async def test_neither_a_gigabyte_nor_a_line_without_an_end_fills_anybody_up(
    kube: KubeApi, namespace: str, api_url: str
) -> None:
    kubectl("-n", namespace, "create", "serviceaccount", "reader")
    kubectl(
        "-n",
        namespace,
        "create",
        "rolebinding",
        "reader",
        "--clusterrole=edit",
        f"--serviceaccount={namespace}:reader",
    )
    token = kubectl("-n", namespace, "create", "token", "reader").stdout.strip()

    await kube.create(OPERATIONS, namespace, operation("gigabyte", job(LINES)))
    body = await wait_for(kube, namespace, "gigabyte", in_phase("Running"))
    await asyncio.sleep(3)
    size, _ = await read_by_api(api_url, token, namespace, body)
    assert 1000 < size < 10 * 1024**2, "an answer while it prints is a part of the log"
    await kube.create(OPERATIONS, namespace, operation("one-line", job(one_line(300_000_000))))
    await kube.create(OPERATIONS, namespace, operation("kept-whole", job(one_line(9_000_000))))

    body = await wait_for(kube, namespace, "one-line", in_phase("Failed"), seconds=120)
    size, _ = await read_by_api(api_url, token, namespace, body)
    assert size < 3 * 1024**2

    body = await wait_for(kube, namespace, "kept-whole", in_phase("Failed"), seconds=120)
    assert body["status"]["message"].endswith("last words"), describe(namespace, body)
    size, end = await read_by_api(api_url, token, namespace, body)
    assert size < 3 * 1024**2
    assert re.search(r"y \.\.\. \d+ more bytes of this line$", end), end

    await succeed(kube, namespace, "gigabyte", seconds=180)
    done = await asyncio.to_thread(opstrand, "logs", "gigabyte", "-p", namespace)
    assert done.stdout.endswith("after the flood\nlast words\n"), (done.stdout[-100:], done.stderr)
    assert len(done.stdout) < GIGABYTE // 2
    assert re.search(
        r"\(this begins \d+[smh] after the container started: "
        r"of a long log its node keeps the newest part only\)",
        done.stderr,
    )
    assert {name: peak(name) < MOST for name in ("opstrand-operator", "opstrand-api")} == {
        "opstrand-operator": True,
        "opstrand-api": True,
    }
