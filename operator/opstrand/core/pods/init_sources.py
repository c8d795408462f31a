"""Render a step of `run.init` into steps of the init document: one function for each source.

Owns where the files of each source land. Must not know which container carries the steps out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from opstrand.core.identity import ARTIFACTS_PATH
from opstrand.core.planning.connections import Catalog, Connection
from opstrand.core.planning.plan import Plan
from opstrand.core.pods.dockerfile import render_dockerfile
from opstrand.core.pods.init_rules import (
    SOURCES,
    as_pairs,
    base_name,
    dockerfile_name,
    validate_git,
    validate_step,
)
from opstrand.core.pods.volumes import CA_PATH, TOKEN_PATH, source_path
from opstrand.errors import SpecError
from opstrand.settings import Settings

Step = dict[str, Any]
#: Key of a step of ours, which no file can have: what is not there is not fetched.
OPTIONAL = "optional"
#: The folder of a run: its uuid.
_RUN = re.compile("[0-9a-f]{32}")


def render_step(
    step: Mapping[str, Any], plan: Plan, settings: Settings, catalog: Catalog
) -> tuple[tuple[Step, ...], Connection | None]:
    """Render the document's steps for one step of the plan; also return the connection it reads."""
    validate_step(step)
    connection = catalog.find(step["connection"], "connection") if step.get("connection") else None
    source = next((kind for kind in SOURCES if kind in step), None)
    if source is not None:
        return _RENDERERS[source](step, plan, settings, catalog, connection)
    if connection is None:
        return (), None  # a path alone is an empty folder
    if connection.is_git:
        return _render_git(step, plan, settings, catalog, connection)
    if connection.has_volume:
        return _render_copy(step, plan, settings, catalog, connection)
    if "container" not in step:
        message = (
            f"a step with the connection '{connection.name}' of kind {connection.kind} needs a "
            "container that uses it"
        )
        raise SpecError(
            "NotSupported" if connection.is_bucket else "InvalidSpec", message, "container"
        )
    return (), connection


def _render_file(
    step: Mapping[str, Any], plan: Plan, *_: Any
) -> tuple[tuple[Step, ...], Connection | None]:
    file = step["file"]
    return (_write(step, plan, file["filename"], file["content"], file.get("chmod")),), None


def _render_dockerfile(
    step: Mapping[str, Any], plan: Plan, *_: Any
) -> tuple[tuple[Step, ...], Connection | None]:
    return (
        _write(step, plan, dockerfile_name(step), render_dockerfile(step["dockerfile"]), None),
    ), None


def _write(step: Mapping[str, Any], plan: Plan, filename: str, content: str, chmod: Any) -> Step:
    return {
        "kind": "file",
        "target": f"{_folder(step)}/{filename}",
        "content": content,
        "chmod": None if chmod is None else str(chmod),
        "copy": f"{ARTIFACTS_PATH}/{plan.uuid}/outputs/{base_name(filename)}",
    }


def _render_git(
    step: Mapping[str, Any],
    plan: Plan,
    settings: Settings,
    catalog: Catalog,
    connection: Connection | None,
) -> tuple[tuple[Step, ...], Connection | None]:
    """Render a git step. The step's values win over those of the connection's schema."""
    asked = _ask_git(step.get("git"), connection)
    name = connection.name if connection else _repository_name(asked["url"])
    rendered = {
        "kind": "git",
        "url": asked["url"],
        "revision": None if asked["revision"] is None else str(asked["revision"]),
        "flags": [str(flag) for flag in asked["flags"] or ()],
        "target": f"{_folder(step)}/{name}",
        "patience": settings.git_patience,
        **_render_git_access(connection),
    }
    return (rendered,), connection


def _ask_git(git: Any, connection: Connection | None) -> dict[str, Any]:
    """Return the url, the revision and the flags of a git step.

    SpecError for a connection of another kind and for values that git does not accept.
    """
    if git is not None and not isinstance(git, Mapping):
        raise SpecError("InvalidSpec", "expected git with a url (a mapping)", "git")
    if connection is not None and not connection.is_git:
        raise SpecError(
            "InvalidSpec",
            f"git needs a connection of kind git or ssh, '{connection.name}' is {connection.kind}",
            "connection",
        )
    schema = connection.schema if connection else {}
    asked: dict[str, Any] = {
        **{key: schema.get(key) for key in ("url", "revision", "flags")},
        **{k: v for k, v in (git or {}).items() if v},
    }
    if not isinstance(asked.get("url"), str):
        raise SpecError(
            "InvalidSpec", "git needs a url, here or in the connection's schema", "git.url"
        )
    validate_git(asked)
    return asked


