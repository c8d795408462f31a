"""What is kept of local runs: a folder for each, with its Operation, its plan, its log and its files.

Owns that layout and how many are kept. Must not know what a run is beyond its name and project.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

#: Of one project, so that refs can name them; the oldest go first.
KEPT_RUNS = 200
_RUN, _PLAN, _LOG, _FILES = "run.json", "plan.json", "log", "files"


def default_folder() -> Path:
    """Where local runs live: $OPSTRAND_LOCAL, else the user's data folder. Absolute: programs run in folders of their own."""
    if given := os.environ.get("OPSTRAND_LOCAL"):
        return Path(given).absolute()
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    if base.startswith("~"):
        raise FileNotFoundError("this user has no home: name a folder for local runs by OPSTRAND_LOCAL")
    return Path(base).absolute() / "opstrand" / "runs"


class Records:
    """The runs under one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._claims: list[int] = []

    def files_of(self, project: str, name: str) -> Path:
        """What the run sees as its root."""
        return self._of(project, name) / _FILES

    def plan_of(self, project: str, name: str) -> Path:
        return self._of(project, name) / _PLAN

    def log_of(self, project: str, name: str) -> Path:
        return self._of(project, name) / _LOG

    def _of(self, project: str, name: str) -> Path:
        return self.folder / project / name

    def claim(self, project: str, name: str) -> bool:
        """The folder of a new run, for its user alone, since a token lies in it, and for this process alone as long as that lives. False
        where a run has the name: one that is kept, or one that another process has at this moment."""
        folder = self._of(project, name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._claims.append(claim := os.open(folder, os.O_RDONLY))
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # A file system without locks: whoever runs two of one name there at once is not kept from it.
            pass
        if (folder / _RUN).exists():
            return False
        # Of a run whose process was killed.
        self.log_of(project, name).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Let go of what was claimed."""
        while self._claims:
            os.close(self._claims.pop())

    def save(self, body: Manifest) -> None:
        """Keep the run as it is now, whole or not at all, and let the oldest go."""
        project, name = body["metadata"]["namespace"], body["metadata"]["name"]
        part = self._of(project, name) / f".{_RUN}.part"
        part.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        part.rename(part.with_name(_RUN))
        for path in self._oldest(project):
            shutil.rmtree(path, ignore_errors=True)

    def _oldest(self, project: str) -> list[Path]:
        found = sorted((self.folder / project).glob(f"*/{_RUN}"), key=_written_at)
        return [path.parent for path in found[:-KEPT_RUNS]]

    def load(self, project: str | None = None) -> Iterator[Manifest]:
        """Every run that is kept. One that cannot be read is left out: it was being written, or is not ours."""
        for path in sorted(self.folder.glob(f"{project or '*'}/*/{_RUN}")):
            try:
                body = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(body, dict) and isinstance(body.get("metadata"), dict):
                yield body


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # Another run that ended at the same time let it go.
        return 0.0
