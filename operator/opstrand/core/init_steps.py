"""What the init container does, as data: one JSON document that `opstrand.initializer` carries out.

Owns the words of that document. Every built-in init step of the plan is one function here; the Pod sees one fused init container.
Must not know how the document travels (`pod` decides) nor touch a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.plan import Plan
from opstrand.errors import SpecError
from opstrand.settings import Settings

#: The projected token's mount; main sees it too, so that our client can read it again when it changes.
TOKEN_PATH = f"{CONTEXT_ROOT}/.token/token"
#: Where the published client looks for credentials.
AUTH_PATH = f"{CONTEXT_ROOT}/.configs/.auth"

Step = dict[str, Any]


def render_init_document(plan: Plan, settings: Settings) -> dict[str, Any]:
    """The document: directories, credentials, the wait for the API, the import shim, then the plan's own steps in their order."""
    run_path = f"{ARTIFACTS_PATH}/{plan.uuid}"
    return {
        "directories": [run_path, f"{run_path}/outputs"],
        "auth": {"token": TOKEN_PATH, "target": AUTH_PATH} if _wants_auth(plan) else None,
        "api": {"url": settings.api_url, "patience": settings.api_patience},
        "shim": ARTIFACTS_PATH,
        "steps": [step for one in plan.init if not is_container_step(one) for step in _render_step(one, plan)],
    }


def encode(document: Mapping[str, Any]) -> str:
    """The document's canonical text."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def is_container_step(step: Mapping[str, Any]) -> bool:
    """A step that is nothing but a container of the user's: a raw Kubernetes init container."""
    return "container" in step and not any(kind in step for kind in _STEPS) and "connection" not in step


def render_lineage(plan: Plan) -> list[dict[str, Any]]:
    """The input artifacts that the init steps leave. The operator records them with the freeze: no run spends a write on them."""
    return [
        {
            "name": _artifact_name(step["file"]["filename"]),
            "kind": "file",
            "path": f"outputs/{_base_name(step['file']['filename'])}",
            "isInput": True,
            "summary": {"hash": hashlib.sha256(step["file"]["content"].encode()).hexdigest()},
        }
        for step in plan.init
        if "file" in step
    ]


def _wants_auth(plan: Plan) -> bool:
    return plan.plugins.get("auth") is not False


def _render_step(step: Mapping[str, Any], plan: Plan) -> list[Step]:
    for kind, render in _STEPS.items():
        if kind in step:
            return [render(step, plan)]
    raise SpecError("NotSupported", f"init steps of the kind {', '.join(sorted(step))!r} are not run by this version", "run.init")


def _render_file(step: Mapping[str, Any], plan: Plan) -> Step:
    file = step["file"]
    target = f"{step.get('path') or ARTIFACTS_PATH}/{file['filename']}"
    return {
        "kind": "file",
        "target": target,
        "content": file["content"],
        "chmod": file.get("chmod"),
        "copy": f"{ARTIFACTS_PATH}/{plan.uuid}/outputs/{_base_name(file['filename'])}",
    }


_STEPS: dict[str, Callable[[Mapping[str, Any], Plan], Step]] = {"file": _render_file}


def _base_name(filename: str) -> str:
    return filename.rsplit("/", 1)[-1]


def _artifact_name(filename: str) -> str:
    """`echo.py` is `echo-py` in the lineage table, as the published init step names it."""
    return _base_name(filename).replace(".", "-")
