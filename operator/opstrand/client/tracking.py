"""Tracking without a client object: `init()` once, then functions, as in the published package.

Owns the one current run. `TRACKING_RUN` is None before `init()`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from typing import Any

from .environment import context_root, is_set
from .errors import ClientError, NotManaged
from .guard import REPORTS, attempt, guard_reports, note
from .media import Media
from .missing import NEEDLESS_OF_TRACKING, OF_TRACKING, add_missing, add_needless
from .resources import sample_resources
from .run import RunClient

TRACKING_RUN: Run | None = None
#: When a function that only reports may ask again which run this is, by the monotonic clock.
_asks_from = 0.0
#: Seconds between two such questions while the API is away, which wait for it: at least so many,
#: and at least so many times what the last one took.
_PAUSE = 60.0
_SHARE = 10


@add_missing(OF_TRACKING)
@add_needless(NEEDLESS_OF_TRACKING)
@guard_reports
class Run(RunClient, Media):
    """A run client that reads the run at once and knows the run's folder."""

    def __init__(
        self,
        *args: Any,
        track_env: bool = True,
        artifacts_path: str | None = None,
        collect_resources: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._artifacts_path = artifacts_path or os.path.join(
            context_root(), "artifacts", self.run_uuid
        )
        self.refresh_data()
        if track_env and not self._is_idle:
            self.log_env()
        is_asked = is_set("POLYAXON_COLLECT_RESOURCES")
        if not self._is_idle and (is_asked if collect_resources is None else collect_resources):
            sample_resources(self._artifacts_path)

    def get_artifacts_path(
        self,
        rel_path: str | None = None,
        ensure_path: bool = False,
        is_dir: bool = False,
        **ignored: Any,
    ) -> str:
        """Return the run's own folder, or a path in it; `ensure_path` creates the folders."""
        path = os.path.join(self._artifacts_path, rel_path) if rel_path else self._artifacts_path
        if ensure_path:
            try:
                os.makedirs(path if is_dir else os.path.dirname(path), exist_ok=True)
            except OSError as error:
                note("get_artifacts_path", error)
        return path

    def _events_folder(self) -> str:
        return self._artifacts_path

    def get_outputs_path(
        self,
        rel_path: str | None = None,
        ensure_path: bool = True,
        is_dir: bool = False,
        **ignored: Any,
    ) -> str:
        """Return the folder of the run's outputs, or a path in it, and create its folders."""
        return self.get_artifacts_path(
            os.path.join("outputs", rel_path or ""), ensure_path, is_dir
        ).rstrip("/")

    def log_env(self, rel_path: str | None = None, content: dict[str, Any] | None = None) -> None:
        """Save facts about this process as `env.json` among the outputs.

        Does nothing if the folder cannot be written.
        """
        facts = content or {
            "python_version": platform.python_version(),
            "os": platform.platform(),
            "executable": sys.executable,
            "arguments": sys.argv,
            "hostname": platform.node(),
        }
        try:
            path = self.get_outputs_path(rel_path or "env.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(facts, file)
        except OSError:
            return
        self.log_artifact_ref(path, "env", "env", rel_path=f"outputs/{rel_path or 'env.json'}")

    def get_tensorboard_path(self, rel_path: str = "tensorboard") -> str:
        """Return the folder for TensorBoard's files among the outputs."""
        return self.get_outputs_path(rel_path, is_dir=True)

    def set_artifacts_path(
        self, artifacts_path: str | None = None, is_related: bool = False
    ) -> None:
        """Use this folder for the run's files from now on."""
        self._artifacts_path = artifacts_path or os.path.join(
            context_root(), "artifacts", self.run_uuid
        )

    def get_log_level(self) -> str | None:
        return os.environ.get("POLYAXON_LOG_LEVEL")


def init(*args: Any, **options: Any) -> Run:
    """Find out which run this is and read it.

    Accepts the arguments of the published `init`. Raises ClientError.
    """
    global TRACKING_RUN  # noqa: PLW0603 - the published module has it too, and programs read it
    TRACKING_RUN = Run(*args, **options)
    return TRACKING_RUN


def get_or_create_run(tracking_run: Run | None = None) -> Run:
    """Return the given run, else the current one, else the one that `init()` finds."""
    return tracking_run or TRACKING_RUN or init()


def end() -> None:
    """Wait until everything logged is stored."""
    if TRACKING_RUN is not None:
        TRACKING_RUN.end()


def _report(name: str, /, *args: Any, **options: Any) -> Any:
    """Call a method that reports; without a run it does nothing but say so once."""
    global _asks_from  # noqa: PLW0603 - `init()` would wait for the API with each call
    began = time.monotonic()
    if TRACKING_RUN is None and began < _asks_from:
        return None
    _asks_from = math.inf  # other threads do not wait, too
    try:
        run = get_or_create_run()
    except NotManaged:
        raise
    except BaseException:
        now = time.monotonic()
        _asks_from = now + max(_PAUSE, _SHARE * (now - began))
        raise
    _asks_from = 0.0
    return getattr(run, name)(*args, **options)


def __getattr__(name: str) -> Any:
    """Offer each method of the current run as a function; the first use of one calls `init()`."""
    if not name.startswith("_") and callable(getattr(Run, name, None)):

        def call(*args: Any, **options: Any) -> Any:
            if name.startswith(REPORTS):
                return attempt(name, _report, name, *args, **options)
            return getattr(get_or_create_run(), name)(*args, **options)

        call.__name__, call.__doc__ = name, getattr(Run, name).__doc__
        return call
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["TRACKING_RUN", "ClientError", "Run", "end", "get_or_create_run", "init"]
