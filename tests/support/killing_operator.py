"""Runs the operator and the API as processes that end where a test wants it: between any two of
their requests to the cluster.

`python -m tests.support.killing_operator` loads the programs once and forks a process for each
order, so that hundreds of starts cost as much as a few. An order is a line of JSON on its input:
id, module, environment, log. Its answers are lines too: {id, pid}, and {id, code} at the end.

The hook is here and nowhere in the product: KILL_AT (a number from 1) and KILL_WHEN in the
environment end the process without clean-up, as a failing node does: `before` the N-th request is
sent, `after` its answer arrived, or after the N-th that made a `change`. `Nursery` is the side of
the tests.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
KILLED = 77
#: The log has a line with this word for each request; `count_effects` counts them.
MARK = "effect"
#: The last log line of a process that was killed.
DEATH = "dies here"
_EFFECTS = ("create", "json_patch", "delete", "get")
_MAINS = {"opstrand.handlers": "opstrand.handlers.startup", "opstrand.api": "opstrand.api.server"}


def count_effects(log: str) -> int:
    return sum(line.startswith(f"{MARK} ") for line in log.splitlines())


class Nursery:
    """Forks processes from one that has loaded everything."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._children: dict[int, Child] = {}

    async def __aenter__(self) -> Nursery:
        env = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'operator'}:{CHECKOUT}"}
        command = (sys.executable, "-m", "tests.support.killing_operator")
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, env=env, stdin=pipe, stdout=pipe
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def start(self, module: str, log: Path, environment: Mapping[str, str]) -> Child:
        """Start `python -m MODULE`; its output is appended to `log`."""
        number, child = next(self._ids), Child(log)
        self._children[number] = child
        order = {"id": number, "module": module, "environment": dict(environment), "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await child.started
        return child

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            child = self._children[answer["id"]]
            if "pid" in answer:
                child.started.set_result(answer["pid"])
            else:
                child.ended.set_result(answer["code"])
        for child in self._children.values():
            for future in (child.started, child.ended):
                if not future.done():
                    future.set_exception(
                        RuntimeError(
                            "the process that starts others is gone; its words are on stderr"
                        )
                    )


class Child:
    """A process of the nursery. `started` resolves to its pid, `ended` to its exit code."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def is_running(self) -> bool:
        return not self.ended.done()

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait until the process ends."""
        if self.is_running:
            with suppress(ProcessLookupError):
                os.kill(self.started.result(), number)
        return await self.ended

    def read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


# --- the other side -------------------------------------------------------------------------------


def arm(environment: Mapping[str, str]) -> None:
    """Count every request that changes something, and every GET; end the process at the request
    that the environment names.
    """
    from opstrand.kube.client import KubeApi

    at, when = int(environment.get("KILL_AT", "0")), environment.get("KILL_WHEN")
    numbers, changes = itertools.count(1), itertools.count(1)

    def wrap(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def counted(
            self: Any, resource: Any, namespace: str | None, *arguments: Any, **options: Any
        ) -> Any:
            number = next(numbers)
            print(f"{MARK} {number}: {name} {resource.plural}", flush=True)
            if number == at and when == "before":
                die()
            try:
                answer = await method(self, resource, namespace, *arguments, **options)
            finally:
                if number == at and when == "after":
                    die()
            if when == "change" and name != "get" and next(changes) == at:
                die()
            return answer

        return counted

    for name in _EFFECTS:
        setattr(KubeApi, name, wrap(name, getattr(KubeApi, name)))


def die() -> None:
    print(DEATH, flush=True)
    os._exit(KILLED)


def live(order: Mapping[str, Any]) -> int:
    """Become the program, in the forked process."""
    import importlib

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    with open(os.devnull) as nothing, open(order["log"], "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(order["environment"])
    # The official package reads the variable at import.
    kube_config = importlib.import_module("kubernetes.aio.config.kube_config")
    vars(kube_config)["KUBE_CONFIG_DEFAULT_LOCATION"] = order["environment"]["KUBECONFIG"]
    arm(order["environment"])
    return int(importlib.import_module(_MAINS[order["module"]]).main())


def serve() -> None:
    """Fork for every order and report every end. At the end of the input, end all processes that
    still run.
    """
    import importlib

    for module in _MAINS.values():
        importlib.import_module(module)
    gc.freeze()
    ids: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _tell_ends(ids)
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _begin(json.loads(line), ids)
    for pid in ids:
        os.kill(pid, signal.SIGKILL)


def _begin(order: Mapping[str, Any], ids: dict[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = live(order)
        except BaseException:
            import traceback

            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    ids[pid] = order["id"]
    _say({"id": order["id"], "pid": pid})


def _tell_ends(ids: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say({"id": ids.pop(ended[0]), "code": os.waitstatus_to_exitcode(ended[1])})


def _say(answer: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    serve()
