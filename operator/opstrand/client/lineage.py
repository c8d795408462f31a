"""The methods of `RunClient` that report and read lineage: the files and folders of a run.

Owns what an entry of the lineage table says. A file stays where it is: no method sends one. What is
outside of the run's own folder is read for its hash before the call returns, up to a bound.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .batch import Report
from .guard import guard_reports, note
from .values import to_json, to_name

Json = dict[str, Any]
#: Hex digits of a hash, and bytes that are read at a time.
_HASH = 12
_BLOCK = 1024 * 1024
#: Bytes that are read for one hash, which the caller waits for: seconds.
_MOST_HASHED = 1024 * 1024 * 1024


@guard_reports
class Lineage:
    """The part of `RunClient` that is about the lineage table."""

    run_uuid: str

    if TYPE_CHECKING:
        # What `RunClient` gives these methods.
        def _log(self, report: Report, async_req: bool) -> None: ...
        def _read(self, path: str, query: Json | None = None, method: str = "GET") -> Json: ...
        def _events_folder(self) -> str: ...
        def log_meta(self, **meta: Any) -> None: ...

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
        skip_hash_calculation: bool = False,
        **ignored: Any,
    ) -> None:
        """Put a file or folder into the lineage table. The file stays where it is.

        It is read for its hash, unless `hash` or `content` is given, `skip_hash_calculation` is
        set, or the run's own folder is in it. What is too large has none, and a line says so.
        """
        path = os.fspath(path)
        is_hashed = not skip_hash_calculation and not is_above(path, self._events_folder())
        if not hash and is_hashed:
            hash = _hash_text(content) if content is not None else _hash_files(path)
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
        self,
        path: str,
        name: str | None = None,
        framework: str | None = None,
        summary: Json | None = None,
        **facts: Any,
    ) -> None:
        summary = {**(summary or {}), "framework": framework}
        self.log_meta(has_model=True)
        self.log_artifact_ref(path, "model", name, summary=summary, **facts)

    def log_data_ref(
        self,
        name: str,
        path: str = "",
        hash: str | None = None,
        is_input: bool = True,
        **facts: Any,
    ) -> None:
        self.log_artifact_ref(path, "data", name, hash, is_input=is_input, **facts)

    def log_tensorboard_ref(
        self, path: str, name: str = "tensorboard", is_input: bool = False, **facts: Any
    ) -> None:
        self.log_artifact_ref(path, "tensorboard", name, is_input=is_input, **facts)

    def log_code_ref(self, code_ref: Json | None = None, is_input: bool = True) -> None:
        """Put a commit into the lineage table: `commit`, `branch`, `url`, ..."""
        if not code_ref:
            note("log_code_ref", "say the commit, or let an `init.git` step record it")
            return
        name = str(code_ref.get("commit") or code_ref.get("name") or "code")
        item = {"name": name, "kind": "coderef", "summary": dict(code_ref), "is_input": is_input}
        self.log_artifact_lineage(item)

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


def is_above(path: str, folder: str) -> bool:
    """Whether a folder is in the folder of this path, or is that."""
    above, below = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath((above, below)) == above


class _TooLarge(Exception):
    """More than _MOST_HASHED."""


def _hash_files(path: str) -> str:
    """Return the hash of a file, or of all files of a folder; empty if they cannot be read, or are
    too large.
    """
    import hashlib

    # As the published client names a version of a file; not for security.
    found = hashlib.new("md5", usedforsecurity=False)
    left = _MOST_HASHED
    try:
        if os.path.isfile(path):
            _add_file(found, path, left)
        elif os.path.isdir(path):
            for folder, _, names in os.walk(path, topdown=True):
                for name in names:
                    left = _add_file(found, os.path.join(folder, name), left)
        else:
            return ""
    except OSError:
        return ""
    except _TooLarge:
        note(
            "log_artifact_ref",
            f"{path} has more than {_MOST_HASHED:,} bytes and gets no hash; say hash=..., or "
            "skip_hash_calculation=True",
        )
        return ""
    return found.hexdigest()[:_HASH]


def _add_file(found: Any, path: str, left: int) -> int:
    """Add a file to a hash; return how many bytes may still be added. Raises _TooLarge, OSError."""
    if not os.path.isfile(path):  # a pipe has no content that stays, and reading it may never end
        return left
    with open(path, "rb") as file:
        while True:
            block = file.read(_BLOCK)
            if not block:
                return left
            left -= len(block)
            if left < 0:
                raise _TooLarge
            found.update(block)


def _hash_text(content: Any) -> str:
    import hashlib

    text = str(content).encode("utf-8", "backslashreplace")
    return hashlib.new("md5", text, usedforsecurity=False).hexdigest()[:_HASH]
