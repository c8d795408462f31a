"""The init container waits for an API that has its own authority, and gives that authority to
main.
"""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opstrand.api.certificates import Issued, issue
from opstrand.initializer.failure import InitError
from opstrand.initializer.steps import carry_out

ISSUED = issue(["127.0.0.1"])


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    for name, text in (("crt", ISSUED.certificate), ("key", ISSUED.key)):
        (tmp_path / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def document(port: int, issued: Issued | None) -> dict[str, Any]:
    path = "/plx-context/.configs/ca.crt"
    api = {
        "url": f"https://127.0.0.1:{port}",
        "patience": 0,
        "run": "default/p/runs/u",
        **({"ca": path} if issued else {}),
    }
    trust = {"trust": {"target": path, "text": issued.authority}} if issued else {}
    return {
        **trust,
        "directories": [],
        "auth": None,
        "api": api,
        "shim": None,
        "steps": [],
        "token": "/token",
    }


def test_it_trusts_what_it_was_given_and_leaves_it_for_main(port: int, tmp_path: Path) -> None:
    carry_out(document(port, ISSUED), root=str(tmp_path))
    assert (tmp_path / "plx-context/.configs/ca.crt").read_text() == ISSUED.authority


@pytest.mark.parametrize(
    "trusted", [None, issue(["127.0.0.1"])], ids=["the usual ones", "another authority"]
)
def test_it_trusts_nothing_else(port: int, tmp_path: Path, trusted: Issued | None) -> None:
    with pytest.raises(InitError, match="certificate verify failed"):
        carry_out(document(port, trusted), root=str(tmp_path))


def test_what_is_no_certificate_is_said(port: int, tmp_path: Path) -> None:
    with pytest.raises(InitError, match="trusted by cannot be read"):
        carry_out(document(port, Issued("nonsense", "", "")), root=str(tmp_path))
