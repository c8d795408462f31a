"""`opstrand resume`: runs that are over run again, and suspended schedules start runs again.

Owns what is said about a run that cannot be resumed. Must not start a run: the operator does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.cli.bulk import control, for_all
from opstrand.cli.command import execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.cli.runs import Runs
from opstrand.core.lifecycle.resume import describe_obstacle, make_control
from opstrand.core.lifecycle.snapshot import describe_leaving
from opstrand.core.names import find_controller
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.runs.members import is_schedule
from opstrand.types import Body, JsonPatch, Manifest


def resume_all(target: Target, names: Sequence[str]) -> int:
    """Resume every run; the exit code is the worst of all."""
    from opstrand.cli.cluster.kept_runs import is_kept

    async def resume(runs: Runs, body: Manifest) -> str:
        if is_schedule(body) and not parse_phase(read_status(body)).is_final:
            await runs.order(body, control("suspend", value=False))
            return "resumed"
        if is_kept(body):
            raise _refuse(body, "its Operation is gone")
        if target.is_local:
            raise _refuse(body, "its process ended with it")
        if leaving := await _find_leaving(runs, body):
            raise _refuse(body, leaving)
        await runs.order(body, _make_ops)
        return "resumed"

    return execute(for_all(target, names, resume, with_gone=True))


def _make_ops(body: Mapping[str, Any]) -> JsonPatch:
    if obstacle := describe_obstacle(body):
        raise CliError(obstacle)
    return [{"op": "add", "path": "/spec/control", "value": make_control(body)}]


def _refuse(body: Body, why: str) -> CliError:
    name = body["metadata"]["name"]
    return CliError(
        f"'{name}' cannot be resumed: {why}", hint=f"A new run of the same: opstrand restart {name}"
    )


async def _find_leaving(runs: Runs, body: Body) -> str:
    """Return why the pipeline of a run wants it no more; empty if it does, or if there is none."""
    controller = find_controller(body)
    if controller is None:
        return ""
    name = str(controller["name"])
    try:
        pipeline: Manifest | None = await runs.find(name)
    except CliError as error:
        if error.code != ExitCode.NOT_FOUND:
            raise
        pipeline = None
    return describe_leaving(pipeline, name, str(controller["uid"]))
