"""What `opstrand restart --copy` asks of the operator: the files that the new run starts with.

Must not copy: an init step of the new run does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from opstrand.cli.errors import CliError
from opstrand.cli.options import Target
from opstrand.core.identity import read_copied
from opstrand.core.names import COPIED, RESTART_OF, run_uuid
from opstrand.core.recorded import read_status
from opstrand.types import Body

_WITHOUT_FILES = ("dag", "matrix", "schedule")


def copy_annotation(target: Target, body: Body, artifacts: Sequence[str]) -> dict[str, str]:
    """Return the annotation of a copy. Without `artifacts`, it gets all files of the run.

    Raises CliError for a run without files that could be copied, SpecError for an odd path.
    """
    name, kind = body["metadata"]["name"], read_status(body).get("kind")
    if target.is_local:
        raise CliError(
            f"the files of '{name}' are not copied on this machine: runs of --local share a folder",
            hint="Read them by a ref: -P data=@RUN.artifacts",
        )
    if kind in _WITHOUT_FILES:
        raise CliError(
            f"'{name}' is a run of kind {kind}, which has no files of its own to copy",
            hint="Leave out --copy and --artifacts.",
        )
    paths = [path.strip("/") for path in artifacts]
    notes = {COPIED: json.dumps({"paths": paths} if paths else {})}
    read_copied({"annotations": {**notes, RESTART_OF: run_uuid(body["metadata"]["uid"])}})
    return notes
