"""Where a followed log was read to, and from where on it is wanted.

Owns that no line is lost or reported twice when a log is read again. Must not ask a cluster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opstrand.runs.pod_logs import in_utc


@dataclass(frozen=True)
class Part:
    """The part of a log that is followed: with `tail` or `since`, a time in UTC, the newest attempt
    from there on, and those after it. `timestamps`: each line has its time before it.

    Of a run or an attempt that begins while it is followed, every line is wanted.
    """

    tail: int | None = None
    since: str = ""
    timestamps: bool = False

    @property
    def begins_late(self) -> bool:
        return self.tail is not None or bool(self.since)

    def whole(self) -> Part:
        """Return what is wanted of a log that begins while it is followed."""
        return Part(timestamps=self.timestamps)

    def query(self) -> dict[str, Any]:
        """Return the parameters of a request for the lines that there are."""
        query: dict[str, Any] = {"tailLines": self.tail, "timestamps": self.timestamps or None}
        if self.since:
            begin = datetime.fromisoformat(self.since[:19] + "+00:00")
            seconds = (datetime.now(UTC) - begin).total_seconds()
            query["sinceSeconds"] = max(math.ceil(seconds), 1)
        return query


WHOLE = Part()


@dataclass
class LogCursor:
    """Where to continue a log: after the first `count` lines that have the time `at`.

    Times have nanoseconds, but two lines may share one; the API server counts from whole seconds
    only.
    """

    at: str = ""
    count: int = 0
    _passed: int = 0
    #: Bytes of the last line, if its end has not arrived: a followed log can end in the middle.
    _unfinished: int = 0
    _strange: bytes = b""
    _is_read: bool = False

    def begin(self) -> str | None:
        """Start a reading and return its `sinceTime`."""
        self._passed = 0
        return f"{self.at[:19]}Z" if self.at else None

    def finish(self) -> None:
        """End a reading that came to the end of the log."""
        self._is_read = bool(self.at)

    def accept(self, raw: bytes) -> bytes | None:
        """Return the line without its time, or None if it was reported before."""
        at, text = split_line(raw)
        if not at:
            return self._accept_untimed(raw)
        if at < self.at:
            return None
        if at > self.at:
            self.at, self.count, self._passed = at, 1, 1
            return self._report(text, 0)
        self._passed += 1
        if self._passed == self.count and self._unfinished:
            return self._report(text, self._unfinished) or None
        if self._passed <= self.count:
            return None
        self.count += 1
        return self._report(text, 0)

    def _report(self, text: bytes, before: int) -> bytes:
        """Return the line without the bytes that were reported before."""
        self._is_read = False
        self._unfinished = 0 if text.endswith(b"\n") else len(text)
        return text[before:]

    def _accept_untimed(self, raw: bytes) -> bytes | None:
        """Return the kubelet's own message, that it cannot read the log, only once.

        And not at all once the log was read to its end: then nothing is missing from it, and the
        kubelet has removed the container.
        """
        known, self._strange = self._strange, raw
        return None if raw == known or self._is_read else raw


def split_line(raw: bytes) -> tuple[str, bytes]:
    """Split a line into its time, in UTC with nine decimals, and its text.

    The time is empty if the line is the kubelet's own and not the container's.
    """
    stamp, _, text = raw.partition(b" ")
    try:
        return in_utc(stamp.decode()), text
    except ValueError:
        return "", raw


def stamp(raw: bytes, text: bytes) -> bytes:
    """Return the text with the time of its line before it, unless it is the rest of a line."""
    at, whole = split_line(raw)
    return f"{at} ".encode() + text if at and text == whole else text
