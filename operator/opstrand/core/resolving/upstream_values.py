"""Read what a run offers to the runs that refer to it.

That is a value, a wait, or the reason why no value will come. Owns when a value counts (identity at
once, inputs once frozen, the rest when the run is done) and the shape of each of the document's
value forms. Must not find runs or decide what to do about a wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from opstrand.core.resolving.refs import REF_GLOBALS, SERVICE_GLOBALS, Ask, Ref, Upstream
from opstrand.errors import SpecError
from opstrand.text import suggest

#: Globals of a run that are final only at its end.
_FINAL_GLOBALS = frozenset({"status", "condition", "started_at", "finished_at", "duration"})
_OF_NO_RUN = ("globals.name", "globals.status")
#: What there is of an operation of a pipeline that ended without a run.
WITHOUT_RUN_GLOBALS = ("name", "status")


@dataclass(frozen=True)
class Pending:
    """The value will exist later: `what` is requested and does not exist yet."""

    what: str


def read(
    ref: Ref, ask: Ask, upstream: Upstream, path: str = "", *, lenient: bool = False
) -> Any | Pending:
    """Return the value that `ask` means in `upstream`, or Pending.

    A falsy value and an existing null are values. `lenient` accepts the results of a run that ended
    without success (for an operation with its own trigger, or for `runs.`, which names a past run
    on purpose). Raises SpecError MissingValue, UpstreamFailed, UpstreamSkipped or UpstreamDeleted.
    """
    if not upstream.uuid and str(ask) not in _OF_NO_RUN:
        _refuse(ask, upstream, f"has no '{ask}', since it never ran", path)
    if _is_address(ask) and upstream.frozen and ask.name not in upstream.globals:
        _refuse(ask, upstream, f"is no service, and has no '{ask}'", path)
    if not _is_there(ref, ask, upstream):
        if upstream.done:
            _refuse(ask, upstream, f"ended before '{ask}' was known", path)
        if upstream.deleting:
            raise SpecError(
                "UpstreamDeleted",
                f"{_named(upstream)} is being deleted before it has '{ask}'",
                path,
            )
        return Pending(str(ask))
    if _is_work(ask) and ref.kind == "ops" and upstream.phase != "Succeeded" and not lenient:
        _refuse(ask, upstream, f"is {upstream.phase}: its '{ask}' cannot be trusted", path)
    return _pick(ask, upstream, path)


def _is_there(ref: Ref, ask: Ask, upstream: Upstream) -> bool:
    if ask.section == "inputs" or ref.kind == "dag":
        return ask.section in ("globals", "files") or (
            upstream.inputs is not None and (upstream.frozen or upstream.done)
        )
    if _is_address(ask):
        return upstream.phase == "Running"
    return upstream.done or is_early(ask)


def is_early(ask: Ask) -> bool:
    """Return whether a run has this value from its first moment, as part of its identity."""
    return (
        ask.section == "globals"
        and bool(ask.name)
        and ask.name not in _FINAL_GLOBALS
        and not _is_address(ask)
    )


def _is_address(ask: Ask) -> bool:
    """Return whether the value is a service's address.

    A reader expects the service to answer, so it counts only while the service runs.
    """
    return ask.section == "globals" and ask.name in SERVICE_GLOBALS


def _is_work(ask: Ask) -> bool:
    """Return whether the run produced this value, as opposed to its identity and its inputs."""
    return ask.section in ("outputs", "artifacts", "io", "files")


def _pick(ask: Ask, upstream: Upstream, path: str) -> Any:
    found = find_value(ask, upstream)
    if found is not ABSENT:
        return found
    what = {"inputs": "input", "outputs": "output", "artifacts": "artifact"}[ask.section]
    return _refuse(
        ask,
        upstream,
        f"has no {what} '{ask.name}'{suggest(ask.name, _list_section(ask, upstream))}",
        path,
    )


#: A value that a run does not have, as opposed to an existing null.
ABSENT: Any = object()


def find_value(ask: Ask, upstream: Upstream) -> Any:
    """Return the value as it is now, else ABSENT."""
    if ask.section == "files":
        return place_files(ask.files, upstream.folder)
    if ask.section == "globals" and ask.name:
        return upstream.globals.get(ask.name)
    values = _list_section(ask, upstream)
    if not ask.name:
        return dict(values)
    # A lineage name may contain a dot: the whole rest is the name if the run has it, else its last
    # part.
    return next(
        (values[name] for name in (ask.name, ask.name.rpartition(".")[2]) if name in values), ABSENT
    )


def _list_section(ask: Ask, upstream: Upstream) -> Mapping[str, Any]:
    match ask.section:
        case "globals":
            return {key: upstream.globals.get(key) for key in REF_GLOBALS}
        case "inputs":
            return upstream.inputs or {}
        case "outputs":
            return upstream.outputs or {}
        case "artifacts":
            base = {"base": upstream.folder, "outputs": f"{upstream.folder}/outputs"}
            return {
                **base,
                **{
                    name: path
                    for name, path in list_artifacts(upstream).items()
                    if name not in base
                },
            }
        case _:
            inputs, outputs = dict(upstream.inputs or {}), dict(upstream.outputs or {})
            return {"inputs": inputs, "outputs": outputs, "artifacts": list_artifacts(upstream)}


def _refuse(ask: Ask, upstream: Upstream, why: str, path: str) -> NoReturn:
    """Raise the error for a value that will never come, with a reason that a person can act on."""
    message = f"{_named(upstream)} {why}"
    if upstream.phase == "Skipped":
        raise SpecError(
            "UpstreamSkipped", f"{_named(upstream)} was skipped and has no '{ask}'", path
        )
    if upstream.phase in ("Failed", "Stopped", "UpstreamFailed"):
        ended = "" if upstream.phase in why else f" (it ended as {upstream.phase})"
        raise SpecError("UpstreamFailed", f"{message}{ended}", path)
    raise SpecError("MissingValue", message, path)


_UUID = "0f" * 16
#: Examples of globals that look the same for every run; others may look like anything.
_EXAMPLES: dict[str, Any] = {
    **dict.fromkeys(
        ("created_at", "compiled_at", "started_at", "finished_at"), "2026-01-31T00:00:00Z"
    ),
    **dict.fromkeys(
        ("context_path", "artifacts_path", "run_artifacts_path", "run_outputs_path", "base_url"),
        "/a",
    ),
    "run_relative_outputs_path": "a/outputs",
    "is_independent": True,
    "uuid": _UUID,
    "status": "succeeded",
    "condition": {},
    "run_info": f"default.project.runs.{_UUID}",
    "duration": 1,
    "host": "name.project",
    "ports": [80],
    "base_urls": ["/a"],
}


def example(ask: Ask) -> Any:
    """Return an example that is valid for every run; None if the shape depends on the run."""
    if ask.section == "files":
        return place_files(ask.files, _UUID)
    if not ask.name:
        return {}
    return _EXAMPLES.get(ask.name) if ask.section == "globals" else None


def list_artifacts(upstream: Upstream) -> dict[str, str]:
    """Map lineage names to paths.

    An artifact without a path is left out; an absolute path or URI stays as it is.
    """
    return {
        str(artifact["name"]): place_artifact(str(artifact["path"]), upstream.folder)
        for artifact in upstream.artifacts
        if artifact.get("name") and artifact.get("path")
    }


def place_artifact(path: str, uuid: str) -> str:
    """Return the path of an artifact for a reader outside of its run."""
    absolute = path.startswith("/") or "://" in path
    return path if absolute or path == uuid or path.startswith(f"{uuid}/") else f"{uuid}/{path}"


def place_files(files: Mapping[str, Any], uuid: str) -> dict[str, Any]:
    """Place an ArtifactsType in a run's folder: every entry, or the `from` of a pair."""
    return {
        key: [[f"{uuid}/{e[0]}", e[1]] if isinstance(e, list) else f"{uuid}/{e}" for e in entries]
        if isinstance(entries, list)
        else entries
        for key, entries in files.items()
    }


def _named(upstream: Upstream) -> str:
    return f"run '{upstream.name}'" if upstream.name else f"run {upstream.uuid}"
