"""Init steps of ours that fetch files of earlier runs into the run's folder before all other steps.

A copy gets the files of the run that it was copied from, a resumed run those that its earlier
attempts left. Owns these steps. Must not fetch: `init_sources` renders a step like a user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.identity import COPIED_PATH, read_copied
from opstrand.core.planning.plan import Plan
from opstrand.core.pods.init_sources import OPTIONAL
from opstrand.types import Body

_RESTORED_PATH = "plugins.autoResume"


def copy_files(plan: Plan, body: Body) -> Plan:
    """Return the plan with the step that copies what the object asks to be copied."""
    copied = read_copied(body["metadata"])
    if copied is None:
        return plan
    parts = {
        kind: [[_join(copied.uuid, path), _join(plan.uuid, path)] for path in paths]
        for kind, paths in copied.parts.items()
    }
    artifacts = {key: parts[key] for key in ("files", "dirs") if key in parts}
    step: dict[str, Any] = {
        **({"artifacts": artifacts} if artifacts else {}),
        **({"paths": parts["paths"]} if "paths" in parts else {}),
    }
    if not step:
        # All that there is, which may be nothing.
        step = {"artifacts": {"dirs": [[copied.uuid, plan.uuid]]}, OPTIONAL: True}
    return _put_first(plan, step, COPIED_PATH)


def restore_files(plan: Plan) -> Plan:
    """Return the plan with the step that restores the run's own files.

    Without it if `plugins.autoResume` is false.
    """
    if plan.plugins.get("autoResume") is False:
        return plan
    step = {"artifacts": {"dirs": [plan.uuid]}, OPTIONAL: True}
    return _put_first(plan, step, _RESTORED_PATH)


def _put_first(plan: Plan, step: Mapping[str, Any], path: str) -> Plan:
    return replace(plan, init=(step, *plan.init), init_paths=(path, *plan.init_paths))


def _join(uuid: str, path: str) -> str:
    return f"{uuid}/{path}" if path else uuid
