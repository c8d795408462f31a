"""What `ops.NAME` and `dag` mean for a run of a pipeline: its siblings, and the pipeline.

Owns the way from a run to the pipeline that its refs are about, and the stand-in for a sibling that
has no run. Must not search runs: the caller looks them up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from opstrand.core import names
from opstrand.core.phase import Phase, final_phase
from opstrand.core.recorded import read_status
from opstrand.core.resolving.refs import Ref
from opstrand.types import Body

#: Pipelines around a run, at most; a longer chain of owners is not ours.
_MOST_LEVELS = 16

#: Returns the run of a uid in the namespace of the referring run.
FindRun = Callable[[str], Body | None]


def find_pipeline(body: Body, find: FindRun) -> Body | None:
    """Return the nearest pipeline of kind dag around a run; None if there is none.

    The runs of a matrix refer to the siblings of the matrix.
    """
    run: Body | None = body
    for _ in range(_MOST_LEVELS):
        uid = "" if run is None else names.controller_uid(run)
        if not uid:
            return None
        run = find(uid)
        if run is not None and read_status(run).get("kind") == "dag":
            return run
    return None


def is_outside(body: Body, find: FindRun) -> bool:
    """Return whether no pipeline of kind dag is around a run: then `ops.NAME` is any run's name.

    A schedule at the top makes runs that stand alone. False while it is not known.
    """
    run: Body | None = body
    for _ in range(_MOST_LEVELS):
        if run is None or (read_status(run).get("kind") == "dag" and run is not body):
            return False
        uid = names.controller_uid(run)
        if not uid:
            return True
        run = find(uid)
    return False


def sibling_name(pipeline: Body, op: str) -> str:
    """Return the name of the run of an operation of this pipeline."""
    metadata = pipeline["metadata"]
    return names.child_name(str(metadata["name"]), names.run_uuid(str(metadata["uid"])), op)


def check_sibling(found: Body | None, pipeline: Body, body: Body, ref: Ref) -> Body | None:
    """Return the run that `ops.NAME` means for a run of this pipeline.

    `found` is the run of the sibling's name, which counts only if the pipeline made it. An
    operation that ended without a run has a stand-in, with its name and status alone.
    """
    if found is not None and names.controller_uid(found) == pipeline["metadata"]["uid"]:
        return found
    phase = final_phase(_read_without_run(body).get(ref.target, ""))
    return None if phase is None else _make_stand_in(pipeline, ref.target, phase)


def _read_without_run(body: Body) -> dict[str, str]:
    """Read the statuses of the operations without a run from the annotation of a child."""
    text = (body["metadata"].get("annotations") or {}).get(names.WITHOUT_RUN)
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    is_sound = isinstance(found, dict) and names.find_controller(body) is not None
    return {key: str(value) for key, value in found.items()} if is_sound else {}


def _make_stand_in(pipeline: Body, op: str, phase: Phase) -> dict[str, Any]:
    namespace = pipeline["metadata"]["namespace"]
    return {
        "metadata": {"name": op, "namespace": namespace, "uid": ""},
        "spec": {"name": op},
        "status": {"phase": phase.value},
    }
