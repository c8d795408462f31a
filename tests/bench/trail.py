"""Reads from the API server's own audit log what happened when: neither the driver's clock nor its
load affects these figures.

Owns the reading of a slice of the log and every duration between two requests. Must not make
requests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

_RUNS = ("operations", "jobs")
_STATUS_WRITES = (("patch", "operations/status"), ("update", "jobs/status"))


@dataclass(frozen=True)
class Request:
    """One completed request. `received` and `answered` are seconds since the epoch."""

    user: str
    verb: str
    resource: str
    name: str
    code: int
    received: float
    answered: float


class Trail:
    """The requests of one stretch of the log. A run is an Operation or a Job.

    Every subject names its Pods `RUN-<8 hex digits>-<attempt>`. Of Jobs' Pods the log has no name.
    """

    def __init__(self, requests: Iterable[Request], user: str) -> None:
        self._all = list(requests)
        self._user = user

    @classmethod
    def read(cls, path: Path, start: int, user: str) -> Trail:
        """Read from this byte of the log on; `user` is the subject."""
        with path.open("rb") as file:
            file.seek(start)
            return cls(
                [
                    request
                    for line in file
                    if line.endswith(b"\n") and (request := _parse(line)) is not None
                ],
                user,
            )

    @cached_property
    def asked(self) -> dict[str, Request]:
        """Return run -> the request that created it."""
        return {
            one.name: one
            for one in self._all
            if one.verb == "create" and one.resource in _RUNS and one.code == 201
        }

    @cached_property
    def pod_posted(self) -> dict[str, Request]:
        """Return run -> its Pod's POST by the subject."""
        mine = (one for one in self._all if one.user == self._user)
        return {
            run_of(one.name): one
            for one in mine
            if (one.verb, one.resource, one.code) == ("create", "pods", 201)
        }

    @cached_property
    def pod_ended(self) -> dict[str, Request]:
        """Return run -> the stand-in's last write to its Pod."""
        return {
            run_of(one.name): one
            for one in self._all
            if (one.verb, one.resource) == ("patch", "pods/status")
        }

    @cached_property
    def written(self) -> dict[str, Request]:
        """Return run -> the subject's last status write."""
        mine = (one for one in self._all if one.user == self._user)
        return {one.name: one for one in mine if (one.verb, one.resource) in _STATUS_WRITES}

    def seconds_for(self, names: Iterable[str]) -> float:
        """Return the seconds from the creation of the first of these runs to the final status of
        the last.
        """
        wanted = list(names)
        return max(self.written[name].answered for name in wanted) - min(
            self.asked[name].received for name in wanted
        )

    def create_to_pod(self, names: Iterable[str]) -> list[float]:
        """Return the milliseconds from the create request's arrival to the answer to the Pod's
        POST.
        """
        return [
            1000 * (self.pod_posted[name].answered - self.asked[name].received) for name in names
        ]

    def done_to_final(self, names: Iterable[str]) -> list[float]:
        """Return the milliseconds from the arrival of the Pod's end to the answer to the final
        status write.
        """
        return [
            1000 * (self.written[name].answered - self.pod_ended[name].received) for name in names
        ]

    def hops(self, pairs: Iterable[tuple[str, str]]) -> list[float]:
        """Return the milliseconds from the arrival of the upstream's Pod's end to the answer to the
        downstream's Pod's POST.
        """
        return [
            1000 * (self.pod_posted[down].answered - self.pod_ended[up].received)
            for up, down in pairs
        ]

    def count(self) -> Counter[str]:
        """Count the subject's requests: `verb resource`, with the code if it was refused."""
        mine = (one for one in self._all if one.user == self._user)
        return Counter(
            f"{one.verb} {one.resource}" + (f" ({one.code})" if one.code >= 400 else "")
            for one in mine
        )


def run_of(pod: str) -> str:
    return pod.rsplit("-", 2)[0]


def _parse(line: bytes) -> Request | None:
    entry = json.loads(line)
    if entry["stage"] != "ResponseComplete":
        return None
    reference = entry.get("objectRef") or {}
    return Request(
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource="/".join(
            part for part in (reference.get("resource"), reference.get("subresource")) if part
        ),
        name=reference.get("name", ""),
        code=entry["responseStatus"]["code"],
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
