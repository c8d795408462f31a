"""The methods of `RunClient` that report and read lineage: the files and folders of a run.

Owns what an entry of the lineage table says. A file stays where it is: no method sends one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .batch import Report
from .values import to_json, to_name

Json = dict[str, Any]


class Lineage:
    """The part of `RunClient` that is about the lineage table."""

    run_uuid: str

    if TYPE_CHECKING:
        # What `RunClient` gives these methods.
        def _log(self, report: Report, async_req: bool) -> None: ...
        def _read(self, path: str, query: Json | None = None, method: str = "GET") -> Json: ...

    @property
    def artifacts_lineage(self) -> Json:
        """The lineage table by name."""
        return {str(item.get("name")): item for item in self.get_artifacts_lineage()}

    def log_artifact_ref(
        self,
        path: str,
        kind: str = "file",
        name: str | None = None,
        hash: str | None = None,
        content: Any = None,
        summary: Json | None = None,
        is_input: bool = False,
        rel_path: str | None = None,
        **ignored: Any,
    ) -> None:
        """Put a file or folder into the lineage table. The file stays where it is."""
        facts: Json = {"path": path, **({"hash": hash} if hash else {}), **(summary or {})}
        base = os.path.basename(path.rstrip("/")).partition(".")[0]
        item = {"name": to_name(name or base or path), "kind": str(getattr(kind, "value", kind))}
        self.log_artifact_lineage(
            {
                **item,
                "path": rel_path or self._relative(path),
                "summary": facts,
                "is_input": is_input,
            }
        )

    def log_file_ref(self, path: str, name: str | None = None, **facts: Any) -> None:
        self.log_artifact_ref(path, "file", name, **facts)

    def log_dir_ref(self, path: str, name: str | None = None, **facts: Any) -> None:
        self.log_artifact_ref(path, "dir", name, **facts)

    def log_model_ref(
        self, path: str, name: str | None = None, framework: str | None = None, **facts: Any
    ) -> None:
        self.log_artifact_ref(
            path,
            "model",
            name,
            summary={**facts.pop("summary", {}), "framework": framework},
            **facts,
        )

    def log_data_ref(
        self,
        name: str,
        path: str = "",
        hash: str | None = None,
        is_input: bool = True,
        **facts: Any,
    ) -> None:
        self.log_artifact_ref(path, "data", name, hash, is_input=is_input, **facts)

    def log_artifact_lineage(self, body: Json | Sequence[Json], async_req: bool = True) -> None:
        report = Report()
        for item in [body] if isinstance(body, Mapping) else body:
            report.artifact(to_json(dict(item)))
        self._log(report, async_req)

    def get_artifacts_lineage(
        self, query: str | None = None, limit: int = 1000, offset: int = 0
    ) -> Sequence[Json]:
        found = self._read(
            "/lineage/artifacts", {"limit": limit, "offset": offset, "query": query or ""}
        )
        return tuple(found.get("results") or ())

    def _relative(self, path: str) -> str:
        """Return the path relative to the run's folder, or unchanged if it is not below it."""
        _, found, inside = path.partition(f"{self.run_uuid}/")
        return inside if self.run_uuid and found else path
