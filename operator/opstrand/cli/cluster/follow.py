"""Follow a run in a cluster: its changes as they come, and its log to the last line.

Owns that no change and no line is lost or reported twice when watches end, streams break and
containers start late. Must not print, and must not decide what a change means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Set
from contextlib import aclosing
from typing import Any, NoReturn, Protocol, cast

from opstrand.cli.cluster.kept_runs import read_instead
from opstrand.cli.cluster.log_cursor import WHOLE, LogCursor, Part, stamp
from opstrand.cli.errors import CliError, ExitCode
from opstrand.core.names import MAIN_CONTAINER, attempt_pod
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Invalid, NotFound, Unreachable
from opstrand.kube.informer import Informer, Scope
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.kube.versions import is_newer
from opstrand.kube.watch_health import WatchHealth
from opstrand.runs.pod_logs import leave_out_rest
from opstrand.types import Body, ContainerState, Key, Manifest, PodStatus, RunStatus, key_of

#: Seconds that a cluster may not answer before following is given up.
PATIENCE = 60.0
#: Seconds between two tries for a container that has not started or a connection that broke.
_PAUSE = 0.2
#: In these phases the main container of the newest attempt runs or has run, so it has a log.
#: Retrying is not among them, because the status names the next attempt's Pod before that exists.
_HAS_LOG = frozenset(
    {Phase.RUNNING, Phase.PROCESSING, Phase.STOPPING, Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED}
)

OnLine = Callable[[bytes], None]


class LogApi(Protocol):
    """What following a log asks of the API server."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    def follow_log(self, namespace: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]: ...

    def read_log_lines(
        self, namespace: str, name: str, *, resource: Resource = PODS, **query: Any
    ) -> AsyncGenerator[bytes, None]: ...


OnChange = Callable[[Manifest], None]


class Patience:
    """Waits out errors in a row; raises the last one once they have lasted too long."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def renew(self) -> None:
        self._since = None

    async def wait_out(self, trouble: ApiError) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._seconds:
            raise trouble
        await asyncio.sleep(trouble.retry_after or _PAUSE)


class _FollowedRun:
    """The store of an informer of one run: each newer body is passed on.

    The newest version wins. A run that is deleted, or whose name is taken again, raises CliError
    NOT_FOUND.
    """

    def __init__(self, body: Manifest, on_change: OnChange) -> None:
        self.body = body
        self._on_change = on_change
        on_change(body)

    @property
    def is_over(self) -> bool:
        return parse_phase(read_status(self.body)).is_final

    def keys(self, _: str | None) -> frozenset[Key]:
        return frozenset({key_of(self.body)})

    def missing(self, known: frozenset[Key], present: Set[Key]) -> list[Body]:
        return [self.body] if known - present else []

    def put(self, body: Manifest) -> None:
        if body["metadata"]["uid"] != self.body["metadata"]["uid"]:
            self.drop(body)
        if is_newer(body, self.body):
            self.body = body
            self._on_change(body)

    def drop(self, body: Body) -> NoReturn:
        name = body["metadata"]["name"]
        raise CliError(f"the run {name} was deleted", code=ExitCode.NOT_FOUND)


def give_up(error: PlatformError, health: WatchHealth) -> None:
    """Raise the error of a watch that cannot get better, or has not for too long."""
    if isinstance(error, (NotFound, Invalid)) or health.failing_for() > PATIENCE:
        raise error


async def follow_run(
    api: KubeApi,
    body: Manifest,
    *,
    on_change: OnChange,
    on_line: OnLine | None = None,
    part: Part = WHOLE,
) -> Manifest:
    """Follow the run to its end and return its final body.

    Calls `on_change` with every body, and `on_line`, if given, with every line of every attempt's
    main container, or with this part of them.
    """
    follower = LogFollower(api, on_line, part) if on_line is not None else None
    changes = asyncio.create_task(_follow_changes(api, body, on_change, follower), name="changes")
    await finish_together(changes, *([follower.task] if follower else []))
    return changes.result()


async def finish_together(*tasks: asyncio.Task[Any]) -> None:
    """Wait for all of them, raise an error at once, and leave none of them running.

    A line that cannot be written must not wait for the next change.
    """
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow_changes(
    api: KubeApi, start: Manifest, on_change: OnChange, follower: LogFollower | None
) -> Manifest:
    def pass_on(body: Manifest) -> None:
        on_change(body)
        if follower is not None:
            follower.observe(body)

    run = _FollowedRun(start, pass_on)
    namespace, name = key_of(start)
    informer = Informer(
        api,
        Scope(OPERATIONS, namespace, name=name),
        run,
        version=start["metadata"]["resourceVersion"],
        on_failure=give_up,
    )
    await informer.run(until=lambda: run.is_over)
    return run.body


class LogFollower:
    """Follows the logs of a run's attempts, one after the other, in its own task."""

    def __init__(self, api: LogApi, on_line: OnLine, part: Part = WHOLE) -> None:
        self._api = api
        self._on_line = on_line
        self._part = part
        self._body: Manifest = {}
        self._changed = asyncio.Event()
        #: Ends with the last line.
        self.task = asyncio.create_task(self._follow_attempts(), name="log")

    def observe(self, body: Manifest) -> None:
        self._body = body
        self._changed.set()

    @property
    def _status(self) -> RunStatus:
        return cast(RunStatus, dict(read_status(self._body)))

    async def _follow_service(self) -> None:
        """Follow the replica that the status names across restarts of its container.

        Changes to another Pod when the status names another.
        """
        while not self._is_over():
            pod = self._pod(0)
            await follow_log(
                self._api,
                self._body["metadata"]["namespace"],
                pod,
                self._on_line,
                lambda pod=pod: self._is_over() or self._pod(0) != pod,  # type: ignore[misc]
                starts_again=True,
                part=self._next_part(),
            )
            await self._wait_until(lambda pod=pod: self._is_over() or self._pod(0) not in ("", pod))  # type: ignore[misc]

    async def _follow_attempts(self) -> None:
        await self._wait_until(lambda: bool(self._body))
        number = self._attempt() if self._part.begins_late else 0
        if not self._is_over() and not self._has_log(number):
            self._part = self._part.whole()
        while True:
            await self._wait_until(lambda number=number: self._is_over() or self._has_log(number))  # type: ignore[misc]
            pod = self._pod(number)
            if "service" in self._status:
                await self._follow_service()
                return
            if pod and self._has_log(number):
                await self._follow_attempt(number)
            if self._is_over() and number >= self._attempt():
                return
            number += 1
            await self._wait_until(
                lambda number=number: self._is_over() or self._attempt() >= number  # type: ignore[misc]
            )
            if self._attempt() < number:
                return

    async def _follow_attempt(self, number: int) -> None:
        part = self._next_part()
        was_there = await follow_log(
            self._api,
            self._body["metadata"]["namespace"],
            self._pod(number),
            self._on_line,
            lambda: self._is_past(number),
            part=part,
        )
        if not was_there:
            query = {**part.query(), "attempt": number}
            await read_instead(self._api, self._body, query, self._on_line)

    def _next_part(self) -> Part:
        """Return what is wanted of the next log: of those after the first, every line."""
        part, self._part = self._part, self._part.whole()
        return part

    def _attempt(self) -> int:
        return int(self._status.get("attempt") or 0)

    def _is_over(self) -> bool:
        return parse_phase(self._status).is_final

    def _is_past(self, number: int) -> bool:
        """Whether this attempt's Pod will write no more."""
        return self._is_over() or self._attempt() > number

    def _has_log(self, number: int) -> bool:
        return bool(self._pod(number)) and (
            self._attempt() > number or parse_phase(self._status) in _HAS_LOG
        )

    def _pod(self, number: int) -> str:
        return attempt_pod(self._status, number)

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()


