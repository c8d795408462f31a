"""Reads and writes the API server's store directly: how much was written, objects in bulk, and
clearing between measurements.

Through the API, 5,000 finished runs would take longer than everything that is measured with them.
Must not be used on anything but the bench's own control plane.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp

OPERATIONS = "/registry/opstrand.dev/operations/"
PODS = "/registry/pods/"
JOBS = "/registry/jobs/"
#: Operations in one transaction, etcd's own limit.
_BATCH = 100


class Etcd:
    """etcd's JSON gateway."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url, self._http = url, http

    async def bytes_taken(self) -> int:
        """Return the bytes that etcd's clients have sent since its start: all writes, and a little
        for reads.
        """
        async with self._http.get(f"{self._url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        found = next(
            line
            for line in lines
            if line.startswith("etcd_network_client_grpc_received_bytes_total")
        )
        return int(float(found.split()[1]))

    async def get(self, key: str) -> bytes:
        found = await self._ask("range", {"key": _text(key.encode())})
        return base64.b64decode(found["kvs"][0]["value"])

    async def sizes(self, prefix: str) -> list[int]:
        """Return the length of each value below this prefix."""
        found = await self._ask(
            "range", {"key": _text(prefix.encode()), "rangeEnd": _text(_end_of(prefix).encode())}
        )
        return [len(base64.b64decode(one["value"])) for one in found["kvs"]]

    async def put_all(self, values: dict[str, bytes]) -> None:
        items = [
            {"requestPut": {"key": _text(key.encode()), "value": _text(value)}}
            for key, value in values.items()
        ]
        for start in range(0, len(items), _BATCH):
            await self._ask("txn", {"success": items[start : start + _BATCH]})

    async def sweep(self) -> None:
        """Delete every Operation, Job and Pod, and give the API server a moment to notice."""
        for prefix in (OPERATIONS, JOBS, PODS):
            await self._ask(
                "deleterange",
                {"key": _text(prefix.encode()), "rangeEnd": _text(_end_of(prefix).encode())},
            )
        await asyncio.sleep(0.5)

    async def _ask(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(f"{self._url}/v3/kv/{call}", json=body) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json(content_type=None)
            return found


def _end_of(prefix: str) -> str:
    """Return the first key after all those with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def copy_run(
    operation: bytes, pod: bytes, *, name: str, uid: str, pod_uid: str, number: int
) -> tuple[str, bytes, bytes]:
    """Return a copy of this run: its name and both stored objects. All lengths stay, so that
    lengths inside stay true.

    `name` ends with five digits. The first eight digits of the uids change; names are made of
    these.
    """
    other = f"{name[:-5]}{number:05d}"
    new, new_pod = f"{0xA0000000 + number:08x}", f"{0xB0000000 + number:08x}"
    changes = ((name, other), (uid[:8], new), (pod_uid[:8], new_pod))

    def change(stored: bytes) -> bytes:
        for old, fresh in changes:
            stored = stored.replace(old.encode(), fresh.encode())
        return stored

    return other, change(operation), change(pod)
