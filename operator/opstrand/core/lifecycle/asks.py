"""What a decision may ask about a run's objects, and the shape of each answer.

Owns the questions as values: they are sent to workers. The shell answers them
(`controller.gather`). Must not say which are asked: the kinds of runs in `runtimes` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.types import Manifest


@dataclass(frozen=True)
class Known:
    """What is known of the object of this kind and name, without a request. Answer: Sighting."""

    kind: str
    name: str


@dataclass(frozen=True)
class Get:
    """What the API server has under this kind and name. Answer: Sighting."""

    kind: str
    name: str


@dataclass(frozen=True)
class Labelled:
    """The known objects of this kind with the run's label, by name. Answer: tuple of manifests.

    Anyone can write a label, so it proves nothing.
    """

    kind: str


@dataclass(frozen=True)
class Children:
    """The known Operations that this run owns as their controller, by name.

    Answer: tuple of Operations.
    """


@dataclass(frozen=True)
class Pipeline:
    """What the file of this run, a pipeline, says of its operations.

    Answer: `core.pipelines.outline.Outline`, or SpecError.
    """


@dataclass(frozen=True)
class Warnings:
    """The warning Events about a Pod. Answer: tuple of Events, empty if they cannot be read."""

    uid: str


@dataclass(frozen=True)
class Probe:
    """When the service at this address was last used. Answer: Activity."""

    url: str


Ask = Known | Get | Labelled | Children | Pipeline | Warnings | Probe
Answers = Mapping[Ask, Any]


@dataclass(frozen=True)
class Sighting:
    """What is known of one object.

    `own_uid`: the uid of the object that this process created, or compared with what it would
    create; empty if that is not known. `was_seen`: an object of this name existed and is gone.
    `last`: the last known body of a run that had ended and is gone.
    """

    body: Manifest | None = None
    own_uid: str = ""
    was_seen: bool = False
    last: Manifest | None = None

    @property
    def uid(self) -> str:
        """The uid of the object; empty if there is none."""
        return "" if self.body is None else str(self.body["metadata"].get("uid") or "")