async def follow_log(
    api: LogApi,
    namespace: str,
    pod: str,
    on_line: OnLine,
    is_past: Callable[[], bool],
    container: str = MAIN_CONTAINER,
    *,
    starts_again: bool = False,
    part: Part = WHOLE,
) -> bool:
    """Pass on every line of a container, or of this part, until it has ended, unless it
    `starts_again`. Return whether there was a log.

    Ends too once `is_past` says that the container will write no more, or never starts, and if the
    Pod is gone.
    """
    cursor, patience, tail = LogCursor(part.since), Patience(), part.tail
    while True:
        # Check before reading, so that lines written between the two are not lost.
        ended = is_past() or (not starts_again and await _has_ended(api, namespace, pod, container))
        start = cursor.begin()
        begin: dict[str, Any] = {"sinceTime": start} if start else {}
        begin |= {} if tail is None else {"tailLines": tail}
        log = api.follow_log(namespace, pod, container=container, timestamps=True, **begin)
        try:
            async with aclosing(leave_out_rest(log, start)) as lines:
                async for raw in lines:
                    patience.renew()
                    text, tail = cursor.accept(raw), None
                    if text is not None:
                        on_line(stamp(raw, text) if part.timestamps else text)
            cursor.finish()
        except NotFound:
            return cursor.count > 0
        except Unreachable as error:
            await patience.wait_out(error)
            continue
        except Invalid:
            # The container has not started; if the run is over it never will. Of what it writes
            # from now on, every line is wanted.
            tail = None
        if ended:
            return True
        await asyncio.sleep(_PAUSE)


async def _has_ended(api: LogApi, namespace: str, pod: str, container: str) -> bool:
    try:
        body = await api.get(PODS, namespace, pod)
    except NotFound:
        return True
    except ApiError:
        return False
    status = cast(PodStatus, read_status(body))
    statuses = [
        *(status.get("containerStatuses") or ()),
        *(status.get("initContainerStatuses") or ()),
    ]
    state = next(
        (one.get("state") or {} for one in statuses if one.get("name") == container),
        ContainerState(),
    )
    return "terminated" in state or status.get("phase") in ("Succeeded", "Failed")
