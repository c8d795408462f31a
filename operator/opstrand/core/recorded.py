"""Read the status of a run: only what has its proper shape.

A person with the rights can write any status. Every reader goes through `read_status`, so that none
of them can fail on a missing key, a wrong type or an odd text; the operator's next write then
removes what was dropped here. Owns the shape of each key for readers. Must not change a sound
status: it is returned as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import FunctionType
from typing import Any, cast

from opstrand.core import names
from opstrand.types import Body, RunStatus

_Check = Callable[[Any], bool]


def read_status(body: Body) -> RunStatus:
    """Return the sound part of the status of an Operation."""
    status = body.get("status")
    return cast(RunStatus, _read_keys(status, _KEYS)) if isinstance(status, Mapping) else {}


def read_own_status(body: Body) -> RunStatus:
    """Return the status for the operator, with the names of the run's own objects only.

    They follow from the run's name; any other name would mean a foreign object.
    """
    status, metadata = read_status(body), body["metadata"]
    name, uuid = str(metadata["name"]), names.run_uuid(str(metadata["uid"]))
    if "service" in status:
        is_own = status["service"]["name"] == names.service_name(name, uuid)
        return status if is_own else _without(status, "service", "pod")
    if status.get("kind") == "service":
        # The facts of the service are lost: it is frozen again, under the same names.
        return _without(status, "pod") if "pod" in status else status
    expected = names.pod_name(name, uuid, status.get("attempt", 0))
    if not status.get("pod") or status["pod"].get("name") == expected:
        return status
    return {**status, "pod": {**status["pod"], "name": expected}}


def _without(status: RunStatus, *keys: str) -> RunStatus:
    return cast(RunStatus, {key: value for key, value in status.items() if key not in keys})


def parse_moment(text: object) -> datetime | None:
    """Parse an RFC 3339 time with its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


# -- shapes ----------------------------------------------------------------------------------------


