"""What the HTTP API needs from a store of runs: one small protocol with two implementations (a
cluster, and this process's memory).

Owns the protocol and its errors. A run is passed around as the raw body of its Operation, the same
shape for every store; `api.published.views` maps it to the wire. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from opstrand.core.packed import unpack
from opstrand.runs.status_edits import Edit
from opstrand.types import Body


class RunNotFound(LookupError):
    """No run of that uuid in that project, or none that the caller may know of."""


class ProjectNotFound(LookupError):
    """No such project, or none that the caller may know of."""


class Refused(ValueError):
    """The request cannot be stored or done; the text says what was found and what was expected."""


@dataclass(frozen=True)
class Identity:
    """A user as the cluster knows it: the facts that decide its rights."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Control:
    """What a user asks of a run: keys of `spec.control`, the approval, and to run again."""

    switches: Mapping[str, bool | int] = field(default_factory=dict)
    is_approved: bool | None = None
    resumes: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of the requested changes."""
        approve = () if self.is_approved is None else ("approve",)
        return (*self.switches, *approve, *(("resume",) if self.resumes else ()))


@dataclass(frozen=True)
class LogLine:
    """One line of the main container.

    `at` is an RFC 3339 time with nanoseconds, in UTC, ending in Z; `text` has no line end. A node
    that cannot read a log reports that in a line without a time: `at` is then empty. A line that is
    not whole may go on: a followed log can end in the middle of one.
    """

    at: str
    text: str
    is_whole: bool = True


@dataclass(frozen=True)
class Listed:
    """`head`: the body, without the bulk of a large one.

    `beside`: fields of the view that such a head lacks.
    """

    head: Body
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> Body:
        """The whole body, unpacked for every call."""
        return unpack(self.head)


class Fields(Protocol):
    """One run as a query sees it."""

    @property
    def run(self) -> Listed: ...

    def read(self, field: str) -> Any:
        """A field by its name in the query language; a list if the run has several values."""


@dataclass(frozen=True)
class Search:
    """One page of the runs that a query selects, in an order: texts of the query language.

    `fields` makes of a run what the query reads.
    """

    query: str | None
    sort: str | None
    offset: int
    limit: int
    fields: Callable[[Listed], Fields]


@dataclass(frozen=True)
class Found:
    """One page. `count`: how many runs the query selects."""

    count: int
    runs: Sequence[Fields]


class Orders(Protocol):
    """What a user may ask of the store. `Runs` describes the methods."""

    async def create(self, project: str, body: Body) -> Body: ...

    async def control(self, project: str, uuid: str, control: Control) -> Body: ...

    async def delete(self, project: str, uuid: str) -> None: ...


class Runs(Protocol):
    """Stores runs. `project` is a namespace, `uuid` is 32 hex digits without dashes.

    Every method raises `RunNotFound` for a run that is not in that project, and `PlatformError` if
    the store does not work.
    """

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        """The run as it is cached, or with `newest` as it is stored.

        Raises `RunNotFound` only after the store itself was asked.
        """

    async def list(self, project: str) -> Sequence[Listed]:
        """Every run of the project that has an object, in any order, the large ones still packed.

        Raises `ProjectNotFound`.
        """

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        """The runs that the Operation of this uid made, as they are cached; in any order."""

    async def gone_below(self, body: Body) -> Mapping[str, Sequence[Listed]]:
        """The runs below a pipeline that have no object any more, by the uid of the pipeline that
        made them.
        """

    def version_below(self, project: str, uid: str) -> int:
        """A number that changes whenever one of those runs does."""

    async def search(self, project: str, search: Search) -> Found:
        """One page of all runs of the project, also of those that have no object any more.

        Raises `ProjectNotFound`, and SpecError for a wrong query.
        """

    async def named(self, project: str, name: str) -> Body:
        """The run whose object has this name, else the newest whose object had it.

        Raises `ProjectNotFound`.
        """

    async def find(self, project: str, uuids: Sequence[str]) -> Sequence[Body]:
        """Those of these runs that there are, in any order. Raises `ProjectNotFound`."""

    async def projects(self) -> Sequence[str]:
        """The names of all projects."""

    async def create(self, project: str, body: Body) -> Body:
        """Create a run from an Operation with `metadata.generateName` or `name`.

        Raises `ProjectNotFound` and `Refused`.
        """

    def on_behalf_of(self, by: Identity) -> Orders:
        """The same runs, where every creation, request and deletion is recorded as this user's."""

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        """Write what a run reports about itself; returns once it is stored.

        Raises `status_edits.TooLarge`.
        """

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        """Request a change of the run; the operator carries it out. Raises `Refused`."""

    async def delete(self, project: str, uuid: str) -> None:
        """Delete the Operation, and with it its Pods. Raises `Refused`."""

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body:
        """The run as soon as `until` holds for it, or as it is after `seconds`."""

    def log(self, body: Body, attempt: int, since: str | None) -> AsyncGenerator[LogLine, None]:
        """Follow the main container of an attempt, oldest line first, from the whole second of
        `since` (a `LogLine.at`) on.

        Waits for the container to start, and ends when it has ended; ends at once if there is
        nothing (more) to read.
        """

    async def find_tail(self, body: Body, attempt: int, lines: int) -> str | None:
        """A time from which on the log of an attempt has at least so many lines, if it is known:
        what is before it need not be read.
        """

    async def ready(self) -> bool:
        """Whether the store can be read and written now."""
