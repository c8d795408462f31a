"""A component: the reusable file. Also the `spec` of the Component custom resource.

Owns what only a component has. Must not know how a component is found or merged.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from opstrand.spec.common import Common


class Component(Common):
    """What can run: inputs, outputs and a runtime, to be used by many operations."""

    kind: Literal["component"] | None = Field(
        None, description="Says that the file is a component.", examples=["component"]
    )
