"""Render the work of the init containers as data: JSON documents for `opstrand.initializer`.

Owns the format of those documents, where each kind of step lands, and which steps share a
container. Must not know how a document is delivered (`init_containers` decides) nor touch a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.planning.connections import EMPTY, Catalog, Connection
from opstrand.core.planning.plan import Plan
from opstrand.core.pods.dockerfile import render_dockerfile
from opstrand.core.pods.volumes import run_folders, source_path
from opstrand.errors import Problem, SpecError
from opstrand.initializer.git_rules import check_revision, check_url, parse_flags
from opstrand.initializer.modes import apply_mode
from opstrand.settings import Settings
from opstrand.text import shorten

#: The projected token's mount; main sees it too, so that the client can read it again when it
#: changes.
TOKEN_PATH = f"{CONTEXT_ROOT}/.token/token"
#: Where the published client looks for credentials.
AUTH_PATH = f"{CONTEXT_ROOT}/.configs/.auth"
#: The CA certificates by which the run trusts the API, if it has a private CA.
CA_PATH = f"{CONTEXT_ROOT}/.configs/ca.crt"

Step = dict[str, Any]

#: The longest file name that file systems accept.
_NAME_BYTES = 255
#: The sources of a step, in the order in which they are looked for.
_SOURCES = ("file", "dockerfile", "git", "artifacts", "paths")
#: Sources that need a service which this version does not have, and what to use instead.
_MISSING = {
    "tensorboard": "",
    "lineageRef": (
        "; the same: a param with `ref: runs.UUID` and `value: artifacts.NAME`, and a step with "
        "`paths` of it"
    ),
    "modelRef": "",
    "artifactRef": "",
}


@dataclass(frozen=True)
class Group:
    """Steps that one init container executes, or (`container`) a user's container.

    `used` are the connections whose volumes and secrets it reads. With both `container` and
    `steps`, it is the operator's container with the user's fields merged over it.
    """

    steps: tuple[Step, ...] = ()
    used: tuple[Connection, ...] = ()
    container: Mapping[str, Any] | None = None
    #: The path of that container in the polyaxonfile.
    place: str = "run.init"

    @property
    def runs_theirs(self) -> bool:
        """Whether the program is the user's own.

        It looks for its connections where main does, and does not know the operator's folders.
        """
        given = self.container
        return given is not None and (
            not self.steps or any(key in given for key in ("image", "command", "args"))
        )

    @property
    def needs_scratch(self) -> bool:
        return any(step["kind"] == "git" for step in self.steps)


@dataclass
class _Fused:
    """Consecutive built-in steps that are collected for one container."""

    steps: list[Step] = field(default_factory=list)
    used: dict[str, Connection] = field(default_factory=dict)

    def close(self) -> Group:
        return Group(tuple(self.steps), tuple(self.used.values()))


def group_steps(plan: Plan, settings: Settings, catalog: Catalog = EMPTY) -> list[Group]:
    """Group the init steps into containers, in their order.

    The first is always the operator's: it creates the folders. Raises SpecError for what cannot be
    fetched.
    """
    groups: list[Group] = []
    fused = _Fused()
    for one, path in plan.placed_init:
        steps: tuple[Step, ...] = ()
        used: Connection | None = None
        if not is_container_step(one):
            try:
                steps, used = _render_step(one, plan, settings, catalog)
            except SpecError as error:
                raise error.within(path) from None
        if "container" not in one:
            fused.steps += steps
            if used is not None:
                fused.used[used.name] = used
            continue
        if fused.steps or not groups:
            groups.append(fused.close())
            fused = _Fused()
        groups.append(Group(tuple(steps), (used,) if used else (), one["container"], path))
    return [*groups, fused.close()] if fused.steps or not groups else groups


def find_faults(step: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Find the problems of a step that do not depend on the catalog of connections."""
    try:
        if not is_container_step(step):
            _validate_step(step)
    except SpecError as error:
        yield from error.within(path).problems


def _validate_step(step: Mapping[str, Any]) -> None:
    for kind, instead in _MISSING.items():
        if kind in step:
            raise SpecError(
                "NotSupported",
                f"init steps of the kind '{kind}' are not run by this version{instead}",
                kind,
            )
    if not any(step.get(kind) for kind in ("path", "connection")) and not any(
        kind in step for kind in _SOURCES
    ):
        raise SpecError(
            "InvalidSpec",
            f"a step needs one of {', '.join(_SOURCES)}, a connection, a container or a path",
        )
    if "file" in step:
        _validate_file(step["file"])
    if not isinstance(step.get("artifacts") or {}, Mapping):
        raise SpecError(
            "InvalidSpec",
            f"expected files and dirs (a mapping), found {shorten(repr(step['artifacts']), 80)}",
            "artifacts",
        )
    if isinstance(step.get("git"), Mapping):
        _validate_git(step["git"])
    if "dockerfile" in step:
        render_dockerfile(step["dockerfile"])
        _validate_filename(_dockerfile_name(step), "dockerfile.filename")
    _list_sources(step)


