"""The input and the output of a decision, as values that can be sent and decided on anywhere.

Owns `Snapshot` and `Decision`. Must not decide, nor know a kind of run: `runtimes` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self, cast

from opstrand.core import names
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Action
from opstrand.core.lifecycle.asks import Answers, Get, Known, Labelled, Sighting
from opstrand.core.lifecycle.cache_key import CacheKey
from opstrand.core.lifecycle.status import Status
from opstrand.core.phase import Phase, is_frozen, parse_phase
from opstrand.core.planning.connections import EMPTY, Catalog
from opstrand.core.planning.culling import Activity
from opstrand.core.planning.plan import Plan
from opstrand.core.recorded import parse_moment, read_own_status, read_status
from opstrand.core.resolving.joins import Searched
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.stored import StoredRuns, Unanswered
from opstrand.core.templates.template import Evaluate
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.types import OperationBody, RunStatus, Termination

_LIMITS = ("maxRetries", "timeout", "ttl")
#: Seconds by which one machine's clock may be ahead of another's by accident.
_SKEW = 1.0


@dataclass(frozen=True)
class Passed:
    """The seconds since a time.

    `doubted_for`: seconds until that is certain; nothing may end because of it before.
    """

    seconds: float
    doubted_for: float = 0.0


@dataclass(frozen=True)
class Measured:
    """Durations that were measured before, for use where there is no clock.

    A time that is not among them counts as written a moment ago.
    """

    passed: Mapping[str, Passed]

    def __call__(self, text: str, is_reported: bool) -> Passed:
        return self.passed.get(text, Passed(0.0))


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision may look at.

    Times are aware datetimes; `body` is the Operation as stored.
    """

    body: OperationBody
    prepared: Prepared | SpecError
    now: datetime
    settings: Settings
    evaluate: Evaluate
    upstream: Mapping[Ref, Upstream | Unanswered | None] = field(default_factory=dict)
    #: The known name that is most similar to a missing one, by the missing ref or Component.
    near: Mapping[str, str] = field(default_factory=dict)
    #: The Components that the operations of a pipeline name, as far as they exist: their specs.
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Every run of the project, if the operation has joins: their queries select among them.
    project: Sequence[Upstream] = ()
    #: Which searches were asked of the store. What they found is in `project`.
    searched: Searched = None
    #: The answers to what the run's kind asked.
    answers: Answers = field(default_factory=dict)
    #: Returns the time passed since a time of this run, whatever happened to the clock (None:
    #: counted from `now`). The second argument is True if it is unknown when the time was written.
    measure: Callable[[str, bool], Passed] | None = None
    #: What the operator's owner lets runs use by name. None if no catalog is given: then a run that
    #: names a connection cannot start.
    catalog: Catalog | None = EMPTY

    @classmethod
    def over(cls, snapshot: Snapshot, **own: Any) -> Self:
        """Return the snapshot with the fields that only a kind of run has."""
        kept = {one.name: getattr(snapshot, one.name) for one in fields(Snapshot)}
        made = cls(**kept, **own)
        made._keep_status(snapshot)
        return made

    def changed(self, **fields: Any) -> Self:
        """Return the snapshot with other fields. The status of the same body is not read again."""
        made = replace(self, **fields)
        made._keep_status(self)
        return made

    def _keep_status(self, before: Snapshot) -> None:
        known = before.__dict__.get("status")
        if known is not None and self.body is before.body:
            self.__dict__["status"] = known

    @cached_property
    def status(self) -> RunStatus:
        return read_own_status(self.body)

    @property
    def phase(self) -> Phase:
        return parse_phase(self.status)

    @property
    def is_frozen(self) -> bool:
        return is_frozen(self.status)

    @property
    def control(self) -> Mapping[str, Any]:
        return (self.body.get("spec") or {}).get("control") or {}

    @property
    def is_to_stop(self) -> bool:
        """Whether a stop was requested or has begun: a stop that has begun is not reverted."""
        is_asked = bool(self.control.get("stop")) or self.phase is Phase.STOPPING
        return is_asked or bool(self.left_by)

    @property
    def left_by(self) -> str:
        """Why the pipeline of this run wants it no more, as a sentence; empty if it does."""
        controller = names.find_controller(self.body)
        if controller is None:
            return ""
        name, uid = str(controller.get("name") or ""), str(controller.get("uid") or "")
        found = self._sight_operation(name)
        return "" if found is None else describe_leaving(found.body, name, uid)

    @property
    def maker(self) -> Mapping[str, Any] | None:
        """The pipeline or the matrix that made this run, as it is known; None if there is none."""
        controller = names.find_controller(self.body) or {}
        found = self._sight_operation(str(controller.get("name") or ""))
        is_it = found is not None and found.uid == controller.get("uid")
        return found.body if found is not None and is_it else None

    def _sight_operation(self, name: str) -> Sighting | None:
        for ask in (Get("Operation", name), Known("Operation", name)):
            found: Sighting | None = self.answers.get(ask)
            if found is not None:
                return found
        return None

    @property
    def is_being_deleted(self) -> bool:
        """Whether the object is being deleted: nothing is created for it any more."""
        return "deletionTimestamp" in self.body["metadata"]

    @property
    def termination(self) -> Termination:
        """The frozen limits, with later edits of `spec.termination` merged over them.

        Only whole numbers are accepted from the spec; a template keeps the value that was rendered
        at the freeze.
        """
        frozen: Termination = self.status.get("termination") or {}
        spec = self.body.get("spec") or {}
        if spec.get("patchStrategy") in ("isnull", "pre_merge"):
            return frozen
        written = spec.get("termination")
        given = written if isinstance(written, Mapping) else {}
        return cast(
            Termination,
            {
                **frozen,
                **{
                    key: given[key]
                    for key in _LIMITS
                    if type(given.get(key)) is int and given[key] >= 0
                },
            },
        )

    def since(self, text: object) -> float:
        """Return the seconds since an RFC 3339 time; 0 if it is in the future or not a time."""
        return max(0.0, self._pass(text).seconds)

    def left(self, text: object, seconds: float, *, is_reported: bool = False) -> float:
        """Return how many of these seconds since `text` are left.

        At most all of them, and none only if they have certainly passed. `is_reported`: another
        process reports the time, perhaps long afterwards.
        """
        passed = self._pass(text, is_reported)
        left = min(seconds - passed.seconds, max(seconds, _SKEW))
        return left if left > 0 or passed.doubted_for <= 0 else passed.doubted_for

    def doubt_of(self, text: object) -> float:
        """Return the seconds until it is certain how long ago this was."""
        return self._pass(text).doubted_for

    def _pass(self, text: object, is_reported: bool = False) -> Passed:
        moment = parse_moment(text)
        if moment is None:
            return Passed(0.0)
        return (
            Passed(max(-_SKEW, (self.now - moment).total_seconds()))
            if self.measure is None
            else self.measure(str(text), is_reported)
        )

    @property
    def measured(self) -> Measured | None:
        """The time passed since every time that counts; None if `now` is enough."""
        if self.measure is None:
            return None
        passed = {text: self.measure(text, False) for text in self.times}
        for answer in self.answers.values():
            if isinstance(answer, Activity) and answer.last is not None:
                text = stamp(answer.last.astimezone(UTC))
                passed[text] = self.measure(text, True)
        return Measured(passed)

    @property
    def times(self) -> list[str]:
        """The times in the status and in the run's objects from which something is counted."""
        known = self.status
        texts = [known.get("startedAt"), known.get("resumedAt"), known.get("finishedAt")]
        texts.append(self.last_step)
        for ask, answer in self.answers.items():
            if isinstance(ask, Known | Get | Labelled):
                for made in answer if isinstance(answer, tuple) else (answer.body,):
                    texts += _list_times(made or {})
        return [text for text in texts if isinstance(text, str)]

    @property
    def began(self) -> str | None:
        """From when on the limits of the run count: its first start, or its last resumption.

        One that was resumed before it ever started begins with its start, not with its wait.
        """
        started, resumed = self.status.get("startedAt"), self.status.get("resumedAt")
        first, last = parse_moment(started), parse_moment(resumed)
        return resumed if first is not None and last is not None and last > first else started

    @property
    def last_step(self) -> str | None:
        """When the status last changed its phase or reason."""
        history = self.status.get("history") or ()
        return history[-1].get("at") if history else None

    @property
    def stamp(self) -> str:
        return stamp(self.now)


