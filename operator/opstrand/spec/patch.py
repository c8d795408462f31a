"""The words for laying one part of a file over another.

Owns the names of the strategies. The merging is `core.compiling.patch`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from opstrand.spec.section import Takes

#: No template can stand for it: files are laid over each other before anything is rendered.
Strategy = Literal["replace", "isnull", "post_merge", "pre_merge"]
RunPatch = Annotated[dict[str, Any], Takes("mapping with the keys of `run`")]
