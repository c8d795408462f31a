"""Why a run has no log, and what to do: wait only for what can still come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.cli.output.console import say
from opstrand.cli.output.describe import advise_run
from opstrand.cli.output.format import one_line, parse_time
from opstrand.core.names import MAIN_CONTAINER
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError
from opstrand.kube.resources import PODS
from opstrand.text import show_seconds, suggest
from opstrand.types import Body

_LONG = 300
#: Seconds that a program may be silent before its first line.
_SILENCE = 5


def explain_no_pod(body: Body, target: Target) -> CliError:
    """Return the error for a run without a Pod: it has ended, or its Pod may still come."""
    name, status = body["metadata"]["name"], read_status(body)
    what = "process" if target.is_local else "Pod"
    if parse_phase(status).is_final:
        return CliError(
            f"{name} has no log: it ended before it had a {what}{_describe_end(status)}",
            hint=advise_run(body, target),
            code=ExitCode.NOT_FOUND,
        )
    return CliError(
        f"{name} has no {what} yet ({status.get('reason') or 'not seen by the operator'})",
        hint=_waiting(body, target),
    )


async def explain_no_log(
    api: KubeApi, body: Body, pod: str, container: str, target: Target, message: str
) -> CliError:
    """Return the error for a Pod that has no log of this container."""
    name, status = body["metadata"]["name"], read_status(body)
    known = await list_containers(api, body["metadata"]["namespace"], pod)
    if known and container not in known:
        return CliError(
            f"--container {container!r}: the Pod of {name} has no such container"
            f"{suggest(container, known)}",
            code=ExitCode.NOT_FOUND,
        )
    if parse_phase(status).is_final:
        return CliError(
            f"{name} has no log of {container!r}: it ended before that started"
            f"{_describe_end(status)}",
            hint=advise_run(body, target),
            code=ExitCode.NOT_FOUND,
        )
    return CliError(
        f"{name} has no log: {message}",
        hint=_waiting(body, target)
        if container == MAIN_CONTAINER
        else f"{target.command('get', name, project=body['metadata']['namespace'])} says what it "
        "waits for.",
    )


def _describe_end(status: Mapping[str, Any]) -> str:
    suffix = f" ({status['reason']})" if status.get("reason") else ""
    message = str(status.get("message") or "")
    return f"{suffix}: {one_line(message, _LONG)}" if message else suffix


def _waiting(body: Body, target: Target) -> str:
    name, project = body["metadata"]["name"], body["metadata"]["namespace"]
    return f"{target.command('logs', '-f', name, project=project)} waits for it."


async def list_containers(
    api: KubeApi, namespace: str, pod: str, *, in_order: bool = False
) -> list[str]:
    """Return the containers of a Pod, main first, or `in_order` of their start; none if they cannot
    be read.
    """
    try:
        spec = (await api.get(PODS, namespace, pod)).get("spec") or {}
    except ApiError:
        return []
    main, init = spec.get("containers") or (), spec.get("initContainers") or ()
    listed = [*init, *main] if in_order else [*main, *init]
    return [str(one["name"]) for one in listed]


async def find_missing_start(
    api: Any, namespace: str, pod: str, container: str, begins: str
) -> float | None:
    """Return how many seconds a log lacks at its start: a node keeps only the newest file of a long
    log and does not say so. None: nothing is missing.

    The sign is the time between the start of the container and the first line.
    """
    statuses = ((await api.get(PODS, namespace, pod)).get("status") or {}).get(
        "containerStatuses"
    ) or ()
    state = next((one.get("state") or {} for one in statuses if one.get("name") == container), {})
    started = parse_time((state.get("running") or state.get("terminated") or {}).get("startedAt"))
    first = parse_time(begins[:19] + "Z" if begins else None)
    if started is None or first is None:
        return None
    silence = (first - started).total_seconds()
    return silence if silence >= _SILENCE else None


def report_missing_start(seconds: float) -> None:
    say(
        f"(this begins {show_seconds(seconds)} after the container started: of a long log its node "
        "keeps the newest part only)",
        "dim",
    )
