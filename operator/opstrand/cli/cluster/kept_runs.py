"""Runs as the API keeps them, also those whose Operation is gone, where it is installed behind the
API server.

Owns what a command says where it is not. Must not look for an Operation.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Protocol

from opstrand.cli.errors import CliError, ExitCode, is_kind_unknown
from opstrand.cli.output.log_lines import LineSink
from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Forbidden, NotFound
from opstrand.kube.resources import RUNS, Resource
from opstrand.types import Manifest

#: What to do where the API is not behind the API server.
INSTALL = (
    "The component `aggregated` has them: (cd manifests && kustomize edit add component "
    "aggregated) && kubectl apply -k manifests/; first read docs/reference/install.md."
)


class LogApi(Protocol):
    """What reading a kept log asks of the API server."""

    def read_log_lines(
        self, namespace: str, name: str, *, resource: Resource, **query: Any
    ) -> AsyncGenerator[bytes, None]: ...


def is_kept(body: Mapping[str, Any]) -> bool:
    """Whether this was read from the API, and is no object of the cluster."""
    return body.get("apiVersion") == RUNS.api_version


async def find_kept(api: KubeApi, project: str, run: str, error: CliError) -> Manifest:
    """Find a run by its name or uuid. Raises `error`, with what is missing, if there is none."""
    try:
        return await api.get(RUNS, project, run)
    except NotFound as absent:
        if is_kind_unknown(absent):
            raise _extend(
                error, f"Runs whose Operation is gone are not kept here. {INSTALL}"
            ) from None
        raise error from None
    except Forbidden as refusal:
        why = f"Runs whose Operation is gone were not looked at: {refusal.server_message}"
        raise _extend(error, why) from None
    except ApiError as failure:
        why = f"Whether its Operation is gone is not known: {failure.message}"
        raise CliError(error.message, hint=why, code=ExitCode.UNREACHABLE) from None


def _extend(error: CliError, hint: str) -> CliError:
    return CliError(error.message, hint=f"{error.hint} {hint}".strip(), code=error.code)


async def list_kept(
    api: KubeApi, project: str | None, *, labels: str = "", fields: str = ""
) -> list[Manifest]:
    """List all runs of a project, or of all. Raises CliError where they are not kept."""
    try:
        runs, _ = await api.list(RUNS, project, labels=labels, fields=fields)
    except NotFound as absent:
        if not is_kind_unknown(absent):
            raise
        raise CliError(
            "--all: runs whose Operation is gone are not kept in this cluster",
            hint=INSTALL,
            code=ExitCode.UNREACHABLE,
        ) from None
    return runs


async def remove_kept(api: KubeApi, project: str, body: Mapping[str, Any]) -> str | None:
    """Delete a run through the API, with its record and files. None if it was done.

    Otherwise it returns what to add to the message that its Operation was deleted: the API has
    nothing of it, cannot be reached by this kubeconfig, or the user may not. Raises ApiError where
    it does not answer, and for a run without an Operation.
    """
    uuid = run_uuid(body["metadata"]["uid"])
    try:
        await api.get(RUNS, project, uuid)
        await api.delete(RUNS, project, uuid)
    except NotFound as absent:
        if is_kept(body):
            raise
        return "; what an API keeps of it stays" if is_kind_unknown(absent) else ""
    except Forbidden as refusal:
        if is_kept(body):
            raise
        return f"; its record and files stay: {refusal.server_message}"
    except ApiError as failure:
        name = body["metadata"]["name"]
        raise CliError(
            f"{name} is not deleted: {failure.message}",
            hint=""
            if is_kept(body)
            else f"kubectl delete operation {name} deletes it and keeps its record and files.",
            code=ExitCode.UNREACHABLE,
        ) from None
    return None


async def show_kept_log(
    api: KubeApi, body: Mapping[str, Any], query: Mapping[str, Any], sink: LineSink
) -> None:
    """Show the log of a run whose Operation is gone. Raises CliError if no line of it is kept."""
    if not await _read_lines(api, body, query, sink.show):
        raise CliError(
            f"no line of the log of {body['metadata']['name']} is kept, whose Operation is gone",
            code=ExitCode.NOT_FOUND,
        )


async def explain_lost_log(api: KubeApi, body: Mapping[str, Any], pod: str) -> CliError:
    """Return the error for a run whose Pod is gone, where no line of its log was found."""
    name, code = body["metadata"]["name"], ExitCode.NOT_FOUND
    try:
        await api.list(RUNS, body["metadata"]["namespace"], limit=1)
    except NotFound as absent:
        if is_kind_unknown(absent):
            hint = f"The API may have kept its lines. {INSTALL}"
            return CliError(f"the Pod {pod} of {name} is gone", hint=hint, code=code)
    except ApiError:
        pass
    return CliError(f"the Pod {pod} of {name} is gone, and its log with it", code=code)


async def read_instead(
    api: LogApi, body: Mapping[str, Any], query: Mapping[str, Any], on_line: Callable[[bytes], None]
) -> bool:
    """Pass on what the API kept of the log of a run whose Pod is gone; whether it kept any."""
    try:
        return await _read_lines(api, body, query, on_line)
    except ApiError:
        return False


async def _read_lines(
    api: LogApi, body: Mapping[str, Any], query: Mapping[str, Any], on_line: Callable[[bytes], None]
) -> bool:
    project, uuid, found = body["metadata"]["namespace"], run_uuid(body["metadata"]["uid"]), False
    lines = api.read_log_lines(project, uuid, resource=RUNS, **query)
    async with contextlib.aclosing(lines):
        async for line in lines:
            on_line(line)
            found = True
    return found
