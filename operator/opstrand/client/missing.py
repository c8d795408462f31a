"""The methods that only the published client has: each raises one sentence that says what to do, or
does nothing where nothing is to be done.

Owns these lists. Remove a name here when it becomes a method. A test compares both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .errors import NotSupported

Class = TypeVar("Class", bound=type)

_FILES = (
    "read and write files below get_outputs_path() of `tracking`; another run gets them by `init` "
    "or `toInit`"
)
_SERIES = "get_metrics() of each run has its metrics as columns"
_STORED = "create a run of a polyaxonfile by create(content=...): each is kept by its Operation"
_MODELS = "report the files by log_model_ref(path), and name the run where they are used"
_CHECKOUT = "look at its Pod with kubectl"

#: Name -> what does the same, or what to do instead.
OF_CLIENT: dict[str, str] = {
    **dict.fromkeys(
        (
            "download_artifact",
            "download_artifact_for_lineage",
            "download_artifacts",
            "get_artifact",
            "get_artifacts_tree",
        ),
        _FILES,
    ),
    **dict.fromkeys(
        (
            "delete_artifact",
            "delete_artifacts",
            "upload_artifact",
            "upload_artifacts",
            "upload_artifacts_dir",
        ),
        _FILES,
    ),
    **dict.fromkeys(("get_metrics_as_tidy_df", "get_metrics_as_wide_df"), _SERIES),
    **dict.fromkeys(
        ("get_metrics_as_bar_chart", "get_metrics_as_line_chart", "get_metrics_as_scatter_chart"),
        _SERIES,
    ),
    **dict.fromkeys(
        ("get_runs_as_hiplot", "get_runs_io"), "list() gives each run with its inputs and outputs"
    ),
    **dict.fromkeys(
        ("load_offline_run", "persist_run", "pull_remote_run", "push_offline_run"), _STORED
    ),
    **dict.fromkeys(("promote_to_artifact_version", "promote_to_model_version"), _MODELS),
    **dict.fromkeys(("inspect", "shell"), _CHECKOUT),
    "areset_client": "this client waits in the thread that calls it: use asyncio.to_thread",
    "get_runs_artifacts_lineage": "ask each run of list() by get_artifacts_lineage()",
    "transfer": "a run stays in its namespace: create it in the other project",
}
OF_TRACKING: dict[str, str] = dict.fromkeys(
    ("get_artifacts_store_connection", "get_connections_catalog"),
    "read the variable POLYAXON_CONNECTIONS_CATALOG",
)
#: What the published client sets up or sends by these methods needs no call here: they do nothing.
NEEDLESS_OF_CLIENT = (
    "set_run_edges_lineage",
    "sync_events_summaries",
    "sync_system_events_summaries",
)
NEEDLESS_OF_TRACKING = (
    "set_run_event_logger",
    "set_run_logs_logger",
    "set_run_process_sidecar",
    "set_run_resource_logger",
    "sync_artifacts_and_summaries",
)


def add_missing(names: dict[str, str]) -> Callable[[Class], Class]:
    """Decorate a class: each of these names that it lacks becomes a method raising NotSupported."""

    def decorate(cls: Class) -> Class:
        for name, instead in names.items():
            if not hasattr(cls, name):
                setattr(cls, name, _make_missing(name, instead))
        return cls

    return decorate


def add_needless(names: Sequence[str]) -> Callable[[Class], Class]:
    """Decorate a class: each of these names becomes a method that does nothing."""

    def decorate(cls: Class) -> Class:
        for name in names:
            setattr(cls, name, _make_needless(name))
        return cls

    return decorate


def _make_needless(name: str) -> Callable[..., None]:
    def needless(*args: Any, **options: Any) -> None:
        return None

    needless.__name__ = name
    needless.__doc__ = "Do nothing: events are sent, and edges recorded, without it."
    return needless


def _make_missing(name: str, instead: str) -> Callable[..., Any]:
    def missing(*args: Any, **options: Any) -> Any:
        raise NotSupported(
            f"{name} is not offered by the client that opstrand adds to images: {instead}, or "
            "install `polyaxon` there"
        )

    missing.__name__ = name
    missing.__doc__ = f"Not offered: {instead}."
    return missing
