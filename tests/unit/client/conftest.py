"""A run on the real API, and the environment of its Pod."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.loopback_api import LoopbackApi

from opstrand.runs.memory import MemoryRuns

UUID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
MESSAGE = 'it\'s "quoted" $(HOME) $$ \n ünïcode'


class Api(LoopbackApi):
    """The API with one running run."""

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.do(self.runs.get("quick-start", UUID))["status"])


def body() -> dict[str, Any]:
    meta = {
        "name": "echo",
        "namespace": "quick-start",
        "uid": UUID,
        "creationTimestamp": "2026-01-02T03:04:05Z",
    }
    status = {
        "uuid": UUID,
        "kind": "job",
        "phase": "Running",
        "inputs": {"message": MESSAGE},
        "outputs": {},
        "meta": {},
    }
    return {"metadata": meta, "spec": {}, "status": status}


@pytest.fixture
def pod_environment(api: Api, tmp_path: Path) -> dict[str, str]:
    return api.environment(UUID, tmp_path)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    server = Api(MemoryRuns())
    server.do(server.runs.put(body()))
    server.start()
    for name, value in server.environment(UUID, tmp_path).items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()