def _validate_git(git: Mapping[str, Any]) -> None:
    """Validate the parameters for git, from the step or from a connection's schema."""
    flags = git.get("flags") or []
    if not isinstance(flags, list):
        raise SpecError(
            "InvalidSpec",
            f"expected a list of flags, found {shorten(repr(flags), 80)}",
            "git.flags",
        )
    checks: list[tuple[str, Any]] = [("flags", lambda: parse_flags([str(flag) for flag in flags]))]
    checks += [("url", lambda: check_url(str(git["url"])))] if git.get("url") else []
    checks += (
        [("revision", lambda: check_revision(str(git["revision"])))] if git.get("revision") else []
    )
    for key, check in checks:
        try:
            check()
        except ValueError as error:
            raise SpecError("InvalidSpec", str(error), f"git.{key}") from None


def _validate_file(file: Mapping[str, Any]) -> None:
    """Validate a file step, so that the init container does not fail at it."""
    _validate_filename(file["filename"], "file.filename")
    try:
        apply_mode(str(file.get("chmod") or "+r"), 0)
    except ValueError as error:
        raise SpecError("InvalidSpec", str(error), "file.chmod") from None


def _validate_filename(filename: Any, path: str) -> None:
    """Validate the name of a file within the step's folder."""
    name = filename if isinstance(filename, str) else ""
    if not name.strip("/") or name.endswith("/") or ".." in name.split("/"):
        raise SpecError(
            "InvalidSpec", f"expected the name of a file, found {shorten(repr(filename), 80)}", path
        )
    longest = max(len(part.encode("utf-8", "replace")) for part in name.split("/"))
    if longest > _NAME_BYTES:
        raise SpecError(
            "InvalidSpec",
            f"the name of a file takes at most {_NAME_BYTES} bytes, found one of {longest}",
            path,
        )


def render_init_document(
    plan: Plan, settings: Settings, group: Group, catalog: Catalog = EMPTY, *, is_first: bool = True
) -> dict[str, Any]:
    """Render the document of one container.

    The first document begins with the directories, credentials and the import shim.
    """
    folders = [
        folder
        for run_path in run_folders(plan, catalog)
        for folder in (run_path, f"{run_path}/outputs")
    ]
    api = {
        "url": settings.api_url,
        "patience": settings.api_patience,
        "run": f"{plan.owner}/{plan.project}/runs/{plan.uuid}",
    }
    trust = {"target": CA_PATH, "text": settings.api_ca}
    if settings.api_ca:
        api["ca"] = CA_PATH
    needs_api = is_first or any(step["kind"] == "git" for step in group.steps)
    return {
        **({"trust": trust} if settings.api_ca and is_first else {}),
        "directories": folders if is_first else [],
        "auth": {"token": TOKEN_PATH, "target": AUTH_PATH}
        if is_first and _wants_auth(plan)
        else None,
        "api": api if needs_api else None,
        "shim": ARTIFACTS_PATH if is_first else None,
        "steps": list(group.steps),
        "token": TOKEN_PATH,
    }


def encode(document: Mapping[str, Any]) -> str:
    """Return the document's canonical text."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def is_container_step(step: Mapping[str, Any]) -> bool:
    """Return whether a step is only a user's container: a raw Kubernetes init container."""
    return (
        "container" in step
        and not any(kind in step for kind in (*_SOURCES, *_MISSING))
        and "connection" not in step
    )


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
            _dockerfile_name(step), "dockerfile", render_dockerfile(step["dockerfile"])
        )
    elif "artifacts" in step or "paths" in step:
        for path in _list_sources(step):
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
    path = f"outputs/{_base_name(filename)}"
    return {
        "name": _artifact_name(filename),
        "kind": kind,
        "path": path,
        "isInput": True,
        "summary": {"hash": digest},
    }


def _list_sources(step: Mapping[str, Any]) -> list[str]:
    artifacts = step.get("artifacts") or {}
    listed = [
        *_as_pairs(artifacts.get("files")),
        *_as_pairs(artifacts.get("dirs")),
        *_as_pairs(step.get("paths")),
    ]
    return [source for source, _ in listed]


