"""`opstrand port-forward`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, cluster_options
from opstrand.cli.output.console import say
from opstrand.core.recorded import read_status

_MOST = 65535


@command
@cluster_options
@click.argument("run")
@click.argument("ports", nargs=-1, metavar="[[LOCAL:]PORT...]")
def port_forward(target: Target, run: str, ports: tuple[str, ...]) -> int:
    """Reach the ports of a service from here.

    Without PORT it forwards all ports of the service, each to the same local port; LOCAL 0 picks
    any free port. Ctrl-C ends it.
    """
    return execute(_forward(target, run, [parse_pair(text) for text in ports]))


def parse_pair(text: str) -> tuple[int, int]:
    """Return `8000` or `9000:8000` as (local, port). Raises CliError for anything else."""
    local, _, port = text.rpartition(":")
    pair = (local or port, port)
    if (
        not all(part.isascii() and part.isdecimal() and int(part) <= _MOST for part in pair)
        or int(port) == 0
    ):
        raise CliError(f"{text!r} is no pair of ports: expected PORT or LOCAL:PORT")
    return int(pair[0]), int(pair[1])


async def _forward(target: Target, run: str, pairs: list[tuple[int, int]]) -> int:
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.waiting import Interrupted, wait_bounded

    async with open_cluster(target) as cluster, AsyncExitStack() as stack:
        body = await cluster.find(run)
        service = _service_of(body)
        over = asyncio.Event()
        for local, port in pairs or [(port, port) for port in service["ports"]]:
            try:
                server = await asyncio.start_server(
                    _Relay(cluster, body["metadata"]["name"], port, over).serve, "127.0.0.1", local
                )
            except OSError as error:
                raise CliError(
                    f"port {local} cannot be listened on: {error.strerror}",
                    hint=f"Choose another: {local + 1}:{port}",
                ) from None
            await stack.enter_async_context(server)
            path = (
                ""
                if "/rewrite-" in service["baseUrl"]
                else f"  (a program that knows its base_url serves under {service['baseUrl']}/)"
            )
            say(
                f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} is port {port} of "
                f"{body['metadata']['name']}{path}"
            )
        try:
            await wait_bounded(over.wait(), seconds=None)
        except Interrupted as error:
            return error.code
    return ExitCode.STOPPED


def _service_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the service of the status. Raises CliError if the run is no service, or is over."""
    from opstrand.core.phase import parse_phase

    name, status = body["metadata"]["name"], read_status(body)
    if parse_phase(status).is_final:
        raise CliError(f"{name} has ended ({parse_phase(status).value})", code=ExitCode.STOPPED)
    if "service" not in status:
        message = (
            f"it is a {status['kind']}"
            if status.get("kind")
            else "the operator has not looked at it yet"
        )
        raise CliError(
            f"{name} has no ports: {message}", hint="Only runs of kind service have some."
        )
    found: Mapping[str, Any] = status["service"]
    return found


class _Relay:
    """Forwards each connection to a local port to the Pod that the run's status names then."""

    def __init__(self, cluster: Any, run: str, port: int, over: asyncio.Event) -> None:
        self._cluster, self._run, self._port, self._over = cluster, run, port, over

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from opstrand.errors import PlatformError
        from opstrand.kube.port_forward import forward

        try:
            pod = await self._find_pod()
            if pod:
                refused = await forward(
                    self._cluster.api,
                    self._cluster.project,
                    pod,
                    self._port,
                    reader=reader,
                    writer=writer,
                )
                if refused:
                    say(f"port {self._port}: {refused.strip()}", "red")
        except (PlatformError, CliError) as error:
            say(f"error: {error}", "red")
        except ConnectionError:
            # The client closed the connection.
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _find_pod(self) -> str:
        body = await self._cluster.find(self._run)
        try:
            _service_of(body)
        except CliError:
            self._over.set()
            raise
        pod = str((read_status(body).get("pod") or {}).get("name") or "")
        if not pod:
            say(f"{self._run} has no Pod at present ({body['status'].get('reason')})", "yellow")
        return pod
