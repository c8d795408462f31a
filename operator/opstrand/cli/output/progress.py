"""What the user sees while a run goes on and when it has ended, and the exit code of its end.

Owns the text on stderr. Must not wait for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from opstrand.cli.errors import ExitCode
from opstrand.cli.options import Target
from opstrand.cli.output.console import say
from opstrand.cli.output.describe import advise_run
from opstrand.cli.output.format import duration_of, one_line, show_phase
from opstrand.cli.output.log_lines import LineSinks
from opstrand.cli.output.spinner import LiveLine
from opstrand.core.limits import MESSAGE
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.runs.members import Path, count_children
from opstrand.text import show_seconds
from opstrand.types import Body, RunStatus

#: Characters of a message in the live line, and where it is printed: the cause comes last in it, so
#: it is not cut there.
_SHORT, _WHOLE = 300, MESSAGE
#: Lines of the end of a program's output: a reminder, because its log has them all.
_LINES = 12

_CODES = {
    Phase.SUCCEEDED: ExitCode.SUCCEEDED,
    Phase.FAILED: ExitCode.FAILED,
    Phase.UPSTREAM_FAILED: ExitCode.FAILED,
    Phase.STOPPED: ExitCode.STOPPED,
    Phase.SKIPPED: ExitCode.STOPPED,
}


#: Of several runs the worst end decides the exit code.
_WORST = (ExitCode.FAILED, ExitCode.STOPPED, ExitCode.SUCCEEDED)


def worst_of(codes: Collection[ExitCode]) -> ExitCode:
    """Return the exit code for several runs that have ended."""
    return next(code for code in _WORST if code in codes)


def exit_code(body: Body) -> ExitCode:
    """Return the exit code for the phase of a run that has ended."""
    return _CODES[parse_phase(read_status(body))]


class Reporter:
    """Reports a run's changes as they come.

    `every_change`: each phase; otherwise only what the user must know.
    """

    def __init__(
        self,
        live: LiveLine,
        target: Target,
        *,
        every_change: bool,
        sinks: LineSinks | None = None,
    ) -> None:
        self._sinks = sinks or LineSinks()
        self._live = live
        self._target = target
        self._every_change = every_change
        self._reported: tuple[str, str, str] | None = None

    def change(self, body: Body) -> None:
        status = read_status(body)
        phase, reason = parse_phase(status), str(status.get("reason") or "")
        is_trouble = _is_trouble(status, phase)
        # Of trouble the message counts too: once one missing object is there, it names the next.
        seen = (phase.value, reason, str(status["message"]) if is_trouble else "")
        if phase.is_final:
            return
        name = body["metadata"]["name"]
        count = f", {done}" if (done := count_children(body)) else ""
        self._live.update(f"{name}: {_state(status, phase, _SHORT)}{count}")
        if seen == self._reported:
            return
        self._reported = seen
        if self._every_change or is_trouble:
            self._live.clear()
            say(f"{name}: {_state(status, phase, _WHOLE)}")
        if is_trouble and (hint := advise_run(body, self._target)):
            say(f"hint: {hint}")

    def lines_of(self, path: Path = ()) -> Callable[[bytes], None]:
        """Return what shows the lines of the run, or of a run that it makes as a pipeline."""
        sink = self._sinks.of(path)

        def show(line: bytes) -> None:
            self._live.hide()
            sink.show(line)

        return show


def _is_trouble(status: RunStatus, phase: Phase) -> bool:
    """Whether only the user, or another run, can end this wait."""
    return bool(status.get("message")) and phase in (
        Phase.WAITING,
        Phase.QUEUED,
        Phase.STARTING,
        Phase.RETRYING,
    )


def _state(status: RunStatus, phase: Phase, limit: int) -> str:
    reason = str(status.get("reason") or "")
    suffix = (
        f" ({reason})" if reason and reason not in (phase.value, "PodCreated", "PodRunning") else ""
    )
    message = f": {one_line(str(status['message']), limit)}" if status.get("message") else ""
    return f"{phase.value}{suffix}{message}"


def report_end(body: Body, target: Target) -> ExitCode:
    """Print how a run ended and what to do about it; return its exit code."""
    status = read_status(body)
    phase, reason = parse_phase(status), str(status.get("reason") or "")
    duration = show_seconds(duration_of(body))
    name = body["metadata"]["name"]
    suffix = f" ({reason})" if reason and reason != phase.value else ""
    say(
        f"{name}: {show_phase(phase, for_people=True)}{suffix}"
        + (f" in {duration}" if duration else "")
    )
    if phase is not Phase.SUCCEEDED:
        for line in _last_lines(str(status.get("message") or "")):
            say(f"  {line}")
        if hint := advise_run(body, target):
            say(f"hint: {hint}")
    return exit_code(body)


def _last_lines(message: str) -> list[str]:
    """Return a message in a few short lines.

    It keeps the beginning, which says what happened, and the end, which is the program's last
    output.
    """
    lines = [one_line(line, _WHOLE) for line in message.splitlines()]
    return lines if len(lines) <= _LINES else [*lines[:2], "…", *lines[3 - _LINES :]]
