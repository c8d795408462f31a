"""`hooks`: components that run after the end of this run.

Owns the keys. Must not run anything.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opstrand.spec.params import Params
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Text, Texts
from opstrand.spec.section import Section

END = Literal["succeeded", "failed", "stopped", "skipped", "upstream_failed", "done"]


class Hook(Section):
    """One component to run after the end."""

    hub_ref: Text = Field(description="The component.", examples=["slack"])
    connection: Text | None = Field(
        None, description="Connection that the component gets.", examples=["slack-team"]
    )
    trigger: Annotated[END, OR_TEMPLATE] | None = Field(
        None,
        description="The end that it runs after. Default: done, which is any.",
        examples=["failed"],
    )
    conditions: Text | None = Field(
        None, description="A template that must be true.", examples=["{{ outputs.loss > 0.5 }}"]
    )
    presets: Texts | None = Field(
        None, description="Presets of the hook's run.", examples=[["small"]]
    )
    queue: Text | None = Field(
        None, description="Queue of the hook's run.", examples=["agent/queue"]
    )
    namespace: Text | None = Field(
        None, description="Namespace of the hook's run.", examples=["team"]
    )
    params: Annotated[Params, OR_TEMPLATE] | None = Field(
        None, description="Params of the component.", examples=[{"text": {"value": "done"}}]
    )
    disable_defaults: Flag | None = Field(
        None,
        description="Leave out the params about the run that ended (uuid, status, outputs, ...).",
        examples=[False],
    )
