"""A git host for tests: bare repositories over HTTP, some behind a login, by git's own CGI program.

Unit tests reach it on the loopback, real Pods on an address of this machine. Must not do more than
a git host that users have.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

LOGIN = ("bot", "s3cr3t:t0ken")


def git(*arguments: str, cwd: Path | None = None) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


class GitServer:
    """Serves `public/code.git` (branches main and next, tag v1, a submodule) and `private/code.git`
    (behind LOGIN).
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder, self._address = folder, address
        self.commits: dict[str, str] = {}
        self._server = ThreadingHTTPServer((address, 0), _handler(folder))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self._server.server_address[1]}"

    def __enter__(self) -> GitServer:
        self._thread.start()
        self._make()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _make(self) -> None:
        library = self._repository("public/library.git", {"lib.txt": "from the library\n"})
        git("push", "-q", str(self.folder / "public/library.git"), "HEAD:main", cwd=library)
        work = self._repository("public/code.git", {"main.txt": "one\n", "run.sh": "#!/bin/sh\n"})
        (work / ".gitmodules").write_text(
            f'[submodule "library"]\n\tpath = library\n\turl = {self.url}/public/library.git\n'
        )
        commit = git("rev-parse", "HEAD", cwd=library)
        git("update-index", "--add", "--cacheinfo", f"160000,{commit},library", cwd=work)
        git("add", ".gitmodules", cwd=work)
        git("commit", "-q", "-m", "library", cwd=work)
        git("tag", "v1", cwd=work)
        (work / "main.txt").write_text("two\n")
        git("commit", "-q", "-m", "two", "main.txt", cwd=work)
        for name in ("public/code.git", "private/code.git"):
            self._bare(name)
            git("push", "-q", str(self.folder / name), "HEAD:main", "HEAD:next", "v1", cwd=work)
        self.commits = {
            "v1": git("rev-parse", "v1", cwd=work),
            "main": git("rev-parse", "HEAD", cwd=work),
        }

    def _bare(self, name: str) -> None:
        git("init", "-q", "--bare", str(self.folder / name))

    def _repository(self, name: str, files: dict[str, str]) -> Path:
        work = self.folder / "work" / name
        work.mkdir(parents=True)
        git("init", "-q", cwd=work)
        for path, content in files.items():
            (work / path).write_text(content)
        git("add", ".", cwd=work)
        git("commit", "-q", "-m", "first", cwd=work)
        if not (self.folder / name).exists():
            self._bare(name)
        return work


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            if self.path.startswith("/private/") and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            env = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next(
                (int(value.split()[0]) for name, value in fields if name == "Status"), 200
            )
            self.send_response(status)
            for name, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing: requests do not belong in a test's output."""

    return Handler