def _read_keys(found: Mapping[Any, Any], checks: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping without the keys whose value has another shape.

    If there are none, it is the very same mapping.
    """
    # A start of the operator reads the status of every run: here is no call that can be spared.
    wrong: list[Any] = []
    changed: dict[str, Any] = {}
    for key, value in found.items():
        check = checks.get(key) if isinstance(key, str) else _refuse
        if check is None:
            continue
        if type(check) is FunctionType:
            if not check(value):
                wrong.append(key)
        elif not isinstance(value, list if type(check) is list else dict | Mapping):
            wrong.append(key)
        elif (after := _read_part(value, check)) is not value:
            changed[key] = after
    kept = {key: value for key, value in found.items() if key not in wrong} if wrong else found
    return {**kept, **changed} if changed else kept


def _read_part(value: Any, check: Any) -> Any:
    """Return a mapping or a list of mappings with its own keys checked.

    An item without a required key is left out.
    """
    if isinstance(check, dict):
        return _read_keys(value, check)
    (item_checks, needed), items, is_same = check, [], True
    for item in value:
        sound = _read_keys(item, item_checks) if isinstance(item, dict | Mapping) else {}
        if needed <= sound.keys():
            items.append(sound)
            is_same = is_same and sound is item
        else:
            is_same = False
    return value if is_same else items


def _refuse(value: Any) -> bool:
    return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object_name(value: Any) -> bool:
    """Return whether a text can be one part of a URL's path."""
    return (
        isinstance(value, str) and len(value) <= 253 and _OBJECT_NAME.fullmatch(value) is not None
    )


def _is_moment(value: Any) -> bool:
    return parse_moment(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_values(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_limit(value: Any) -> bool:
    """Accept a whole number of seconds or tries, as a template may give it."""
    try:
        return value is None or (
            not isinstance(value, bool) and 0 <= int(float(str(value))) <= _MOST
        )
    except (ValueError, OverflowError):
        return False


def _is_policy(value: Any) -> bool:
    rules = value.get("rules") if isinstance(value, Mapping) else value
    return rules is None or (
        isinstance(rules, list)
        and all(isinstance(rule, Mapping) and _is_rule(rule) for rule in rules)
    )


def _is_rule(rule: Mapping[str, Any]) -> bool:
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    is_by_code = codes is None or (
        isinstance(codes, Mapping) and isinstance(codes.get("values") or [], list)
    )
    return (
        is_by_code
        and isinstance(conditions, list)
        and all(isinstance(one, Mapping) for one in conditions)
    )


def _is_culling(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and _is_limit(value.get("timeout")))


def _is_probe(value: Any) -> bool:
    http = value.get("http") if isinstance(value, Mapping) else value
    return http is None or (isinstance(http, Mapping) and _is_port(http.get("port")))


def _is_children(value: Any) -> bool:
    """Check the counts and letters of a pipeline's children; `pipelines.letters` reads them."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("states"), str)
        and isinstance(value.get("failures") or [], list)
        and all(_is_count(value.get(key, 0)) for key in ("total", "concurrency"))
        and ("at" not in value or _is_moment(value["at"]))
    )


def _is_search(value: Any) -> bool:
    """Check what a matrix froze of its search; its results are read word by word."""
    return (
        isinstance(value, Mapping)
        and _is_count(value.get("missing", 0))
        and isinstance(value.get("seed", 0), int)
        and all(isinstance(value.get(key, ""), str) for key in ("results", "promotions"))
        and isinstance(value.get("earlyStopping") or [], list)
    )


def _is_best(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(isinstance(value.get(key), str) for key in ("name", "uuid"))
        and _is_number(value.get("value"))
    )


def _is_schedule(value: Any) -> bool:
    """Check what a schedule keeps: its section, counts, and one entry for each of some ticks."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("written"), Mapping)
        and isinstance(value.get("gap") or {}, Mapping)
        and all(_are_mappings(value.get(key) or []) for key in ("active", "results"))
        and all(_is_count(value.get(key, 0)) for key in _COUNTED)
        and all(_is_moment(value[key]) for key in ("handled", "next") if key in value)
    )


def _is_hooks(value: Any) -> bool:
    """Check the letters of a run's hooks; `pipelines.hooks` reads them."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("states"), str)
        and _are_mappings(value.get("problems") or [])
        and _is_count(value.get("round", 0))
    )


def _are_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


_COUNTED = ("generation", "runs", "succeeded", "failed", "missed")


def _is_port(value: Any) -> bool:
    return _is_count(value) and 0 < value < 65536


def _is_service(value: Any) -> bool:
    """Check everything that clients need to reach a service: one without it does not count."""
    if not isinstance(value, Mapping) or not all(
        isinstance(value.get(key), str) for key in ("name", "host", "baseUrl")
    ):
        return False
    ports, pods = value.get("ports"), value.get("pods") or []
    is_reached = isinstance(ports, list) and bool(ports) and all(map(_is_port, ports))
    is_known = isinstance(pods, list) and all(
        isinstance(one, Mapping) and {"name", "uid"} <= one.keys() for one in pods
    )
    return (
        _is_object_name(value["name"])
        and is_reached
        and is_known
        and _is_count(value.get("replicas", 1))
    )


#: Larger than any meaningful count or time, small enough for every calculation with it.
_MOST = 2**31
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_POD = {"name": _is_object_name, "uid": _is_text, "node": _is_text}
_EDGE = {
    **dict.fromkeys(("uuid", "name", "kind", "original"), _is_text),
    "values": _is_values,
}
_STEP = {"status": _is_text, "reason": _is_text, "message": _is_text, "at": _is_moment}
_ARTIFACT = {
    "name": _is_text,
    "kind": _is_text,
    "path": _is_text,
    "isInput": lambda value: isinstance(value, bool),
}
_CONDITION = {
    "type": _is_text,
    "status": _is_text,
    "reason": _is_text,
    "message": _is_text,
    "lastTransitionTime": _is_moment,
}
_TERMINATION: dict[str, Any] = {
    **dict.fromkeys(("maxRetries", "timeout", "ttl"), _is_limit),
    "culling": _is_culling,
    "probe": _is_probe,
    "podFailurePolicy": _is_policy,
}
#: A function checks a value; a dict has the checks of a mapping's keys; a list has the checks of an
#: item's keys, and the keys that an item needs.
_KEYS: dict[str, Any] = {
    **dict.fromkeys(
        ("uuid", "kind", "phase", "reason", "message", "description", "podDigest", "elapsed"),
        _is_text,
    ),
    **dict.fromkeys(("startedAt", "finishedAt", "resumedAt"), _is_moment),
    **dict.fromkeys(
        ("inputs", "reportedInputs", "outputs", "frozenOutputs", "meta"),
        _is_values,
    ),
    **dict.fromkeys(
        ("component", "components", "catalog", "inherited"),
        _is_values,
    ),
    **dict.fromkeys(
        ("attempt", "observedGeneration", "platformRetries", "resume", "round"), _is_count
    ),
    "duration": _is_number,
    "progress": lambda value: value is None or _is_number(value),
    "tags": _is_texts,
    "pod": _POD,
    "service": _is_service,
    "children": _is_children,
    "search": _is_search,
    "best": _is_best,
    "schedule": _is_schedule,
    "hooks": _is_hooks,
    "cacheKey": _is_text,
    "cache": {"component": _is_text, "parts": _is_values, "message": _is_text, "run": _is_text},
    "original": dict.fromkeys(("uuid", "name", "kind"), _is_text),
    "retries": dict.fromkeys(("failures", "disruptions"), _is_count),
    "termination": _TERMINATION,
    "artifacts": [_ARTIFACT, {"name"}],
    "upstream": [_EDGE, {"uuid"}],
    "history": [_STEP, {"status"}],
    "conditions": [_CONDITION, {"type", "status"}],
}
