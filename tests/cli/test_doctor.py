"""What doctor reports of a cluster that is wrong in every way, with what to do; the other tiers run
it against a right one.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli

from opstrand import __version__


class Neglected(http.server.BaseHTTPRequestHandler):
    """An API server that is old, has a clock an hour ahead, grants no rights, and sits in front of
    another opstrand's API, which no longer answers behind it.
    """

    def do_GET(self) -> None:
        if self.path == "/version":
            self._answer(200, {"major": "1", "minor": "20+", "gitVersion": "v1.20.7"})
        elif self.path.endswith("/proxy/api/v1/installation"):
            self._answer(200, {"opstrand": "0.0.1"})
        elif self.path.startswith("/apis/runs.opstrand.dev/"):
            self._answer(503, {"kind": "Status", "message": "service unavailable"})
        else:
            self._answer(404, {"kind": "Status", "reason": "NotFound", "message": "not found"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, {"kind": "SelfSubjectAccessReview", "status": {"allowed": False}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(int(time.time()) + 3600)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def neglected(tmp_path: Path) -> Iterator[Path]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Neglected) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = tmp_path / "kubeconfig"
        config.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: "
            "{cluster: c, user: u, namespace: team}}]\n"
            f"clusters: [{{name: c, cluster: {{server: "
            f"'http://127.0.0.1:{server.server_port}'}}}}]\n"
            "users: [{name: u, user: {token: t}}]\n"
        )
        yield config
        server.shutdown()


def test_everything_that_is_wrong_is_said_with_what_to_do(cli: Cli, neglected: Path) -> None:
    ran = cli("doctor", "-o", "json", "--kubeconfig", neglected)
    found = {
        one["name"]: (one["verdict"], one["message"], one["todo"])
        for one in json.loads(ran.out)["findings"]
    }
    expected = {
        "cluster": ("warning", "Kubernetes v1.20.7", "from 1.33 on"),
        "clock": ("warning", "differ by 3", "Set the clocks"),
        "project": ("failed", "there is no namespace 'team'", "kubectl create namespace team"),
        "crd operations": ("failed", "is not installed", "kubectl apply -k manifests/"),
        "crd components": ("failed", "is not installed", "kubectl apply -k manifests/"),
        "rights": ("failed", "missing in team: get operations", "kubectl create rolebinding"),
        "operator": (
            "failed",
            "no Deployment opstrand-operator in opstrand",
            "kubectl apply -k manifests/",
        ),
        "api": (
            "warning",
            "opstrand 0.0.1 answers at opstrand-api.opstrand:8000, and this command line is "
            f"{__version__}",
            "same version",
        ),
        "aggregated": (
            "failed",
            "no namespace can be deleted: service unavailable",
            "kubectl delete apiservice v1alpha1.runs.opstrand.dev",
        ),
    }
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert [
            word for word, said in zip(words, found[name], strict=True) if word not in said
        ] == [], (name, found[name])
    assert ran.code == 1