def _render_git_access(connection: Connection | None) -> dict[str, Any]:
    """Return the folder of the connection's Secret, and the connection's variables."""
    if connection is None:
        return {"secret": None, "variables": {}}
    return {
        "secret": source_path(connection, "secret") if connection.secret else None,
        "variables": {e["name"]: e["value"] for e in connection.env if "value" in e},
    }


def _render_copy(
    step: Mapping[str, Any],
    plan: Plan,
    settings: Settings,
    catalog: Catalog,
    connection: Connection | None,
) -> tuple[tuple[Step, ...], Connection | None]:
    """Render the copy of files and folders from a store.

    A connection alone means everything. An empty list means nothing: a join that found no run must
    not fetch the files of all runs.
    """
    store = connection or catalog.store
    if store is None:
        return _render_fetch(step, plan, settings), None
    if not store.has_volume:
        message = f"this version copies from volumes, and '{store.name}' is of kind {store.kind}"
        raise SpecError(
            "NotSupported",
            f"{message}: a step with the connection and a container, and nothing else, fetches by "
            "itself",
            "connection",
        )
    rendered = {
        "kind": "copy",
        "store": store.name,
        "source": source_path(store, "data"),
        # The default store's folders belong to runs, so their names need no folder named after the
        # store; an explicit `path` is used as it is.
        "target": step.get("path")
        or (ARTIFACTS_PATH if catalog.is_store(store) else f"{ARTIFACTS_PATH}/{store.name}"),
        **_list_parts(step),
    }
    if not rendered["files"] and not rendered["dirs"] and not rendered["paths"]:
        if "artifacts" in step or "paths" in step:
            return (), store
        rendered["dirs"] = [["", ""]]
    return (rendered,), store


def _list_parts(step: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    artifacts = step.get("artifacts") or {}
    return {
        "files": as_pairs(artifacts.get("files")),
        "dirs": as_pairs(artifacts.get("dirs")),
        "paths": as_pairs(step.get("paths")),
    }


def _render_fetch(step: Mapping[str, Any], plan: Plan, settings: Settings) -> tuple[Step, ...]:
    """Render the copy of other runs' files from the API, which keeps them where no store does."""
    if not settings.data:
        message = (
            "artifacts and paths without a connection come from the artifacts store, and this "
            "installation has none"
        )
        raise SpecError("InvalidSpec", f"{message}: name a connection")
    parts = _list_parts(step)
    for source, _ in (pair for pairs in parts.values() for pair in pairs):
        if not _RUN.fullmatch(source.partition("/")[0]):
            raise SpecError(
                "InvalidSpec",
                f"expected a path that begins with the uuid of a run, found {source!r}: without a "
                "connection, files come from other runs",
            )
    rendered = {
        "kind": "fetch",
        "runs": f"{settings.api_url}/streams/v1/{plan.project}/{plan.owner}/{plan.project}/runs",
        "patience": settings.api_patience,
        "token": TOKEN_PATH,
        **({"ca": CA_PATH} if settings.api_ca else {}),
        "target": step.get("path") or ARTIFACTS_PATH,
        **({"optional": True} if step.get(OPTIONAL) else {}),
        **parts,
    }
    return (rendered,) if any(parts.values()) else ()


_Renderer = Callable[
    [Mapping[str, Any], Plan, Settings, Catalog, Connection | None],
    tuple[tuple[Step, ...], Connection | None],
]
_RENDERERS: dict[str, _Renderer] = {
    "file": _render_file,
    "dockerfile": _render_dockerfile,
    "git": _render_git,
    "artifacts": _render_copy,
    "paths": _render_copy,
}


def _folder(step: Mapping[str, Any]) -> str:
    return str(step.get("path") or ARTIFACTS_PATH).rstrip("/")


def _repository_name(url: str) -> str:
    """Return the last part of the URL without its extension."""
    return url.rstrip("/").replace(":", "/").rsplit("/", 1)[-1].split(".")[0] or "repository"
