"""The result of one look at a Pod: the vocabulary in which `diagnosis` answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far the attempt is."""

    PENDING = "Pending"
    RUNNING = "Running"
    #: Main has ended well, and its files are being sent.
    COLLECTING = "Collecting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Fault(StrEnum):
    """Whose budget a failure is charged to."""

    NONE = "None"
    USER = "User"
    PLATFORM = "Platform"


@dataclass(frozen=True)
class Observation:
    """The result of one look at a Pod.

    `reason` is from the vocabulary in `errors`; times are RFC 3339 texts as the kubelet wrote them.
    """

    state: State
    reason: str = ""
    message: str = ""
    fault: Fault = Fault.NONE
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    #: A pending Pod whose trouble will not go away by itself.
    hopeless: bool = False
