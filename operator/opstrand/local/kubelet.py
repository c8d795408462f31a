"""The kubelet of a laptop: it runs each Pod as a process, and reports the outcome in its status.

Owns processes, their folders and their logs. It follows the Pods of the in-memory Kube and knows
nothing of runs.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opstrand.core import names
from opstrand.core.identity import CONTEXT_ROOT
from opstrand.core.planning.context_root import symbolic
from opstrand.core.planning.expansion import expand
from opstrand.initializer.failure import InitError
from opstrand.kube.resources import CONFIG_MAPS, PODS
from opstrand.local.environment import build_environment
from opstrand.local.kube import MemoryKube
from opstrand.local.limits import seen_in_container
from opstrand.local.processes import end_session, iter_lines, start_program
from opstrand.local.records import Records
from opstrand.local.store import link_volumes
from opstrand.text import shorten
from opstrand.types import Manifest

logger = logging.getLogger(__name__)
#: Bytes of a failed program's output that the run's message keeps, as with a kubelet.
_LAST_BYTES = 2048
#: Seconds between SIGTERM and SIGKILL.
_GRACE = 10.0
#: The longest pause before a service's program is restarted, in seconds.
_LONGEST_PAUSE = 60.0
#: Called with the Pod and one line of main's output as it was written, its newline included.
OnLine = Callable[[Manifest, bytes], None]


class Kubelet:
    """Runs every Pod that it observes, once."""

    def __init__(
        self,
        kube: MemoryKube,
        *,
        records: Records,
        token: str,
        on_line: OnLine,
        needs_slot: Callable[[Manifest], bool] = lambda pod: False,
    ) -> None:
        self._kube = kube
        self._needs_slot = needs_slot
        #: One for each core: for Pods of which many may be created at once.
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._records = records
        self._token = token
        self._on_line = on_line
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._deadlines: set[str] = set()
        #: Pod name -> how often the service's program was restarted.
        self._restarts: dict[str, int] = {}

    def observe(self, kind: str, pod: Manifest) -> None:
        """Handle one event of a Pod: start it, end it, or do nothing."""
        name = pod["metadata"]["name"]
        if kind == "ADDED":
            self._tasks[name] = asyncio.create_task(self._run(pod), name=f"pod {name}")
        elif kind == "MODIFIED" and name in self._tasks:
            if pod["metadata"].get("deletionTimestamp"):
                self._end(name)
            elif pod["spec"].get("activeDeadlineSeconds") == 1 and name not in self._deadlines:
                self._pass_deadline(name)

    def _end(self, name: str) -> None:
        """Send SIGTERM to the program, and SIGKILL after the grace period."""
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            # Signal the whole session: a shell's children are part of the container.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            asyncio.get_running_loop().call_later(_GRACE, self._kill, process)
        elif name not in self._processes:
            self._tasks[name].cancel()

    def kill(self) -> None:
        """Kill every process that still runs, without its grace period."""
        for process in self._processes.values():
            self._kill(process)

    @staticmethod
    def _kill(process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def _run(self, pod: Manifest) -> None:
        name = pod["metadata"]["name"]
        try:
            root = str(
                self._records.files_of(pod["metadata"]["namespace"], names.owner_name(pod) or name)
            )
            pod = seen_in_container(pod, root + CONTEXT_ROOT)
            async with self._slots if self._needs_slot(pod) else nullcontext():
                await self._initialize(pod, root)
                await self._run_main(pod, root)
            while pod["spec"].get("restartPolicy") == "Always" and name in self._tasks:
                await self._start_again(pod, root)
        except InitError as error:
            await self._report(
                pod,
                "Failed",
                {"initContainerStatuses": [_ended(names.INIT_CONTAINER, 1, _now(), str(error))]},
            )
        except asyncio.CancelledError:
            pass
        except Exception as error:
            # For example, the disk is full or a folder is not writable. Without this report the run
            # would never end.
            await self._give_up(pod, error)
        finally:
            self._tasks.pop(name, None)
            current = self._kube.find(PODS, pod["metadata"]["namespace"], name)
            if current is not None and current["metadata"].get("deletionTimestamp"):
                await self._kube.remove(PODS, current)

    async def _give_up(self, pod: Manifest, error: Exception) -> None:
        if not isinstance(error, OSError):
            logger.error("a local program cannot be looked after", exc_info=error)
        process = self._processes.get(pod["metadata"]["name"])
        if process is not None:
            self._kill(process)
        message = f"this machine cannot go on with it: {error}"
        await self._report(
            pod, "Failed", {"containerStatuses": [_ended("main", 1, _now(), message)]}
        )

    async def _initialize(self, pod: Manifest, root: str) -> None:
        """Run the init container as a process, so that it can be ended while it waits."""
        # Remove what an earlier attempt left, as with an emptyDir.
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)
        document = json.loads(self._read_document(pod))
        document["steps"] = [_as_in_container(step, root) for step in document["steps"]]
        digest = await asyncio.to_thread(self._write_document, document, root)
        await asyncio.to_thread(link_volumes, pod, root)
        process = await _start_initializer(root, digest)
        self._processes[pod["metadata"]["name"]] = process
        _, message = await process.communicate()
        del self._processes[pod["metadata"]["name"]]
        if process.returncode:
            raise InitError(
                message.decode(errors="replace").strip() or f"exit code {process.returncode}"
            )

    def _write_document(self, document: dict[str, Any], root: str) -> str:
        """Write the document and the token to where the Pod's volumes would show them.

        Returns the document's SHA-256.
        """
        os.makedirs(root)
        data = json.dumps(document).encode()
        with gzip.open(_document_of(root), "wb") as file:
            file.write(data)
        if document.get("auth"):
            token = Path(root + document["auth"]["token"])
            token.parent.mkdir(parents=True, exist_ok=True)
            token.write_text(self._token, encoding="utf-8")
        return hashlib.sha256(data).hexdigest()

    def _read_document(self, pod: Manifest) -> str | bytes:
        """Return the init document, from the environment or, if long, from the Pod's ConfigMap."""
        container = next(
            one for one in pod["spec"]["initContainers"] if one["name"] == names.INIT_CONTAINER
        )
        text = next(
            (one["value"] for one in container["env"] if one["name"] == "OPSTRAND_INIT"), None
        )
        if text is not None:
            return expand(text, {})
        name = next(
            one["configMap"]["name"] for one in pod["spec"]["volumes"] if "configMap" in one
        )
        found = self._kube.find(CONFIG_MAPS, pod["metadata"]["namespace"], name)
        if found is None:
            raise InitError(f"the ConfigMap {name} is not there")
        return gzip.decompress(base64.b64decode(next(iter(found["binaryData"].values()))))

    async def _start_again(self, pod: Manifest, root: str) -> None:
        """Restart a service's program, after a pause that grows as a kubelet's does."""
        name = pod["metadata"]["name"]
        self._processes.pop(name, None)
        restarts = self._restarts[name] = self._restarts.get(name, 0) + 1
        current = self._kube.find(PODS, pod["metadata"]["namespace"], name) or pod
        if current["metadata"].get("deletionTimestamp"):
            raise asyncio.CancelledError
        end = current["status"]["containerStatuses"][0]["state"]
        waits = {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": end,
            "name": "main",
            "restartCount": restarts - 1,
        }
        await self._report(pod, "Running", {"containerStatuses": [waits]})
        await asyncio.sleep(min(2.0 ** (restarts - 1), _LONGEST_PAUSE))
        await self._run_main(pod, root)

    async def _run_main(self, pod: Manifest, root: str) -> None:
        main = next(one for one in pod["spec"]["containers"] if one["name"] == names.MAIN_CONTAINER)
        env = build_environment(pod, main, os.environ)
        command = [
            expand(part, env) for part in (*(main.get("command") or ()), *(main.get("args") or ()))
        ]
        started = _now()
        folder = root + (main.get("workingDir") or f"{CONTEXT_ROOT}/artifacts")
        subject = f"the working directory {shorten(str(main.get('workingDir')), 100)}"
        try:
            # Create the working directory, as a container runtime does.
            os.makedirs(folder, exist_ok=True)
            subject = command[0]
            process = await start_program(command, folder, env)
        except (OSError, ValueError) as error:
            message = f"{subject}: {getattr(error, 'strerror', None) or error}"
            await self._report(
                pod,
                "Failed",
                {"containerStatuses": [_ended("main", 127, started, message, "StartError")]},
            )
            return
        self._processes[pod["metadata"]["name"]] = process
        restarts = self._restarts.get(pod["metadata"]["name"], 0)
        running = {
            "name": "main",
            "restartCount": restarts,
            "state": {"running": {"startedAt": started}},
        }
        await self._report(
            pod,
            "Running",
            {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [running]},
        )
        tail = await self._wait(pod, process)
        await self._report_end(pod, process.returncode or 0, started, tail)

    async def _wait(self, pod: Manifest, process: asyncio.subprocess.Process) -> str:
        """Pass on every line until the program ends; return the end of its output."""
        deadline = pod["spec"].get("activeDeadlineSeconds")
        timer = (
            asyncio.get_running_loop().call_later(
                deadline, self._pass_deadline, pod["metadata"]["name"]
            )
            if deadline
            else None
        )
        ending = asyncio.create_task(end_session(process))
        tail = b""
        async for line in iter_lines(process, ending):
            tail = (tail + line)[-_LAST_BYTES:]
            self._on_line(pod, line)
        await ending
        if timer is not None:
            timer.cancel()
        return tail.decode(errors="replace").strip()

    def _pass_deadline(self, name: str) -> None:
        process = self._processes.get(name)
        if process is None or process.returncode is None:
            self._deadlines.add(name)
        self._end(name)

    async def _report_end(self, pod: Manifest, code: int, started: str, tail: str) -> None:
        # A container's status shows a signal by the shell's convention.
        code = 128 - code if code < 0 else code
        fields: dict[str, Any] = {
            "containerStatuses": [_ended("main", code, started, tail if code else "")]
        }
        is_late = pod["metadata"]["name"] in self._deadlines
        if is_late:
            fields |= {
                "reason": "DeadlineExceeded",
                "message": "Pod was active on the node longer than the specified deadline",
            }
        await self._report(pod, "Failed" if code or is_late else "Succeeded", fields)

    async def _report(self, pod: Manifest, phase: str, fields: Mapping[str, Any]) -> None:
        current = self._kube.find(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        if current is not None:
            started = (current.get("status") or {}).get("startTime") or _now()
            await self._kube.store(
                PODS, {**current, "status": {"phase": phase, "startTime": started, **fields}}
            )

    async def stop(self) -> None:
        """End what still runs, and wait for it."""
        for name in list(self._tasks):
            self._end(name)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _document_of(root: str) -> Path:
    return Path(root) / "init.json.gz"


async def _start_initializer(root: str, digest: str) -> asyncio.subprocess.Process:
    """Start the initializer of this package, whatever lies in the current folder."""
    env = {name: value for name, value in os.environ.items() if name != "OPSTRAND_INIT"}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPSTRAND_ROOT": root}
    env |= {"OPSTRAND_INIT_FILE": str(_document_of(root)), "OPSTRAND_INIT_SHA256": digest}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "opstrand.initializer"),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def _as_in_container(step: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return an init step with its paths as in a container: the initializer adds the root to each.

    It leaves the content as it is, because that is data.
    """
    return {
        key: item if key == "content" else symbolic(item, root + CONTEXT_ROOT)
        for key, item in step.items()
    }


def _ended(
    name: str, code: int, started: str, message: str, reason: str | None = None
) -> dict[str, Any]:
    reason = reason or ("Completed" if code == 0 else "Error")
    state = {
        "exitCode": code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": _now(),
        "message": message,
    }
    return {"name": name, "state": {"terminated": state}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
