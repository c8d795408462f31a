"""`build`: an image that is built before the run.

Owns the keys. Must not build an image.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opstrand.spec.cache import Cache
from opstrand.spec.params import Params
from opstrand.spec.patch import RunPatch, Strategy
from opstrand.spec.scalars import OR_TEMPLATE, Text, Texts
from opstrand.spec.section import Section


class Build(Section):
    """The component that builds the main container's image."""

    hub_ref: Text = Field(description="The component that builds.", examples=["kaniko"])
    connection: Text | None = Field(
        None, description="Connection of the registry.", examples=["registry"]
    )
    presets: Texts | None = Field(None, description="Presets of the build.", examples=[["small"]])
    queue: Text | None = Field(None, description="Queue of the build.", examples=["agent/builds"])
    namespace: Text | None = Field(None, description="Namespace of the build.", examples=["builds"])
    cache: Annotated[Cache, OR_TEMPLATE] | None = Field(
        None, description="Whether an equal image is reused.", examples=[{"disable": True}]
    )
    params: Params | None = Field(
        None,
        description="Params of the build; `destination` names the image.",
        examples=[{"destination": {"value": "app:v1"}}],
    )
    run_patch: RunPatch | None = Field(
        None,
        description="Patches the builder's runtime.",
        examples=[{"init": [{"dockerfile": {"image": "python"}}]}],
    )
    patch_strategy: Strategy | None = Field(
        None, description="How that patch is merged.", examples=["replace"]
    )
