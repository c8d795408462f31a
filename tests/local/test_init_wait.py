"""The init container waits for the API before the program starts: as long as it may, and no
longer.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from opstrand.initializer import __main__
from opstrand.initializer.__main__ import read_document
from opstrand.initializer.api import open_api, wait_for_api
from opstrand.initializer.failure import InitError
from opstrand.initializer.steps import carry_out


class _Door(BaseHTTPRequestHandler):
    """Gives the answers of a list, one after the other, and then repeats the last one."""

    answers: list[int]

    def do_GET(self) -> None:
        code = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if code:
            self.send_response(code)
            self.end_headers()
        else:
            self.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def door() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def url_of(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_what_no_step_foresees_is_still_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    document = {"directories": [], "shim": "/file/below", "steps": []}
    with pytest.raises(
        InitError, match="failed while making folders: Not a directory: /file/below"
    ):
        carry_out(document, root=str(tmp_path))


def test_a_document_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "init.json.gz").write_text("somebody else's")
    with pytest.raises(
        InitError,
        match="what is to be done cannot be read: is the ConfigMap of the Pod's name another's",
    ):
        read_document({"OPSTRAND_INIT_FILE": str(tmp_path / "init.json.gz")})


def test_why_it_failed_is_left_where_a_kubelet_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, mask, answer = (
        tmp_path / "termination-log",
        os.umask(0),
        signal.getsignal(signal.SIGTERM),
    )
    monkeypatch.setattr(__main__, "_LAST_WORDS", str(words))
    monkeypatch.setenv("OPSTRAND_INIT_FILE", str(tmp_path / "absent"))
    monkeypatch.delenv("OPSTRAND_ROOT", raising=False)
    try:
        assert __main__.main() == 1
        assert not words.exists()  # no kubelet made it
        words.touch()
        assert __main__.main() == 1
    finally:
        os.umask(mask)
        signal.signal(signal.SIGTERM, answer)
    assert words.read_text().startswith("what is to be done cannot be read")


def test_an_api_that_starts_is_waited_for(door: HTTPServer) -> None:
    _Door.answers = [503, 0, 200]
    wait_for_api({"url": url_of(door), "patience": 10}, open_api({}, ""))
    assert _Door.answers == [200]


@pytest.mark.alone
@pytest.mark.parametrize(("answer", "words"), [(503, "503"), (0, "SSH-2.0"), (None, "refused")])
def test_one_that_never_answers_ends_the_wait_in_time_and_is_named(
    door: HTTPServer, answer: int | None, words: str
) -> None:
    _Door.answers = [answer or 0]
    url = url_of(door) if answer is not None else "http://127.0.0.1:1"
    started = time.monotonic()
    with pytest.raises(InitError, match=f"the API at {url} did not answer within 1 s: .*{words}"):
        wait_for_api({"url": url, "patience": 1}, open_api({}, ""))
    assert time.monotonic() - started < 5
