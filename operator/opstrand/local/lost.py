"""Write the end of runs whose process died, because no other process would ever write it.

Owns that end. Must not touch a run that a living process executes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.lifecycle.transitions import end
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.local.claims import Claims
from opstrand.local.records import Records, RunGone
from opstrand.settings import Settings
from opstrand.types import Body, Manifest, OperationBody, key_of

REASON = "ProcessLost"
_MESSAGE = (
    "the `opstrand run --local` that executed it ended without it; programs that it had started "
    "may still run"
)


def is_lost(body: Body) -> bool:
    """Whether this run ended because its process died."""
    return bool(read_status(body).get("reason") == REASON)


def end_lost_runs(records: Records, claims: Claims, bodies: Iterable[Body]) -> None:
    """Write the end of each of these runs that has none and that no process executes."""
    for key in (key_of(body) for body in bodies if not parse_phase(read_status(body)).is_final):
        with suppress(RunGone):
            if not claims.is_claimed(key):
                # Check again under the lock of the run: it may have ended, or another run may have
                # its name.
                records.change(key, lambda body, key=key: _end(body, claims.is_claimed(key)))  # type: ignore[misc]


def _end(body: Manifest, is_claimed: bool) -> Manifest:
    if is_claimed or parse_phase(read_status(body)).is_final:
        return body
    snapshot = Snapshot(
        cast(OperationBody, body),
        SpecError("InternalError", "not prepared"),
        datetime.now(UTC),
        Settings(),
        refuse,
    )
    status: Any = end(snapshot, Phase.FAILED, REASON, _MESSAGE).status
    return {**body, "status": status}
