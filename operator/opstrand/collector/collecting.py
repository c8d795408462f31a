"""Look at the run's folder again and again, and send what changed; at the end, until all is sent.

Owns when a file is sent and what counts as collected. Must not know HTTP.
"""

from __future__ import annotations

import time
from typing import Callable, NamedTuple, Protocol

from .scan import Found, Problem, is_settled, names, scan
from .sending import ENDED, Away, Changed, Over, Refused, Upload

#: Seconds for one request, and the pause between two tries at the end.
_PATIENCE = 10.0
_PAUSE = 1.0
#: Seconds after the start: what ended before a signal could be noticed is known to the API by then.
_NOTICED = 30.0
#: Bytes of a small file, how many of them are worth an archive, and how many one has: 8 MB at most.
_SMALL = 16 * 1024
_MANY = 10
_TOGETHER = 500


class Ending(Protocol):
    """The end of the run's programs. `at`: when it came, on the monotonic clock."""

    at: float | None

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; return whether it has come."""


class Sent(NamedTuple):
    """A file as it was sent."""

    size: int
    changed: int
    sha256: str


class Result(NamedTuple):
    """What one pass did not send. `is_over`: the API accepts nothing more of this run."""

    waiting: list[Problem]
    problems: list[Problem]
    is_over: bool = False


class Collector:
    """Collects one folder, until `ending` and a little longer. `note` prints a line."""

    def __init__(
        self, folder: str, upload: Upload, ending: Ending, note: Callable[[str], None]
    ) -> None:
        self._folder, self._upload, self._ending, self._note = folder, upload, ending, note
        self._sent: dict[str, Sent] = {}
        self._noted: set[str] = set()
        self._deadline: float | None = None
        self._began, self._is_noticed = time.monotonic(), False

    def run(self, interval: float, seconds: float) -> list[str]:
        """Collect until the end; return what was not collected, a line each.

        `interval`: seconds between two passes. `seconds`: how long the last passes may take.
        """
        while not self._ending.wait(interval):
            self._pass(interval)
            if self._was_missed():
                break
        self._deadline = (self._ending.at or self._began) + seconds
        while True:
            result = self._pass(0)
            if not result.waiting or result.is_over or self._left() <= _PAUSE:
                break
            time.sleep(_PAUSE)
        lines = list(names([*result.problems, *result.waiting]))
        return lines if result.waiting else [*lines, *self._report_metrics()]

    def _report_metrics(self) -> list[str]:
        """Report the last values of metrics; return what was not reported, a line each."""
        try:
            self._upload.report_metrics(scan(self._folder).files, max(1.0, self._left()))
        except (Away, Over) as trouble:
            return [f"the last values of metrics: {trouble}"]
        except Refused as error:
            # The run itself notes what was too large.
            self._note(f"the last values of metrics: {error}")
        return []

    def _was_missed(self) -> bool:
        """Return whether the run's programs ended before this process could notice the signal."""
        if self._is_noticed:
            return False
        asked = time.monotonic()
        status = self._upload.read_status(_PATIENCE)
        self._is_noticed = bool(status) and asked - self._began > _NOTICED
        return status in ENDED

    def _left(self) -> float:
        """Return the seconds that a request may take now."""
        if self._deadline is None:
            return _PATIENCE
        return min(_PATIENCE, self._deadline - time.monotonic())

    def _pass(self, settled_for: float) -> Result:
        """Send what changed. A large file is left out if it changed within `settled_for` s."""
        found = scan(self._folder)
        for link in found.links:
            self._note_once(f"{link!a} is a link out of the run's folder, and is not collected")
        self._send_small(self._list_unsent(found.files))
        now, result = time.time(), Result([], list(found.problems))
        for file in self._list_unsent(found.files):
            if settled_for and not is_settled(file, now, settled_for):
                continue
            trouble = self._send(file, result)
            if trouble is not None:
                rest = self._list_unsent(found.files)
                result.waiting.extend(Problem(one.path, str(trouble)) for one in rest)
                return result._replace(is_over=isinstance(trouble, Over))
            if settled_for and self._ending.at is not None:
                break
        return result

    def _list_unsent(self, files: list[Found]) -> list[Found]:
        return [one for one in files if not self._is_sent(one)]

    def _send_small(self, files: list[Found]) -> None:
        """Send small files together, if there are many. What is left is sent one by one."""
        small = [one for one in files if one.size <= _SMALL]
        if len(small) < _MANY:
            return
        for start in range(0, len(small), _TOGETHER):
            batch = small[start : start + _TOGETHER]
            try:
                sent = self._upload.send_batch(batch, max(1.0, self._left()))
            except (Away, Over, Refused, Changed):
                return
            for file in batch:
                if file.path in sent:
                    self._sent[file.path] = Sent(file.size, file.changed, sent[file.path])

    def _is_sent(self, file: Found) -> bool:
        sent = self._sent.get(file.path)
        return sent is not None and sent[:2] == (file.size, file.changed)

    def _send(self, file: Found, result: Result) -> Exception | None:
        """Send a file. Returns why no other file can be sent now either."""
        known = self._sent.get(file.path)
        try:
            sha256 = self._upload.send(
                file, max(1.0, self._left()), None if known is None else known.sha256
            )
        except (Away, Over) as trouble:
            self._note_once(f"the API does not keep files now: {trouble}")
            return trouble
        except Refused as error:
            result.problems.append(Problem(file.path, str(error)))
        except Changed:
            result.waiting.append(Problem(file.path, "it changed while it was sent"))
        except FileNotFoundError:
            pass  # deleted since
        except OSError as error:
            result.problems.append(Problem(file.path, str(error.strerror or error)))
        else:
            self._sent[file.path] = Sent(file.size, file.changed, sha256)
            self._noted.clear()
        return None

    def _note_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)
