"""End an idle service: `termination.culling`, by the activity that `termination.probe` reports.

The probe is a page of the service that reports its last use in JSON (`last_activity`, as Jupyter's
/api/status). It is requested only once the service could have been idle for long enough. Must not
request it; this module says when to, and interprets the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opstrand.errors import Problem
from opstrand.spec.problems import describe

#: Seconds until a page without a usable answer is requested again.
ASK_AGAIN = 60.0
_PROBE = "termination.probe"


@dataclass(frozen=True)
class Culling:
    """`timeout`: seconds without activity. The page is on one of the service's own ports."""

    timeout: int
    path: str
    port: int


@dataclass(frozen=True)
class Activity:
    """The page's answer: when the service was used last, or why that is not known."""

    last: datetime | None = None
    trouble: str = ""


def validate_culling(termination: Mapping[str, Any], ports: Sequence[int]) -> Iterator[Problem]:
    """Find problems and unsupported requests in `termination`'s culling and probe."""
    wrong = _validate_shapes(termination)
    if wrong:
        yield from wrong
        return
    timeout = (termination.get("culling") or {}).get("timeout")
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 1:
        yield Problem(
            "InvalidSpec",
            f"expected seconds, at least 1, found {describe(timeout)}",
            "termination.culling.timeout",
        )
    probe = termination.get("probe") or {}
    if probe.get("exec") is not None:
        yield Problem(
            "NotSupported",
            "commands are not run in a service to see whether it is idle; give it probe.http",
            f"{_PROBE}.exec",
        )
        return
    http = probe.get("http")
    if http is None:
        return  # such a service is never idle, which `without_effect` reports
    yield from _validate_page(http, ports)


def _validate_shapes(termination: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for every part that is not a mapping."""
    probe = termination.get("probe") or {}
    shapes = {
        "termination.culling": termination.get("culling") or {},
        _PROBE: probe,
        f"{_PROBE}.http": probe.get("http") or {} if isinstance(probe, Mapping) else {},
    }
    return [
        Problem("InvalidSpec", f"expected a mapping, found {describe(found)}", where)
        for where, found in shapes.items()
        if not isinstance(found, Mapping)
    ]


def _validate_page(http: Mapping[str, Any], ports: Sequence[int]) -> Iterator[Problem]:
    """Find the problems of the probe's page."""
    for key in http:
        if key not in ("path", "port"):
            yield Problem(
                "NotSupported",
                f"the page is asked with its path and port alone, without {key}",
                f"{_PROBE}.http.{key}",
            )
    if http.get("port") not in ports:
        message = (
            f"expected a port of the service ({', '.join(map(str, ports))}), found "
            f"{describe(http.get('port'))}"
        )
        yield Problem("InvalidSpec", message, f"{_PROBE}.http.port")


def read_culling(termination: Mapping[str, Any] | None) -> Culling | None:
    """Read the frozen culling; None if an idle service keeps running."""
    timeout = ((termination or {}).get("culling") or {}).get("timeout")
    http = ((termination or {}).get("probe") or {}).get("http")
    if timeout is None or not http:
        return None
    return Culling(int(timeout), str(http.get("path") or "/"), int(http["port"]))


def read_activity(text: str) -> Activity:
    """Read the activity from the page's answer."""
    try:
        answer = json.loads(text)
        last = datetime.fromisoformat(str(answer["last_activity"]))
    except (ValueError, KeyError, TypeError):
        return Activity(
            trouble="its answer is no JSON object with last_activity, a time of RFC 3339"
        )
    return Activity(last if last.tzinfo else last.replace(tzinfo=UTC))
