"""The words for laying one part of a file over another.

Owns the names of the strategies. The merging is `core.compiling.patch`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from opstrand.spec.section import OR_TEMPLATE, Takes

Strategy = Literal["replace", "isnull", "post_merge", "pre_merge"]
PatchStrategy = Annotated[Strategy, OR_TEMPLATE]
RunPatch = Annotated[dict[str, Any], Takes("mapping with the keys of `run`")]
