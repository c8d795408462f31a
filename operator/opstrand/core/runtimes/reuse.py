"""Take an earlier run's result in place of a run of one's own: the last gate before any objects.

It acts on the decision to freeze a run, which knows the key of the result. Owns who takes a result,
what is copied of the earlier run, and the sentence that says why it was taken or not. Must not look
for a run: the shell does, by the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from opstrand.core import names
from opstrand.core.lifecycle.cache_key import CacheKey, count_values
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced, ending_times
from opstrand.core.limits import to_json
from opstrand.core.phase import CACHE_HIT, CACHE_PENDING, Phase, parse_phase
from opstrand.core.recorded import parse_moment, read_status
from opstrand.core.resolving.upstream_values import place_artifact
from opstrand.core.runtimes.gates import wait
from opstrand.text import list_names, shorten, show_seconds
from opstrand.types import Body

#: Runs whose children take results unless their file says otherwise.
_PIPELINES = ("dag", "matrix")
#: What the status of a run that was not run itself has of its freeze.
_KEPT = ("inputs", "tags", "meta", "description", "component", "components", "upstream")
#: What every write of a run that is not frozen has, and is known with its file.
_FIRST = ("kind", "hooks")
#: Names that a sentence lists.
_FEW = 5
_MESSAGE = 512


def is_on(key: CacheKey, above: Sequence[str], by_default: bool = True) -> bool:
    """Return whether a run takes results. `above`: the kinds of its pipelines, the nearest first.
    `by_default`: whether the runs of a pipeline do, whose file says nothing.

    The runs of a schedule are there to run each time.
    """
    if not key.is_default:
        return True
    return by_default and bool(above) and above[0] in _PIPELINES and above[-1] != "schedule"


def is_fresh(key: CacheKey, finished_at: object, now: datetime) -> bool:
    """Return whether a result may still be taken that is of this time."""
    if key.ttl is None:
        return True
    finished = parse_moment(finished_at)
    return finished is not None and (now - finished).total_seconds() <= key.ttl


def reuse_result(snapshot: Snapshot, decision: Decision, original: Body) -> Decision:
    """End a run with the result of an earlier one: one write, and no Pod."""
    key, frozen = decision.cache, decision.status or {}
    assert key is not None
    status, uuid = read_status(original), names.run_uuid(str(original["metadata"]["uid"]))
    name = str(original["metadata"]["name"])
    artifacts = [one for one in frozen.get("artifacts") or () if one.get("isInput")]
    taken = [_place(one, uuid) for one in status.get("artifacts") or () if not one.get("isInput")]
    facts: dict[str, Any] = {
        **{name: frozen[name] for name in _KEPT if name in frozen},
        **key.as_facts(),
        "original": {"uuid": uuid, "name": name, "kind": "cache"},
        "outputs": {**(frozen.get("outputs") or {}), **(status.get("outputs") or {})},
        "artifacts": [*artifacts, *taken],
        **ending_times(snapshot, Phase.SUCCEEDED),
    }
    message = f"taken from {name} because {_describe_same(key)}"
    after = advanced(snapshot, Phase.SUCCEEDED, CACHE_HIT, message, **facts)
    return Decision(_with_first(after, decision), freeze=True)


def _with_first(status: Status | None, decision: Decision) -> Status:
    known = decision.status or {}
    return {**(status or {}), **{key: known[key] for key in _FIRST if key in known}}


def _place(artifact: Mapping[str, Any], uuid: str) -> dict[str, Any]:
    """Return an artifact with its path as it is for a reader that knows another run's folder."""
    path = artifact.get("path")
    return {**artifact, "path": place_artifact(str(path), uuid)} if path else dict(artifact)


def wait_for(snapshot: Snapshot, decision: Decision, original: Body) -> Decision:
    """Wait for a run that has started to compute the same. If it fails, this one runs itself."""
    message = f"waits for {original['metadata']['name']}, which computes the same"
    waiting = wait(snapshot, CACHE_PENDING, message, patient=True)
    return replace(waiting, status=_with_first(waiting.status, decision))


