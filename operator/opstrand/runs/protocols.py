"""What the HTTP API needs from whoever keeps the runs: one small protocol with two keepers (a
cluster, this process' memory).

Owns the protocol and its errors. A run is handed around as the raw body of its Operation, the same
shape for every keeper; what the wire says about it is `views`' business. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
    """What was asked cannot be stored or done; the text says what was found and what was
    expected.
    """


@dataclass(frozen=True)
class Identity:
    """A user as the cluster knows one: what its rights are decided by."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Control:
    """What a person asks of a run: keys of `spec.control`, and the approval."""

    switches: Mapping[str, bool | int] = field(default_factory=dict)
    is_approved: bool | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what is asked."""
        return (*self.switches, *(() if self.is_approved is None else ("approve",)))


@dataclass(frozen=True)
class LogLine:
    """One line of the main container: `at` is an RFC 3339 time with nanoseconds, in UTC, ending in
    Z; `text` has no line end.

    A node that cannot read a log says so in a line of its own, without a time: `at` is empty.
    """

    at: str
    text: str


@dataclass(frozen=True)
class Listed:
    """`head`: the body, without its bulk where it is large.

    `beside`: fields of the view that such a head has not.
    """

    head: Body
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> Body:
        """The body, unpacked again for each who asks."""
        return unpack(self.head)


class Orders(Protocol):
    """What a user asks of the keeper. The methods are described where `Runs` has them."""

    async def create(self, project: str, body: Body) -> Body: ...

    async def control(self, project: str, uuid: str, control: Control) -> Body: ...

    async def delete(self, project: str, uuid: str) -> None: ...


class Runs(Protocol):
    """Keeps runs. `project` is a namespace, `uuid` 32 hex digits without dashes.

    Every method raises `RunNotFound` for a run that is not in that project, and `PlatformError`
    where the keeper is in trouble.
    """

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        """The run as it is known here, or with `newest` as it is.

        It is said not to exist only after the keeper itself was asked.
        """

    async def list(self, project: str) -> Sequence[Listed]:
        """Every run of the project, in any order, the large ones still packed.

        Raises `ProjectNotFound`.
        """

    async def projects(self) -> Sequence[str]:
        """The names of the projects there are."""

    async def create(self, project: str, body: Body) -> Body:
        """Make a run from an Operation with `metadata.generateName` or `name`.

        Raises `ProjectNotFound` and `Refused`.
        """

    def on_behalf_of(self, by: Identity) -> Orders:
        """The same runs, where what is created, asked and deleted is known to be this user's
        doing.
        """

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        """Write what a run reports about itself; returns once it is stored.

        Raises `edits.TooLarge`.
        """

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        """Ask something of the run; the operator carries it out. Raises `Refused`."""

    async def delete(self, project: str, uuid: str) -> None:
        """Delete the Operation, and with it its Pods. Raises `Refused`."""

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body:
        """The run as soon as `until` holds for it, or as it is after that many seconds."""

    def log(self, body: Body, attempt: int, since: str | None) -> AsyncIterator[LogLine]:
        """Follow the main container of an attempt, oldest line first, from the whole second of
        `since` (a `LogLine.at`) on.

        Waits for the container to start, and ends when it has ended; ends at once where there is
        nothing (any more) to read.
        """

    async def ready(self) -> bool:
        """Whether the keeper can be read and written now."""
