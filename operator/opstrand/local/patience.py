"""How long a local run waits for a run that does not exist, and how the user creates that one.

A cluster waits for an hour, because manifests are applied in any order. On a laptop only the user
or a program that runs can create a run. Owns both rules. Must not wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime

from opstrand.core.compiling.prepare import prepare
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import parse_moment, read_status
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.types import Body, Key, key_of

#: In these phases a run does nothing that could create another run.
_IDLE = frozenset({Phase.WAITING, Phase.QUEUED})


class Patience:
    """How many seconds a run waits, by what else runs. `now` is the start of the session."""

    def __init__(self, settings: Settings, now: datetime) -> None:
        self._settings = settings
        self._alone_since = now

    def seconds_of(self, body: Body, bodies: Iterable[Body], now: datetime) -> int:
        """Return the cluster's patience while another run could create the missing one.

        Otherwise return the short patience, counted from when the last such run ended.
        """
        longest = self._settings.upstream_patience
        if any(_may_create(other) for other in bodies if key_of(other) != key_of(body)):
            self._alone_since = now
            return longest
        history = read_status(body).get("history") or ()
        waits_since = parse_moment(history[-1].get("at") if history else None) or now
        in_company = max(0.0, (self._alone_since - waits_since).total_seconds())
        return min(longest, self._settings.local_patience + math.ceil(in_company))


def _may_create(body: Body) -> bool:
    phase = parse_phase(read_status(body))
    return not phase.is_final and phase not in _IDLE


def explain_wait(
    body: Body, settings: Settings, find: Callable[[str, str], Body | None]
) -> str | None:
    """Return what the user can do for a run that waits; None if the user can do nothing."""
    (project, name), status = key_of(body), read_status(body)
    if parse_phase(status) is not Phase.WAITING:
        return None
    where = "" if project == "default" else f" -p {project}"
    if status.get("reason") == "AwaitingApproval":
        return f"{name} waits for approval: opstrand approve --local {name}{where}"
    missing = (
        _list_missing(body, settings, find) if status.get("reason") == "UpstreamNotFound" else []
    )
    if not missing:
        return None
    first = missing[0]
    return (
        f"no local run has the name {' or '.join(missing)}; opstrand run --local -f FILE -n "
        f"{first}{where} creates one, as does a "
        f"file with `name: {first}`. {name} waits {settings.local_patience} s for it "
        "(OPSTRAND_LOCAL_PATIENCE), and as long as "
        "other local runs are running"
    )


def _list_missing(
    body: Body, settings: Settings, find: Callable[[str, str], Body | None]
) -> list[str]:
    try:
        refs = prepare(body, settings=settings).refs
    except SpecError:
        return []
    project: Key = key_of(body)
    return sorted(
        ref.target for ref in refs if ref.kind == "ops" and find(project[0], ref.target) is None
    )
