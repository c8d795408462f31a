"""What a decision may do to the cluster, whatever the kind of the run.

Owns the actions as values, and what a refused one says. `controller.apply` carries them out. Must
not know which kind of run needs which object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opstrand.types import JsonPatch, Manifest


@dataclass(frozen=True)
class Create:
    """Create this object. Its name is the run's own, so repeating it creates one.

    An existing object is adopted if it is exactly what would be created. `is_optional`: a refusal
    is logged, and the run goes on.
    """

    manifest: Manifest
    is_optional: bool = False


@dataclass(frozen=True)
class Claim:
    """Compare the existing object of this name with the manifest, and adopt it or refuse it.

    `exact`: the frozen run was rendered in the same way.
    """

    manifest: Manifest
    exact: bool


@dataclass(frozen=True)
class Patch:
    """Change a part of an existing object by JSON Patch."""

    kind: str
    name: str
    ops: JsonPatch


@dataclass(frozen=True)
class Delete:
    """Delete an object; its containers get their grace period.

    Without a `uid`: the object of this name, if the run owns it.
    """

    kind: str
    name: str
    uid: str = ""


Action = Create | Claim | Patch | Delete


@dataclass(frozen=True)
class Refusal:
    """The API server did not create an object. `message` is its own.

    `taken`: another object has the name; `invalid`: the object is not valid; `forbidden`: an
    admission plugin or a missing right; `absent`: the namespace is gone.
    """

    cause: Literal["taken", "invalid", "forbidden", "absent"]
    message: str
