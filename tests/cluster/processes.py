"""Runs programs that outlive the command that started them, and finds them again.

Owns pid files, log files, the proof that a pid is still the process that was started, and stopping.
Must not know what a program does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.cluster.console import Failure

# Every process of a state folder has this variable in its environment, and so do the processes that
# it starts (container shims). It proves that left-overs of a crash are ours; no other process is
# killed.
MARK = "OPSTRAND_CLUSTER_OWNER"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Process:
    """One program of a state folder: `logs/NAME.log`, `pids/NAME`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.pid_file = folder / "pids" / name
        self.log = folder / "logs" / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start it in its own session. Of the caller's open files it keeps only its log."""
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**(os.environ if env is None else env), MARK: str(self.folder)}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=environment, cwd=cwd or self.folder,
            )  # fmt: skip
        self.pid_file.write_text(identity(self._child.pid))

    def pid(self) -> int | None:
        """Return its pid while it lives; None once it is gone, even if another process has the
        number now.
        """
        if self._child is not None and self._child.poll() is not None:
            return None
        with contextlib.suppress(OSError, ValueError):
            written = self.pid_file.read_text()
            number = int(written.split()[0])
            if identity(number) == written:
                return number
        return None

    def is_running(self) -> bool:
        return self.pid() is not None

    def require_running(self) -> None:
        if not self.is_running():
            raise Failure(f"{self.name} ended by itself; its log is {self.log}", self.read_log())

    def stop(self, patience: float = 10.0) -> None:
        """Ask it to end, wait, then kill it. Does nothing if it is gone already."""
        pid = self.pid()
        if pid is not None:
            end([pid], patience)
        if self._child is not None:
            self._child.wait()
        self.pid_file.unlink(missing_ok=True)

    def read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def identity(pid: int) -> str:
    """Return a pid with its start time and the machine's boot: a reused number does not match."""
    return f"{pid} {stat_fields(pid)[19]} {BOOT_ID.read_text().strip()}"


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (the command's name before them may
    contain blanks).

    Raises OSError if it is gone.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields


def is_alive(pid: int) -> bool:
    try:
        stat_fields(pid)
    except OSError:
        return False
    return True


def end(pids: Iterable[int], patience: float) -> None:
    """Send SIGTERM to all at once, and SIGKILL to those that remain after `patience`."""
    pids = list(pids)
    send(pids, signal.SIGTERM)
    if not wait_for_end(pids, patience):
        send(pids, signal.SIGKILL)
        wait_for_end(pids, 5.0)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_for_end(pids: Iterable[int], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def find_marked(folder: Path) -> list[int]:
    """Return every live process that carries the mark of this state folder."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and is_alive(
                    int(entry.name)
                ):
                    found.append(int(entry.name))
    return found


class Guard:
    """Ends processes if ours dies without stopping them: a shell waits for the end of a pipe that
    only we hold open.

    The kernel's own way (a signal at the parent's death) fires when the thread that started the
    child ends, which in a test run may be long before the process ends.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        words = [str(pid) for pid in pids]
        self._shell = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; kill -TERM "$@"; sleep 3; kill -KILL "$@"', "guard",
             *words],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def dismiss(self) -> None:
        """Kill the shell before closing its pipe: in the other order it would kill the
        processes.
        """
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin:
            self._shell.stdin.close()