def _wants_auth(plan: Plan) -> bool:
    return plan.plugins.get("auth") is not False


# --- one function for each source -----------------------------------------------------------------


def _render_step(
    step: Mapping[str, Any], plan: Plan, settings: Settings, catalog: Catalog
) -> tuple[tuple[Step, ...], Connection | None]:
    """Render the document's steps for one step of the plan; also return the connection it reads."""
    _validate_step(step)
    connection = catalog.find(step["connection"], "connection") if step.get("connection") else None
    source = next((kind for kind in _SOURCES if kind in step), None)
    if source is not None:
        return _RENDERERS[source](step, plan, settings, catalog, connection)
    if connection is None:
        return (), None  # a path alone is an empty folder
    if connection.is_git:
        return _render_git(step, plan, settings, catalog, connection)
    if connection.has_volume:
        return _render_copy(step, plan, settings, catalog, connection)
    if "container" not in step:
        words = (
            f"a step with the connection '{connection.name}' of kind {connection.kind} needs a "
            "container that uses it"
        )
        raise SpecError(
            "NotSupported" if connection.is_bucket else "InvalidSpec", words, "container"
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
        _write(step, plan, _dockerfile_name(step), render_dockerfile(step["dockerfile"]), None),
    ), None


def _write(step: Mapping[str, Any], plan: Plan, filename: str, content: str, chmod: Any) -> Step:
    return {
        "kind": "file",
        "target": f"{_folder(step)}/{filename}",
        "content": content,
        "chmod": None if chmod is None else str(chmod),
        "copy": f"{ARTIFACTS_PATH}/{plan.uuid}/outputs/{_base_name(filename)}",
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
    _validate_git(asked)
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
        words = (
            "artifacts and paths without a connection come from the artifacts store, and this "
            "installation has none"
        )
        raise SpecError("InvalidSpec", f"{words}: name a connection")
    if not store.has_volume:
        words = f"this version copies from volumes, and '{store.name}' is of kind {store.kind}"
        raise SpecError(
            "NotSupported",
            f"{words}: a step with the connection and a container, and nothing else, fetches by "
            "itself",
            "connection",
        )
    artifacts = step.get("artifacts") or {}
    rendered = {
        "kind": "copy",
        "store": store.name,
        "source": source_path(store, "data"),
        # The default store's folders belong to runs, so their names need no folder named after the
        # store; an explicit `path` is used as it is.
        "target": step.get("path")
        or (ARTIFACTS_PATH if catalog.is_store(store) else f"{ARTIFACTS_PATH}/{store.name}"),
        "files": _as_pairs(artifacts.get("files")),
        "dirs": _as_pairs(artifacts.get("dirs")),
        "paths": _as_pairs(step.get("paths")),
    }
    if not rendered["files"] and not rendered["dirs"] and not rendered["paths"]:
        if "artifacts" in step or "paths" in step:
            return (), store
        rendered["dirs"] = [["", ""]]
    return (rendered,), store


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


def _as_pairs(entries: Any) -> list[list[str]]:
    """Return each entry as [from, to], relative to the store and to the target.

    Raises SpecError for an entry that is neither a path nor a pair.
    """
    listed: Iterable[Any] = (
        entries if isinstance(entries, list | tuple) else ([] if entries is None else [entries])
    )
    return [_as_pair(entry) for entry in listed]


def _as_pair(entry: Any) -> list[str]:
    if isinstance(entry, str):
        pair = [entry, entry]
    elif (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and all(isinstance(part, str) for part in entry)
    ):
        pair = [str(entry[0]), str(entry[1])]
    else:
        raise SpecError("InvalidSpec", f"expected a path or [from, to], found {entry!r}")
    if any(part == ".." for path in pair for part in path.split("/")):
        raise SpecError("InvalidSpec", f"a path must stay within its store, found {entry!r}")
    return [path.strip("/") for path in pair]


def _folder(step: Mapping[str, Any]) -> str:
    return str(step.get("path") or ARTIFACTS_PATH).rstrip("/")


def _dockerfile_name(step: Mapping[str, Any]) -> str:
    return str(step["dockerfile"].get("filename") or "Dockerfile")


def _repository_name(url: str) -> str:
    """Return the last part of the URL without its extension."""
    return url.rstrip("/").replace(":", "/").rsplit("/", 1)[-1].split(".")[0] or "repository"


def _base_name(filename: str) -> str:
    return filename.rsplit("/", 1)[-1]


def _artifact_name(filename: str) -> str:
    """Return the lineage name: `echo.py` is `echo-py`, as the published init step names it."""
    return _base_name(filename).replace(".", "-")
