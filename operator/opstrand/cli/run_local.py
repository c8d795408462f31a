"""`opstrand run --local`: the run is a process of this machine and ends with this command."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.cli.output.console import say
from opstrand.cli.output.progress import Reporter
from opstrand.cli.output.spinner import LiveLine
from opstrand.core.planning.connections import Catalog
from opstrand.kube.errors import AlreadyExists
from opstrand.local.session import LocalSession
from opstrand.runs.members import Path
from opstrand.runs.protocols import RunNotFound
from opstrand.settings import Settings
from opstrand.types import Key, Manifest

Reported = TypeVar("Reported")

#: Seconds that a stopped program may take to end: its grace period, and some more.
_PATIENCE = 15.0
#: The most names that a message lists.
_FEW = 5


async def run_here(
    operation: Mapping[str, Any],
    *,
    project: str,
    target: Target,
    uid: str | None,
    settings: Settings,
    catalog: Catalog | None,
    components: Mapping[str, Mapping[str, Any]],
    logs: bool,
    every_change: bool,
    seconds: float | None,
    on_created: Callable[[Manifest], None],
) -> tuple[Manifest, ExitCode | None]:
    """Execute the run. Return its final body, and the exit code if this command ended it."""
    _quieten()
    async with LiveLine() as live:
        reporter = Reporter(live, target, every_change=every_change)
        audience = _Audience()
        async with LocalSession(
            settings=settings,
            catalog=catalog,
            components=components,
            on_line=_relay_lines(reporter, audience) if logs else lambda path, line: None,
            on_note=audience.relay(say),
            on_change=audience.relay(reporter.change),
        ) as session:
            try:
                body = await session.create(operation, project=project, uid=uid)
            except AlreadyExists:
                raise CliError(
                    f"there is a local run {operation['metadata']['name']!r} already",
                    hint="Choose another --name, or leave it out.",
                ) from None
            audience.begin(lambda: on_created(body))
            key = (project, str(body["metadata"]["name"]))
            try:
                return await wait_bounded(
                    audience.stay_for(_finish(session, key, live, audience)), seconds=seconds
                ), None
            except Interrupted as error:
                live.clear()
                return await _end(session, key, error.message), error.code
            except RunNotFound:
                raise CliError(f"the run {key[1]} was deleted", code=ExitCode.NOT_FOUND) from None


def _relay_lines(reporter: Reporter, audience: _Audience) -> Callable[[Path, bytes], None]:
    def show(found: tuple[Path, bytes]) -> None:
        path, line = found
        reporter.lines_of(path)(line)

    relayed = audience.relay(show)
    return lambda path, line: relayed((path, line))


async def _finish(session: LocalSession, key: Key, live: LiveLine, audience: _Audience) -> Manifest:
    """Wait for the end of the run and of the runs that its program created; return the final body.

    In a cluster the created runs would go on, but here they end with this process.
    """
    final = await session.wait(key)
    if others := session.list_open():
        live.clear()
        created = _list_names([one for one in others if one != key]) or "its hooks"
        audience.relay(say)(
            f"{key[1]} has ended; waiting for what it created: {created} (Ctrl-C stops it)"
        )
        live.update(f"waiting for {created}")
        await session.wait_for_all()
    return final


def _list_names(keys: Sequence[Key]) -> str:
    names = [name for _, name in keys]
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


async def _end(session: LocalSession, key: Key, word: str) -> Manifest:
    """Stop every run of this session; kill it after the grace period or at the next interrupt."""

    async def stop() -> Manifest:
        # Print once the next interrupt is handled, because a user who reads this may send one at
        # once.
        with suppress(OSError):
            say(f"{word}; stopping {_list_names(session.list_open()) or key[1]}")
        await session.stop_all()
        await session.wait_for_all()
        return await session.wait(key)

    try:
        return await wait_bounded(stop(), seconds=_PATIENCE)
    except Interrupted:
        await session.stop_all()
        session.kill()
        await session.wait_for_all()
        return await session.wait(key)


class _Audience:
    """The reader of the output: `opstrand run --local -l | head -1` ends the run after one line.

    The engine reports in the middle of its work, which must not fail because the reader is gone. It
    reports from within the creation of the run too: that is held back until the run is announced.
    """

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self._trouble: OSError | None = None
        self._held: list[Callable[[], None]] | None = []

    def begin(self, announce: Callable[[], None]) -> None:
        """Announce the run, then report what was held back, in its order."""
        held, self._held = self._held or [], None
        for report in (announce, *held):
            self._report(report)

    def relay(self, report: Callable[[Reported], None]) -> Callable[[Reported], None]:
        """Wrap `report`: it is held back at first, and does nothing once a write has failed."""

        def report_or_hold(what: Reported) -> None:
            if self._held is None:
                self._report(lambda: report(what))
            else:
                self._held.append(lambda: report(what))

        return report_or_hold

    def _report(self, report: Callable[[], None]) -> None:
        if self._trouble is not None:
            return
        try:
            report()
        except OSError as error:
            self._trouble = error
            self._gone.set()

    async def stay_for(self, end: Coroutine[Any, Any, Manifest]) -> Manifest:
        """Return the result of `end`. Raises Interrupted once the output cannot be written."""
        tasks = asyncio.ensure_future(end), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                return tasks[0].result()
            if isinstance(self._trouble, BrokenPipeError):
                raise Interrupted("the output is no longer read", ExitCode.PIPE)
            raise Interrupted(f"the output cannot be written ({self._trouble})", ExitCode.USAGE)
        finally:
            for task in tasks:
                task.cancel()


class _Words(logging.Handler):
    """Print what the engine and the API log as messages for a user.

    A traceback is printed only if OPSTRAND_TRACEBACK is set.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._report(record)

    @staticmethod
    def _report(record: logging.LogRecord) -> None:
        say(f"warning: {record.getMessage()}")
        if record.exc_info and record.exc_info[1] is not None:
            say(
                f"error: this is a bug of opstrand: {type(record.exc_info[1]).__name__}: "
                f"{record.exc_info[1]}"
            )
            if os.environ.get("OPSTRAND_TRACEBACK"):
                for line in logging.Formatter().formatException(record.exc_info).splitlines():
                    say(line)


def _quieten() -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[_Words()], force=True)
