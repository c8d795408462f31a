"""Describe what the init steps fetch as lineage: the files and artifacts known beforehand.

Owns the names and facts of those entries. A git commit is known only after the fetch: the init
container reports it. Must not render a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.planning.plan import Plan
from opstrand.core.pods.dockerfile import render_dockerfile
from opstrand.core.pods.init_rules import base_name, dockerfile_name, list_sources


def render_lineage(plan: Plan) -> list[dict[str, Any]]:
    """Render the lineage of the input artifacts from init steps that are known beforehand.

    The operator records them with the freeze, which saves the run a write. A git commit is known
    only after the fetch: the init container reports it.
    """
    entries: dict[str, dict[str, Any]] = {}
    for entry in (one for step in plan.init for one in _describe_step(step)):
        source = (entry.get("summary") or {}).get("path")
        # Two folders of the same name are two artifacts.
        name = source.replace("/", "-") if source and entry["name"] in entries else entry["name"]
        entries[name] = {**entry, "name": name}
    return list(entries.values())


def _describe_step(step: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "file" in step:
        name, content = step["file"]["filename"], step["file"]["content"]
        kind = step["file"].get("kind") or (
            "dockerfile" if "dockerfile" in name.lower() else "file"
        )
        yield _file_lineage(name, kind, content)
    elif "dockerfile" in step:
        yield _file_lineage(
            dockerfile_name(step), "dockerfile", render_dockerfile(step["dockerfile"])
        )
    elif "artifacts" in step or "paths" in step:
        for path in list_sources(step):
            # No `path` of its own: paths are within the run's folder, and this source is in a store
            # or in another run's folder.
            summary = {
                "path": path,
                **({"connection": step["connection"]} if step.get("connection") else {}),
            }
            yield {
                "name": _artifact_name(path) or "artifacts",
                "kind": "artifact",
                "isInput": True,
                "summary": summary,
            }


def _file_lineage(filename: str, kind: str, content: str) -> dict[str, Any]:
    digest = hashlib.sha256(content.encode()).hexdigest()
    path = f"outputs/{base_name(filename)}"
    return {
        "name": _artifact_name(filename),
        "kind": kind,
        "path": path,
        "isInput": True,
        "summary": {"hash": digest},
    }


def _artifact_name(filename: str) -> str:
    """Return the lineage name: `echo.py` is `echo-py`, as the published init step names it."""
    return base_name(filename).replace(".", "-")
