"""The init step of ours that fetches the files which earlier attempts of a run left.

Owns that step. Must not decide which attempts have it: `attempt` does.
"""

from __future__ import annotations

from dataclasses import replace

from opstrand.core.planning.plan import Plan
from opstrand.core.pods.init_sources import OPTIONAL

_PATH = "plugins.autoResume"


def restore_files(plan: Plan) -> Plan:
    """Return the plan with that step first, unless `plugins.autoResume` is false."""
    if plan.plugins.get("autoResume") is False:
        return plan
    step = {"artifacts": {"dirs": [plan.uuid]}, OPTIONAL: True}
    return replace(plan, init=(step, *plan.init), init_paths=(_PATH, *plan.init_paths))
