"""A worker's job: the compiled operation of a run, as the API shows it.

Owns what a worker has to import for that. Must not compile: `core.compiling` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from opstrand.core.compiling.published import compile_published
from opstrand.errors import SpecError

MODULE = __name__
_FIRST = {
    "spec": {
        "component": {
            "run": {"kind": "job", "container": {"image": "none", "args": ["{{ globals.name }}"]}}
        }
    },
    "status": {},
}


@cache
def warm_up() -> None:
    """Compile a first run: what that has to load is not loaded again by each worker."""
    compile_text(_FIRST)


def compile_text(source: Mapping[str, Any]) -> str | None:
    """The compiled operation of `spec` and `status` as JSON; None where there is none."""
    try:
        return json.dumps(compile_published(source), ensure_ascii=False)
    except SpecError:
        return None
