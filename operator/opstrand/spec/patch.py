"""The strategies for merging one part of a file into another.

Owns their names. `core.compiling.patch` merges.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from opstrand.spec.scalars import Accepts

#: Not a template: files are merged before anything is rendered.
Strategy = Literal["replace", "isnull", "post_merge", "pre_merge"]
RunPatch = Annotated[dict[str, Any], Accepts("mapping with the keys of `run`")]
