"""Replaces the installation's catalog of connections for the time of a test; the running operator
reads it without a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import yaml

from tests.e2e.conftest import kubectl

_CONFIG = (
    "-n",
    "opstrand",
    "get",
    "configmap",
    "opstrand-connections",
    "-o",
    "jsonpath={.data.connections\\.yaml}",
)


@asynccontextmanager
async def catalog(content: dict[str, Any]) -> AsyncIterator[None]:
    """Let the operator work with this catalog; restore the former one afterwards."""
    before = kubectl(*_CONFIG).stdout
    try:
        await _put(yaml.safe_dump(content))
        yield
    finally:
        await _put(before)


async def _put(text: str) -> None:
    since = int(time.time())
    patch = yaml.safe_dump({"data": {"connections.yaml": text}})
    if kubectl(*_CONFIG).stdout == text:
        return
    await asyncio.to_thread(
        kubectl, "-n", "opstrand", "patch", "configmap", "opstrand-connections", "--patch", patch
    )
    # The kubelet looks after a changed Pod at once, its volumes included; otherwise it takes up to
    # a minute.
    pods = (
        "-n",
        "opstrand",
        "annotate",
        "pods",
        "-l",
        "app.kubernetes.io/name=opstrand-operator",
        "--overwrite",
        f"test/touched={since}",
    )
    await asyncio.to_thread(kubectl, *pods)
    for _ in range(450):
        seen = await asyncio.to_thread(
            kubectl,
            "-n",
            "opstrand",
            "exec",
            "deployment/opstrand-operator",
            "--",
            "cat",
            "/etc/opstrand/connections/connections.yaml",
        )
        if seen.stdout.strip() == text.strip():
            # The operator looks at the file once a second.
            await asyncio.sleep(1.5)
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the operator does not see the catalog")
