"""Runs of `opstrand run --local`, for the commands with `--local`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opstrand.cli.cluster.lookup import (
    choose,
    explain_no_op,
    explain_path,
    name_child,
    strip_type,
)
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import check_project
from opstrand.core.names import maker_uid
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import is_child
from opstrand.core.recorded import read_status
from opstrand.local.claims import Claims
from opstrand.local.named import find_newest
from opstrand.local.records import Records, RunGone
from opstrand.types import Key, key_of

#: Without a cluster there is no context that names another project.
PROJECT = "default"


def list_records(project: str | None) -> list[dict[str, Any]]:
    """Return the local runs of a project, or of all projects for None.

    A run whose process died is shown as ended.
    """
    records = Records()
    where = None if project is None else check_project(project)
    found = list(records.load(where))
    if all(parse_phase(read_status(body)).is_final for body in found):
        return found
    _end_lost_runs(records, found)
    return list(records.load(where))


def _end_lost_runs(records: Records, bodies: list[dict[str, Any]]) -> None:
    # Import only if a run has not ended: the module needs a part of the engine, and listing runs
    # must be quick.
    from opstrand.local.lost import end_lost_runs

    end_lost_runs(records, Claims(records), bodies)


def find_record(run: str, project: str | None) -> dict[str, Any]:
    """Return the run that the text names as in a cluster, else the newest whose file has this name.

    Raises CliError NOT_FOUND.
    """
    (first, *ops), where = strip_type(run).split("/"), project or PROJECT
    found = list_records(where)
    try:
        body = _choose_record(first, found, where)
    except CliError as error:
        raise (explain_path(run, error) if ops else error) from None
    for op in ops:
        uid, name = body["metadata"]["uid"], name_child(body, op)
        made = [one for one in found if is_child(one, uid)]
        known = next((one for one in made if one["metadata"]["name"] == name), None)
        if known is None:
            raise explain_no_op(body, made, op)
        body = known
    return body


def _choose_record(run: str, found: list[dict[str, Any]], where: str) -> dict[str, Any]:
    if (
        all(body["metadata"]["name"] != run for body in found)
        and (newest := find_newest(run, found)) is not None
    ):
        return newest
    return choose(run, found, where)


def read_record(key: Key) -> dict[str, Any]:
    """Read the run again; callers poll this.

    Raises CliError NOT_FOUND if it was deleted.
    """
    records = Records()
    try:
        body = records.read(key)
        if parse_phase(read_status(body)).is_final:
            return body
        _end_lost_runs(records, [body])
        return records.read(key)
    except RunGone:
        raise CliError(f"the run {key[1]} was deleted", code=ExitCode.NOT_FOUND) from None


def order_record(
    body: Mapping[str, Any], make_ops: Callable[[Mapping[str, Any]], list[dict[str, Any]]]
) -> None:
    """Patch a run with the operations that `make_ops` returns for its current body.

    The process that executes the run sees the change. Raises CliError NOT_FOUND.
    """
    import jsonpatch

    try:
        Records().change(key_of(body), lambda now: dict(jsonpatch.apply_patch(now, make_ops(now))))
    except RunGone:
        raise CliError(
            f"the run {body['metadata']['name']} was deleted", code=ExitCode.NOT_FOUND
        ) from None


def remove_record(body: Mapping[str, Any]) -> None:
    """Remove a run, and then the runs that it made, as a cluster's garbage collector does.

    The process that executes them may make one more before it sees that their pipeline is gone.
    """
    records = Records()
    records.remove(key_of(body), str(body["metadata"]["uid"]))
    gone = {str(body["metadata"]["uid"])}
    while found := [one for one in records.load(key_of(body)[0]) if maker_uid(one) in gone]:
        for one in found:
            records.remove(key_of(one), str(one["metadata"]["uid"]))
            gone.add(str(one["metadata"]["uid"]))


def iter_attempts(key: Key) -> Iterator[int]:
    """Yield the attempts of a run that have a log, in order."""
    folder = Records().log_of(key, 0).parent
    yield from sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())
