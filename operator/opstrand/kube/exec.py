"""A command in a container of a Pod, through the API server: a WebSocket in which the first byte of
each message names the channel.

Owns that protocol (`v5.channel.k8s.io`, which closes one direction alone; every supported API
server and kubelet uses it). Must not know terminals: bytes come in and go out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Forbidden, Invalid, NotFound, Unreachable
from opstrand.kube.resources import PODS

_PROTOCOL = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_KINDS: dict[int, type[ApiError]] = {400: Invalid, 403: Forbidden, 404: NotFound}

#: Columns and rows of a terminal.
Size = tuple[int, int]


async def execute(
    api: KubeApi,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str,
    stdin: AsyncIterator[bytes] | None = None,
    sizes: AsyncIterator[Size] | None = None,
    on_output: Callable[[bytes], object],
    on_error: Callable[[bytes], object],
) -> int:
    """Run the command and return its exit code.

    `sizes`: the command gets a terminal of this size, and each later one. Raises ApiError if the
    command cannot be started, and what `on_output` and `on_error` raise of a closed pipe.
    """
    what = f"run a command in pod {namespace}/{pod}"
    query = [("container", container), *(("command", word) for word in command)]
    query += [("stdout", "true"), ("stderr", "false" if sizes else "true")]
    query += [("stdin", "true")] if stdin else []
    query += [("tty", "true")] if sizes else []
    try:
        async with api.session.http.ws_connect(
            api.session.server + PODS.path(namespace, pod, "exec"),
            params=query,
            protocols=[_PROTOCOL],
            max_msg_size=0,
        ) as socket:
            senders = [
                asyncio.create_task(_send_input(socket, stdin)) if stdin else None,
                asyncio.create_task(_send_sizes(socket, sizes)) if sizes else None,
            ]
            try:
                return await _receive(socket, what, {_STDOUT: on_output, _STDERR: on_error})
            finally:
                tasks = [task for task in senders if task is not None]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    except aiohttp.WSServerHandshakeError as error:
        kind = _KINDS.get(error.status, ApiError)
        raise kind(f"could not {what}: HTTP {error.status}", status=error.status) from error
    except BrokenPipeError:
        # The reader of the output went away, and not the API server.
        raise
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"could not {what}: {error or type(error).__name__}", status=0) from error


async def _send_input(socket: aiohttp.ClientWebSocketResponse, stdin: AsyncIterator[bytes]) -> None:
    async for piece in stdin:
        await socket.send_bytes(bytes([_STDIN]) + piece)
    await socket.send_bytes(bytes([_CLOSE, _STDIN]))


async def _send_sizes(socket: aiohttp.ClientWebSocketResponse, sizes: AsyncIterator[Size]) -> None:
    async for width, height in sizes:
        size = json.dumps({"Width": width, "Height": height}).encode()
        await socket.send_bytes(bytes([_RESIZE]) + size)


async def _receive(
    socket: aiohttp.ClientWebSocketResponse,
    what: str,
    outputs: dict[int, Callable[[bytes], object]],
) -> int:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel == _ERROR:
            return _read_status(content, what)
        if channel in outputs and content:
            outputs[channel](content)
    raise Unreachable(f"could not {what}: the connection ended before the command did", status=0)


def _read_status(content: bytes, what: str) -> int:
    """Return the exit code of a finished command. Raises ApiError for one that did not start."""
    status: dict[str, Any] = json.loads(content)
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise Invalid(f"could not {what}: {status.get('message')}", status=400)