def describe_leaving(pipeline: Mapping[str, Any] | None, name: str, uid: str) -> str:
    """Return why this pipeline wants a run that it made no more; empty if it does."""
    if pipeline is None or pipeline["metadata"].get("uid") != uid:
        return f"its pipeline '{name}' is gone"
    phase = parse_phase(read_status(pipeline))
    if "deletionTimestamp" in pipeline["metadata"]:
        return f"its pipeline '{name}' is being deleted"
    if phase.is_final or phase is Phase.PROCESSING:
        return f"its pipeline '{name}' has ended"
    return f"its pipeline '{name}' is stopping" if phase is Phase.STOPPING else ""


@dataclass(frozen=True)
class Decision:
    """What to do: write `status` if it differs from the stored one, then do the actions, in order.

    A `status` of None means that there is nothing to write.

    `freeze`: the write must fail if the object changed since it was read. `requeue_after`: look
    again after so many seconds. `asks`: must be asked of the store before the decision can be made.
    `plan`: what the created objects run, for those who run it without a cluster. `cache`: of a
    freeze, what an earlier run's result is looked for by, which may then take the place of this
    decision (`runtimes.reuse`).
    """

    status: Status | None = None
    actions: tuple[Action, ...] = ()
    freeze: bool = False
    requeue_after: float | None = None
    asks: frozenset[StoredRuns] = frozenset()
    plan: Plan | None = field(default=None, compare=False)
    cache: CacheKey | None = field(default=None, compare=False)


NOTHING = Decision()


def _list_times(made: Mapping[str, Any]) -> Iterator[Any]:
    yield (made.get("metadata") or {}).get("creationTimestamp")
    status = made.get("status") or {}
    for section in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(section) or ():
            yield ((container.get("state") or {}).get("running") or {}).get("startedAt")


def stamp(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC with microseconds: the published client sorts by it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_stamp(text: str) -> datetime:
    return datetime.fromisoformat(text)
