"""The order to resume, as both stores of runs write it.

Owns its refusal. Must not write.
"""

from __future__ import annotations

from typing import Any

from opstrand.core.lifecycle.resume import describe_obstacle, make_control
from opstrand.runs.protocols import Refused
from opstrand.types import Body


def order_resume(body: Body) -> dict[str, Any]:
    """Return the `spec.control` that lets a run that is over run again. Raises Refused."""
    if obstacle := describe_obstacle(body):
        raise Refused(obstacle)
    return make_control(body)
