"""The sample `notifier` posts how a run ended to a real HTTP server, by a hook and by a plugin."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import Run
from tests.support.command_line import CHECKOUT

NOTIFIER = CHECKOUT / "docs" / "examples" / "notifier.yaml"
TEXT = "{{ globals.name }} is lost"


class Webhook:
    """A server that keeps what is posted to it."""

    def __init__(self) -> None:
        posted: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                posted.append({"path": self.path, **json.loads(self.rfile.read(length))})
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.posted = posted
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever)
    thread.start()
    yield webhook
    webhook.server.shutdown()
    thread.join()
    webhook.server.server_close()


def test_a_hook_and_a_notification_post_to_their_webhooks(
    here: Run, tmp_path: Path, webhook: Webhook
) -> None:
    connections = [
        {
            "name": name,
            "kind": "webhook",
            "env": [{"name": "WEBHOOK_URL", "value": f"{webhook.url}/{name}"}],
        }
        for name in ("team", "boss")
    ]
    (tmp_path / "connections.yaml").write_text(yaml.safe_dump({"connections": connections}))
    train = tmp_path / "train.yaml"
    container = {"image": "a", "command": ["sh", "-c", "exit ${CODE:-0}"]}
    train.write_text(
        yaml.safe_dump(
            {
                "kind": "component",
                "run": {"kind": "job", "container": container},
                "hooks": [
                    {
                        "hubRef": "notifier",
                        "connection": "team",
                        "trigger": "failed",
                        "params": {"text": {"value": TEXT}},
                    }
                ],
                "plugins": {"notifications": [{"connections": ["boss"], "trigger": "succeeded"}]},
            }
        )
    )
    options = ("--component", NOTIFIER, "--connections", tmp_path / "connections.yaml", "-l")
    good = here("run", "--local", train, *options, "--name", "good")
    assert good.code == 0, good
    bad = here("run", "--local", train, *options, "--name", "bad", CODE="3")
    assert bad.code == 1, bad
    for one in webhook.posted:
        assert len(one.pop("uuid")) == 32
    assert webhook.posted == [
        {
            "path": "/boss",
            "name": "good",
            "kind": "job",
            "status": "succeeded",
            "outputs": {},
            "text": "good has ended: succeeded",
        },
        {
            "path": "/team",
            "name": "bad",
            "kind": "job",
            "status": "failed",
            "outputs": {},
            "text": "bad is lost",
        },
    ]
