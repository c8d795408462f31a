"""Validate a step of `run.init`, before anything of the run exists.

Owns which sources a step may have, and what each must look like. What depends on the catalog of
connections is checked where the step is rendered (`init_sources`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opstrand.core.pods.dockerfile import render_dockerfile
from opstrand.errors import Problem, SpecError
from opstrand.initializer.git_rules import check_revision, check_url, parse_flags
from opstrand.initializer.modes import apply_mode
from opstrand.text import shorten

#: The longest file name that file systems accept.
_NAME_BYTES = 255
#: The sources of a step, in the order in which they are looked for.
SOURCES = ("file", "dockerfile", "git", "artifacts", "paths")
#: Sources that need a service which this version does not have, and what to use instead.
MISSING = {
    "tensorboard": "",
    "lineageRef": (
        "; the same: a param with `ref: runs.UUID` and `value: artifacts.NAME`, and a step with "
        "`paths` of it"
    ),
    "modelRef": "",
    "artifactRef": "",
}


def find_faults(step: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Find the problems of a step that do not depend on the catalog of connections."""
    try:
        if not is_container_step(step):
            validate_step(step)
    except SpecError as error:
        yield from error.within(path).problems


def validate_step(step: Mapping[str, Any]) -> None:
    for kind, instead in MISSING.items():
        if kind in step:
            raise SpecError(
                "NotSupported",
                f"init steps of the kind '{kind}' are not run by this version{instead}",
                kind,
            )
    if not any(step.get(kind) for kind in ("path", "connection")) and not any(
        kind in step for kind in SOURCES
    ):
        raise SpecError(
            "InvalidSpec",
            f"a step needs one of {', '.join(SOURCES)}, a connection, a container or a path",
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
        validate_git(step["git"])
    if "dockerfile" in step:
        render_dockerfile(step["dockerfile"])
        _validate_filename(dockerfile_name(step), "dockerfile.filename")
    list_sources(step)


def validate_git(git: Mapping[str, Any]) -> None:
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


def is_container_step(step: Mapping[str, Any]) -> bool:
    """Return whether a step is only a user's container: a raw Kubernetes init container."""
    return (
        "container" in step
        and not any(kind in step for kind in (*SOURCES, *MISSING))
        and "connection" not in step
    )


def list_sources(step: Mapping[str, Any]) -> list[str]:
    artifacts = step.get("artifacts") or {}
    listed = [
        *as_pairs(artifacts.get("files")),
        *as_pairs(artifacts.get("dirs")),
        *as_pairs(step.get("paths")),
    ]
    return [source for source, _ in listed]


def as_pairs(entries: Any) -> list[list[str]]:
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


def dockerfile_name(step: Mapping[str, Any]) -> str:
    return str(step["dockerfile"].get("filename") or "Dockerfile")


def base_name(filename: str) -> str:
    return filename.rsplit("/", 1)[-1]
