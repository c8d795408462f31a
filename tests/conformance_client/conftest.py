"""Run the published client and command line, unmodified, in their own environment, against the real
API on the loopback.

OPSTRAND_PUBLISHED_VENV names the environment, else it is `.venv-published` of the checkout (`make
published`). Without one these tests are skipped with a line that says so, and fail in CI.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opstrand.errors import PlatformError
from opstrand.runs.bodies import run_uuid
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import LogLine
from opstrand.types import Body
from tests.support.loopback_api import TOKEN, LoopbackApi

CHECKOUT = Path(__file__).resolve().parents[2]
PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")

Published = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if (PUBLISHED / "bin" / "polyaxon").exists() or os.environ.get("CI") == "true":
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs the published package: make published"))


class LivingRuns(MemoryRuns):
    """Takes every created run through the phases of a Pod: starting, running for a while with some
    lines, succeeded.
    """

    def __init__(self) -> None:
        super().__init__(projects=["quick-start"])
        self.lines = 1
        self.seconds = 1.5
        self.ended_at = 0.0
        self.log_breaks = False
        self._times_read = 0
        self._lives: set[asyncio.Task[None]] = set()

    async def create(self, project: str, body: Body) -> Body:
        created = await super().create(project, body)
        life = asyncio.create_task(self._live(created))
        self._lives.add(life)
        return created

    async def _live(self, body: Body) -> None:
        uuid = run_uuid(body)
        declared = {
            item["name"]: item.get("value")
            for item in body["spec"]["component"].get("inputs") or ()
        }
        params = declared | {
            name: param["value"] for name, param in (body["spec"].get("params") or {}).items()
        }
        await self._enter(
            uuid,
            "Starting",
            "starting",
            inputs=params,
            outputs={},
            pod={"name": f"run-{uuid[:8]}-0"},
        )
        await asyncio.sleep(0.3)
        await self._enter(uuid, "Running", "running", startedAt=_now())
        for number in range(self.lines):
            await asyncio.sleep(self.seconds / self.lines)
            await self.write_log(uuid, f"line {number} {params}")
        await self.end_log(uuid)
        await self._enter(uuid, "Succeeded", "succeeded", finishedAt=_now())
        self.ended_at = time.monotonic()

    async def log(
        self, body: Body, attempt: int, since: str | None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield the lines. If this log breaks, the reads after the first fail too, more often than
        the client retries by itself (three times).
        """
        self._times_read += 1
        if self.log_breaks and 1 < self._times_read < 7:
            raise PlatformError("the node does not answer")
        async for line in super().log(body, attempt, since):
            yield line

    async def _enter(self, uuid: str, phase: str, published: str, **facts: Any) -> None:
        body = await self.get("quick-start", uuid)
        status = body.get("status") or {}
        history = [
            *(status.get("history") or ()),
            {"status": published, "reason": phase, "at": _now()},
        ]
        await self.put(
            {
                **body,
                "status": {
                    **status,
                    **facts,
                    "uuid": uuid,
                    "phase": phase,
                    "kind": "job",
                    "history": history,
                },
            }
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Api(LoopbackApi):
    runs: LivingRuns


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api(LivingRuns())
    server.start()
    yield server
    server.close()


@pytest.fixture
def published(api: Api, tmp_path: Path) -> Published:
    """Run a program of the published package with its own home: `published("polyaxon", "ops", "ls",
    ...)`.
    """
    person = {
        "HOME": str(tmp_path),
        "POLYAXON_HOST": f"http://127.0.0.1:{api.port}",
        "POLYAXON_AUTH_TOKEN": TOKEN,
        "POLYAXON_NO_COLOR": "1",
        "COLUMNS": "300",
        "PATH": os.defpath,
    }

    def run(
        program: str, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(PUBLISHED / "bin" / program), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=person | (env or {}),
            timeout=240,
        )

    return run
