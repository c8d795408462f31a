"""A service as a local process: reached on its own port, restarted when it ends, ended as in a
cluster.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.control_plane import free_port
from tests.local.conftest import Run

#: Serves one page, which reports that the service is idle, and prints the requests.
SERVER = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    log_message = lambda *_: None
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"last_activity": "2026-01-01T00:00:00Z"}).encode())
        print("asked", self.path)
print("serving")
http.server.HTTPServer(("127.0.0.1", {{ globals.ports[0] }}), Handler).serve_forever()
"""

Write = Callable[..., Path]


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


@pytest.fixture
def service(tmp_path: Path, port: int) -> Write:
    def write(code: str = SERVER, **termination: Any) -> Path:
        run = {
            "kind": "service",
            "ports": [port],
            "container": {"image": "x", "command": ["python3", "-uc", code]},
        }
        path = tmp_path / "service.yaml"
        path.write_text(
            yaml.safe_dump({"kind": "component", "run": run, "termination": termination})
        )
        return path

    return write


def test_a_service_answers_on_its_port_until_its_time_is_over(
    here: Run, service: Write, port: int, records: Path
) -> None:
    code = SERVER.replace("serve_forever()", "handle_request()\nimport time; time.sleep(60)")
    asks = (
        "import urllib.request, threading; threading.Timer(1, lambda: "
        f"urllib.request.urlopen('http://127.0.0.1:{port}/here')).start()\n"
    )
    ran = here("run", "--local", "-l", "--name", "web", "-f", service(asks + code, timeout=4))
    assert ran.out.splitlines() == ["serving", "asked /here"]
    assert f"its ports are this machine's: http://127.0.0.1:{port}" in ran.stderr
    assert (ran.code, "Stopped (DeadlineExceeded)" in ran.stderr) == (3, True), ran.stderr
    told = json.loads(here("get", "--local", "web", "-o", "json").out)["status"]
    assert (told["kind"], told["service"]["ports"]) == ("service", [port])
    plan = (records / "default" / "web" / "plan.json").read_bytes()
    assert json.loads(plan)["extra"]["ports"] == [port]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5)


def test_a_program_that_ends_is_started_again_as_often_as_it_may(here: Run, service: Write) -> None:
    ran = here(
        "run", "--local", "-l", "-f", service("print('boom'); raise SystemExit(3)", maxRetries=1)
    )
    assert ran.out == "boom\nboom\n"
    assert ran.code == 1
    assert "Failed (ContainerFailed)" in ran.stderr
    assert "exit code 3: boom" in ran.stderr


def test_an_idle_service_ends(here: Run, service: Write, port: int) -> None:
    probe = {"http": {"path": "/api/status", "port": port}}
    ran = here("run", "--local", "-l", "-f", service(culling={"timeout": 2}, probe=probe))
    assert ran.out == "serving\nasked /api/status\n"
    assert "Stopped (Culled)" in ran.stderr


def test_what_needs_a_cluster_is_refused_for_a_service_too(here: Run, tmp_path: Path) -> None:
    volume = {"name": "v", "emptyDir": {}}
    run = {"kind": "service", "volumes": [volume], "container": {"image": "x", "command": ["true"]}}
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"run": run}))
    ran = here("run", "--local", "-f", "f.yaml")
    assert ran.code == 1
    assert "the volume 'v' needs a cluster" in ran.stderr
