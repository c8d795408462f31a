"""The metrics of runs as the API keeps them, else as they are in the container of a running one.

Owns what a command says where neither is to be had. Must not draw.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opstrand.cli.cluster.connection import Cluster, open_cluster
from opstrand.cli.cluster.copying import download
from opstrand.cli.cluster.kept_runs import INSTALL, is_kept
from opstrand.cli.errors import CliError, ExitCode, is_kind_unknown
from opstrand.cli.histories import Wanted, make_history, read_folder
from opstrand.cli.options import Target
from opstrand.cli.output.charts import History
from opstrand.core.names import MAIN_CONTAINER, run_uuid
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import RUNS

_PART = "events/metric"


async def read_kept(
    target: Target, bodies: Sequence[Mapping[str, Any]], wanted: Wanted
) -> list[History]:
    """Read the metrics of runs. Raises CliError for one whose metrics cannot be reached."""
    found = []
    async with open_cluster(target) as cluster:
        for body in bodies:
            async with cluster.waiting():
                try:
                    found += await _ask(cluster, body, wanted)
                except NotFound as error:
                    if not _is_running(body):
                        raise _explain(body, error) from None
                    found += await _copy(target, body, wanted, error)
    return found


async def _ask(cluster: Cluster, body: Mapping[str, Any], wanted: Wanted) -> list[History]:
    metadata = body["metadata"]
    query = {
        "names": ",".join(wanted.names) or None,
        "resources": "true" if wanted.is_of_machine else None,
        "sample": wanted.most,
    }
    project, uuid = metadata["namespace"], run_uuid(metadata["uid"])
    async with cluster.api.open_part("GET", RUNS, project, uuid, _PART, query=query) as answer:
        found = (await answer.json())["items"]
    return [make_history(body, one["name"], one["columns"]) for one in found]


def _is_running(body: Mapping[str, Any]) -> bool:
    return not is_kept(body) and parse_phase(read_status(body)) is Phase.RUNNING


async def _copy(
    target: Target, body: Mapping[str, Any], wanted: Wanted, error: NotFound
) -> list[History]:
    """Read the files in the run's container, which must have `tar`."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        try:
            await download(target, body["metadata"]["name"], wanted.folder, place, MAIN_CONTAINER)
        except CliError:
            raise _explain(body, error) from None
        return list(read_folder(place, body, wanted))


def _explain(body: Mapping[str, Any], error: NotFound) -> CliError:
    name = body["metadata"]["name"]
    if is_kind_unknown(error):
        return CliError(
            f"the metrics of {name} cannot be reached: the API that keeps them is not installed "
            "behind the API server of this cluster",
            hint=INSTALL,
            code=ExitCode.UNREACHABLE,
        )
    return CliError(f"{name}: {error.server_message}", code=ExitCode.NOT_FOUND)
