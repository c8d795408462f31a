"""A worker's job: the compiled operation of a run, as the API shows it.

Owns what a worker must import for that. Must not compile: `core.compiling` does.
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
    """Compile a first run, so that the workers do not each import what that needs."""
    compile_text(_FIRST)


def compile_text(source: Mapping[str, Any]) -> str | None:
    """The compiled operation of `spec` and `status` as JSON; None if it does not compile."""
    try:
        return json.dumps(compile_published(source), ensure_ascii=False)
    except SpecError:
        return None
