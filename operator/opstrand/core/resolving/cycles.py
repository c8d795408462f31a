"""Find runs that wait for each other, so that none would ever start.

Such a cycle is an error of each of its runs. Owns the search, on the bodies of runs that are not
frozen yet. Must not validate refs beyond that: a wrong ref is reported when its own run is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from opstrand.core.names import run_uuid
from opstrand.core.phase import is_frozen, parse_phase
from opstrand.core.recorded import read_status
from opstrand.core.resolving.refs import Ref, parse_ask, parse_ref
from opstrand.core.resolving.upstream_values import is_early
from opstrand.errors import SpecError
from opstrand.types import Body

#: Kinds of events of a run that has not started.
_EARLY = frozenset(f"run_status_{status}" for status in ("created", "compiled", "queued"))
#: Returns the run that a ref of a run names.
Find = Callable[[Ref, Body], Body | None]


def check_circle(body: Body, find: Find) -> None:
    """Follow what this run waits for, transitively, as far as nothing has started.

    `find` returns the run that a ref names, as it does for every other run of the project. Raises
    SpecError RefToItself if the way leads back.
    """
    own, name = run_uuid(body["metadata"]["uid"]), body["metadata"]["name"]
    ways: list[tuple[str, tuple[str, ...], Body]] = [
        (path, (name,), other) for path, other in _iter_awaited(body, find)
    ]
    seen: set[str] = set()
    while ways:
        path, names, other = ways.pop()
        uuid = run_uuid(other["metadata"]["uid"])
        # A ref straight to the run itself is refused elsewhere, with its own message.
        if uuid == own and len(names) > 1:
            raise SpecError(
                "RefToItself",
                f"these runs wait for each other: {' -> '.join((*names, name))}",
                path,
            )
        if uuid != own and uuid not in seen:
            seen.add(uuid)
            further = (*names, other["metadata"]["name"])
            ways += [(path, further, one) for _, one in _iter_awaited(other, find)]


def _iter_awaited(body: Body, find: Find) -> Iterator[tuple[str, Body]]:
    """Yield each place of a ref without which the run cannot start, and the run it waits for."""
    status = read_status(body)
    if is_frozen(status) or parse_phase(status).is_final:
        return
    params = (body.get("spec") or {}).get("params")
    for param, written in params.items() if isinstance(params, Mapping) else ():
        if not isinstance(written, Mapping) or not isinstance(written.get("ref"), str):
            continue
        try:
            ref, early = parse_ref(written["ref"]), is_early(parse_ask(written.get("value")))
        except SpecError:
            # The other run fails because of this error by itself, which ends the wait.
            continue
        other = None if early or ref.kind == "dag" else find(ref, body)
        if other is not None:
            yield f"params.{param}.ref", other
    yield from _iter_events(body, find)


def _iter_events(body: Body, find: Find) -> Iterator[tuple[str, Body]]:
    """Yield the events that cannot happen before the other run starts."""
    events = (body.get("spec") or {}).get("events")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        kinds = event.get("kinds") if isinstance(event, Mapping) else None
        if not isinstance(kinds, list) or _EARLY.intersection(map(str, kinds)):
            continue
        try:
            other = find(parse_ref(str(event.get("ref"))), body)
        except SpecError:
            continue
        if other is not None:
            yield f"events[{index}].ref", other
