"""`template`: marks a file as a template to fill in before it can run.

Owns the keys. `core.compiling.compile` refuses to run an enabled one.
"""

from __future__ import annotations

from pydantic import Field

from opstrand.spec.scalars import Flag, Text, Texts
from opstrand.spec.section import Section


class Template(Section):
    """A file that must be customized first."""

    enabled: Flag | None = Field(
        None, description="Whether the file cannot run as it is.", examples=[True]
    )
    description: Text | None = Field(
        None, description="What to fill in.", examples=["Set the image and the data path."]
    )
    fields: Texts | None = Field(
        None, description="The fields to fill in, as paths.", examples=[["run.container.image"]]
    )
