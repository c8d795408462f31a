"""The lower bound: what a run costs when nothing is decided. `python -m tests.bench.write_loop
asyncio|kopf [WRITES]`.

It makes the same requests in the same order as the operator: freeze, Pod, Running, final, and one
more if a run waits for another. Of a pipeline it creates each operation once those have ended that
it depends on. WRITES is a file of texts to write, in which a run's name and uid are replaced;
without it the loop writes the smallest Pod and status that are sufficient, and knows no pipeline.
It is no operator: it trusts every event and checks nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

Manifest = dict[str, Any]

OPERATIONS = "/apis/opstrand.dev/v1"
SELECTOR = "app.kubernetes.io/managed-by=opstrand"
IN_FLIGHT = 32
#: Placeholders in the file of writes for a run's own name and uid.
NAME, UID = "many-99999", "c0ffee00-0000-4000-8000-000000c0ffee"


def rename(text: str, name: str, uid: str) -> str:
    """Return the same write for another run."""
    for old, new in (
        (NAME, name),
        (UID, uid),
        (UID.replace("-", ""), uid.replace("-", "")),
        (UID[:8], uid[:8]),
    ):
        text = text.replace(old, new)
    return text


class Api:
    """Sends requests with the credentials of a kubeconfig that embeds them."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_tls(cluster, user), limit=IN_FLIGHT + 8)
        )
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def send(
        self, verb: str, path: str, body: str, kind: str = "application/json"
    ) -> Manifest:
        """Return the answer; retry if the server was too busy to answer."""
        while True:
            async with (
                self._slots,
                self.http.request(
                    verb, self.server + path, data=body, headers={"Content-Type": kind}
                ) as answer,
            ):
                if answer.status not in (429, 500, 503, 504):
                    answer.raise_for_status()
                    found: Manifest = json.loads(await answer.read())
                    return found
            await asyncio.sleep(0.5)

    async def follow(self, path: str, selector: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield every object as ADDED, then every event; list again whenever the server ends the
        watch.
        """
        query = {"labelSelector": selector}
        while True:
            async with self.http.get(self.server + path, params=query) as answer:
                found = json.loads(await answer.read())
            if "items" not in found:
                await asyncio.sleep(0.05)
                continue
            for item in found["items"]:
                yield "ADDED", item
            since = {
                **query,
                "watch": "true",
                "resourceVersion": found["metadata"]["resourceVersion"],
            }
            endless = aiohttp.ClientTimeout(total=None)
            async with self.http.get(
                self.server + path, params=since, timeout=endless, read_bufsize=2**22
            ) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    yield event["type"], event["object"]


def _tls(cluster: Manifest, user: Manifest) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags.VERIFY_DEFAULT)
    with TemporaryDirectory() as folder:
        names = {"client-certificate-data": "certificate", "client-key-data": "key"}
        for field, name in names.items():
            Path(folder, name).write_bytes(base64.b64decode(user[field]))
        context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))
    return context


class WriteLoop:
    """Makes the next write on every event. Keyed by name: the bench has one namespace."""

    def __init__(self, api: Api, writes: dict[str, str]) -> None:
        self._api, self._writes = api, writes
        self._phases: dict[str, str] = {}
        self._operations: dict[str, Manifest] = {}
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        #: Pipeline -> how many of its runs have not ended.
        self._left: dict[str, int] = {}
        #: Run -> its pipeline, and the runs that are created after it.
        self._pipeline_of: dict[str, str] = {}
        self._next: defaultdict[str, list[str]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    def see_operation(self, body: Manifest) -> None:
        name = body["metadata"]["name"]
        stored = (body.get("status") or {}).get("phase")
        if name in self._phases:
            return
        self._phases[name] = stored or "Created"
        if stored:
            return
        self._operations[name] = body
        if _list_operations(body):
            self._spawn(self._run_pipeline(name))
            return
        upstream = next(
            (
                one["ref"].removeprefix("ops.")
                for one in (body["spec"].get("params") or {}).values()
                if "ref" in one
            ),
            None,
        )
        if upstream and self._phases.get(upstream) != "Succeeded":
            self._waiting[upstream].append(name)
            self._spawn(self._write(name, "Waiting"))
        else:
            self._spawn(self._start(name))

    def see_pod(self, pod: Manifest) -> None:
        name = pod["metadata"]["ownerReferences"][0]["name"]
        phase, before = pod.get("status", {}).get("phase"), self._phases.get(name)
        if phase == "Running" and before == "Starting":
            self._spawn(self._write(name, "Running"))
        elif phase == "Succeeded" and before == "Running":
            self._spawn(self._finish(name))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            print(f"lost: {task.exception()!r}", flush=True)

    async def _write(self, name: str, phase: str) -> None:
        before, self._phases[name] = self._phases[name], phase
        metadata = self._operations[name]["metadata"]
        path = f"{OPERATIONS}/namespaces/{metadata['namespace']}/operations/{name}/status"
        text = self._writes[_WRITE_OF[phase] if before != "Waiting" else "freeze"]
        await self._api.send(
            "PATCH", path, rename(text, name, metadata["uid"]), "application/json-patch+json"
        )

    async def _start(self, name: str) -> None:
        await self._write(name, "Starting")
        metadata = self._operations[name]["metadata"]
        await self._api.send(
            "POST",
            f"/api/v1/namespaces/{metadata['namespace']}/pods",
            rename(self._writes["pod"], name, metadata["uid"]),
        )

    async def _finish(self, name: str) -> None:
        await self._write(name, "Succeeded")
        for waiting in self._waiting.pop(name, []):
            self._spawn(self._start(waiting))
        if name in self._pipeline_of:
            await self._go_on(self._pipeline_of[name], name)

    # -- pipelines

    async def _run_pipeline(self, name: str) -> None:
        await self._mark(name, "add", "/status", {"phase": "Running"})
        operations = _list_operations(self._operations[name])
        self._left[name] = len(operations)
        for one in operations:
            child, upstream = f"{name}-{one['name']}", one.get("dependencies")
            self._pipeline_of[child] = name
            if upstream:
                self._next[f"{name}-{upstream[0]}"].append(child)
            else:
                self._spawn(self._create(name, child))

    async def _create(self, pipeline: str, name: str) -> None:
        metadata = self._operations[pipeline]["metadata"]
        child = json.loads(self._writes["child"])
        owner = {
            **child["metadata"]["ownerReferences"][0],
            "name": pipeline,
            "uid": metadata["uid"],
        }
        child["metadata"] |= {"name": name, "ownerReferences": [owner]}
        path = f"{OPERATIONS}/namespaces/{metadata['namespace']}/operations"
        self.see_operation(await self._api.send("POST", path, json.dumps(child)))

    async def _go_on(self, pipeline: str, ended: str) -> None:
        for name in self._next.pop(ended, []):
            self._spawn(self._create(pipeline, name))
        self._left[pipeline] -= 1
        if not self._left[pipeline]:
            await self._mark(pipeline, "replace", "/status/phase", "Succeeded")

    async def _mark(self, pipeline: str, verb: str, where: str, value: Any) -> None:
        namespace = self._operations[pipeline]["metadata"]["namespace"]
        path = f"{OPERATIONS}/namespaces/{namespace}/operations/{pipeline}/status"
        text = json.dumps([{"op": verb, "path": where, "value": value}])
        await self._api.send("PATCH", path, text, "application/json-patch+json")


def _list_operations(body: Manifest) -> list[Manifest]:
    """Return the operations of a pipeline; none for any other run."""
    run = (body["spec"].get("component") or {}).get("run") or {}
    return list(run.get("operations") or ())


_WRITE_OF = {"Waiting": "waiting", "Starting": "freeze", "Running": "running", "Succeeded": "final"}


def smallest_writes() -> dict[str, str]:
    key, _, value = SELECTOR.partition("=")
    owner = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "name": NAME,
        "uid": UID,
        "controller": True,
    }
    pod = {
        "metadata": {
            "name": f"{NAME}-{UID[:8]}-0",
            "labels": {key: value},
            "ownerReferences": [owner],
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
        },
    }
    first = {
        name: [{"op": "add", "path": "/status", "value": {"phase": p}}]
        for name, p in (("waiting", "Waiting"), ("freeze", "Starting"))
    }
    then = {
        name: [{"op": "replace", "path": "/status/phase", "value": p}]
        for name, p in (("running", "Running"), ("final", "Succeeded"))
    }
    return {name: json.dumps(write) for name, write in {**first, **then, "pod": pod}.items()}


def say_started() -> None:
    print('{"message": "started"}', flush=True)


async def run_asyncio(api: Api, loop: WriteLoop) -> None:
    async def follow(path: str, selector: str, see: Any) -> None:
        async for kind, body in api.follow(path, selector):
            if kind in ("ADDED", "MODIFIED"):
                see(body)

    say_started()
    await asyncio.gather(
        follow(f"{OPERATIONS}/operations", "", loop.see_operation),
        follow("/api/v1/pods", SELECTOR, loop.see_pod),
    )


async def run_kopf(api: Api, loop: WriteLoop) -> None:
    import kopf

    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    key, _, value = SELECTOR.partition("=")

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(
            server=api.server, aiohttp_session=api.http, default_namespace="default"
        )

    @kopf.on.event("opstrand.dev", "v1", "operations", registry=registry)
    async def on_operation(type: str | None, event: Any, **_: object) -> None:
        if type != "DELETED":
            loop.see_operation(event["object"])

    @kopf.on.event("", "v1", "pods", labels={key: value}, registry=registry)
    async def on_pod(type: str | None, event: Any, **_: object) -> None:
        if type != "DELETED":
            loop.see_pod(event["object"])

    say_started()
    await kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True)


async def run(kind: str, writes: dict[str, str]) -> None:
    api = Api(Path(os.environ["KUBECONFIG"]))
    try:
        await {"asyncio": run_asyncio, "kopf": run_kopf}[kind](api, WriteLoop(api, writes))
    finally:
        await api.http.close()


if __name__ == "__main__":
    asyncio.run(
        run(
            sys.argv[1],
            json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else smallest_writes(),
        )
    )