def run_anyway(
    snapshot: Snapshot, decision: Decision, near: Sequence[Body], now: datetime
) -> Decision:
    """Return the decision to run, with the key by which later runs find the result.

    `near` are earlier runs of the same component, the newest first: the sentence is about the one
    with the fewest differences.
    """
    key = decision.cache
    assert key is not None
    message, name = "no earlier run of the same component", ""
    found = [(list(_list_differences(key, body)), body) for body in near]
    if found:
        differences, body = min(found, key=lambda one: len(one[0]))
        name = str(body["metadata"]["name"])
        message = _describe_missed(key, differences, body, name, now)
    facts = key.as_facts()
    facts["cache"] |= {"message": shorten(f"not taken: {message}", _MESSAGE)}
    facts["cache"] |= {"run": name} if name else {}
    return replace(decision, status={**(decision.status or {}), **facts})


def run_without_key(decision: Decision) -> Decision:
    """Return the decision to run, with the reason why it neither takes a result nor gives one."""
    assert decision.cache is not None
    secrets = decision.cache.secrets
    verb = "look like secrets" if len(secrets) > 1 else "looks like a secret"
    message = (
        f"not taken: {_list(secrets)} {verb}, and such a run has no key: use a connection or a "
        "Kubernetes secret, or leave it out of cache.io"
    )
    facts = {"cache": {"message": shorten(message, _MESSAGE)}}
    return replace(decision, status={**(decision.status or {}), **facts})


# -- sentences -------------------------------------------------------------------------------------


def _describe_same(key: CacheKey) -> str:
    counted = [name for values in key.values.values() for name in values]
    values = f"the same values ({_list(counted)})" if counted else "no values"
    parts = [name for name in key.parts if name != "run"]
    same = f", and with the same {', '.join(parts)}" if parts else ""
    return f"it ran the same component with {values}{same}"


def _describe_missed(
    key: CacheKey, differences: Sequence[str], body: Body, name: str, now: datetime
) -> str:
    if differences:
        is_one = len(differences) == 1 and not differences[0].endswith("s")
        return f"{_list(differences)} {'differs' if is_one else 'differ'} from {name}"
    status, control = read_status(body), (body.get("spec") or {}).get("control") or {}
    phase, finished = parse_phase(status), parse_moment(status.get("finishedAt"))
    if control.get("invalidate"):
        return f"{name}, which is the same, is invalidated"
    if phase is not Phase.SUCCEEDED:
        return f"{name}, which is the same, is {phase.value}"
    if finished is not None and not is_fresh(key, status.get("finishedAt"), now):
        age = show_seconds((now - finished).total_seconds())
        return f"{name}, which is the same, ended {age} ago (cache.ttl: {key.ttl} s)"
    return f"cache.io or cache.sections differ from those of {name}"


def _list_differences(key: CacheKey, body: Body) -> Iterator[str]:
    """Yield what is not the same in an earlier run of the same component."""
    status = read_status(body)
    uuid = names.run_uuid(str(body["metadata"]["uid"]))
    found = {"inputs": status.get("inputs") or {}, "outputs": status.get("frozenOutputs") or {}}
    theirs = count_values(found, uuid, key.io)
    for section, own in key.values.items():
        other = theirs[section]
        yield from (
            f"{section[:-1]} {name}"
            for name in dict.fromkeys((*own, *other))
            if to_json(own.get(name)) != to_json(other.get(name))
        )
    parts = (status.get("cache") or {}).get("parts") or {}
    for name, digest in key.parts.items():
        if parts.get(name, digest) != digest:
            yield "the rest of run" if name == "run" else name


def _list(words: Sequence[str]) -> str:
    return list_names(words[:_FEW]) + (f" and {len(words) - _FEW} more" if words[_FEW:] else "")
