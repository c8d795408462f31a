"""Who a run is: facts that never change, and the `globals` that templates and refs read from them.

Owns the spelling of every `globals.*` key and of the paths under the context root. Must not know
how a run is stored or started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.text import shorten
from opstrand.types import Body, ObjectMeta

#: Where a container finds its files. The documentation spells it `/plx_context` in places; the
#: package uses this.
CONTEXT_ROOT = "/plx-context"
#: `globals.artifacts_path`: shared by init steps and main; where `init.file` lands.
ARTIFACTS_PATH = f"{CONTEXT_ROOT}/artifacts"
#: The folder of a local run that stands for the root of its container.
LOCAL_FILES = "files"
#: Kinds of paths that a copy names, and where it names them.
COPIED_PARTS = ("files", "dirs", "paths")
COPIED_PATH = f'metadata.annotations["{names.COPIED}"]'
_MOST_COPIED = 1000
_UUID = re.compile("[0-9a-f]{32}")
_TICK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """One run's unchanging facts.

    `uuid` is 32 hex digits, `project` the namespace's name, times are RFC 3339 texts or None.
    `context_root` is where its program finds the context root: a local run has it elsewhere.
    """

    uuid: str
    name: str
    project: str
    owner: str = "default"
    created_at: str | None = None
    schedule_at: str | None = None
    iteration: int | None = None
    cloning_kind: str | None = None
    original_uuid: str | None = None
    is_independent: bool = True
    username: str | None = None
    user_email: str | None = None
    project_uuid: str | None = None
    context_root: str = CONTEXT_ROOT

    @property
    def run_info(self) -> str:
        """`owner.project.runs.uuid`: what the published client reads from POLYAXON_RUN_INSTANCE."""
        return f"{self.owner}.{self.project}.runs.{self.uuid}"

    @property
    def is_alone(self) -> bool:
        """Whether no pipeline is around it, whose operations it could name.

        A schedule makes runs that stand alone.
        """
        return self.is_independent or self.schedule_at is not None

    @property
    def run_path(self) -> str:
        return f"{self.artifacts_path}/{self.uuid}"

    @property
    def artifacts_path(self) -> str:
        return f"{self.context_root}/artifacts"


def read_identity(body: Body, settings: Settings) -> Identity:
    """Read the identity of a run. Only here is its name chosen: `spec.name`, else the object's."""
    metadata: ObjectMeta = body["metadata"]
    spec = body.get("spec") or {}
    name = spec.get("name") if isinstance(spec.get("name"), str) else None
    taken_from = read_taken_from(body)
    original = taken_from or read_original(metadata)
    return Identity(
        uuid=names.run_uuid(metadata["uid"]),
        name=name or metadata["name"],
        project=metadata["namespace"],
        owner=settings.owner,
        created_at=metadata.get("creationTimestamp"),
        schedule_at=read_schedule_at(body),
        iteration=read_iteration(body),
        cloning_kind="cache" if taken_from else read_cloning_kind(metadata),
        original_uuid=original,
        is_independent=names.find_controller(body) is None,
        context_root=_find_root(metadata, settings),
    )


def read_iteration(body: Body) -> int | None:
    """Return the index of a run of a matrix. The annotation counts only on a pipeline's run."""
    if names.find_controller(body) is None:
        return None
    text = (body["metadata"].get("annotations") or {}).get(names.ITERATION)
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 7):
        return None
    return int(text)


def read_schedule_at(body: Body) -> str | None:
    """Return the tick of a run of a schedule. The annotation counts only on a schedule's run."""
    if names.find_controller(body) is None:
        return None
    text = (body["metadata"].get("annotations") or {}).get(names.SCHEDULE_AT)
    return text if isinstance(text, str) and _TICK.fullmatch(text) else None


def read_original(metadata: ObjectMeta) -> str | None:
    """Return the uuid of the run that this one was restarted from.

    The run keeps it as long as its object keeps the annotation.
    """
    found = (metadata.get("annotations") or {}).get(names.RESTART_OF)
    return found if isinstance(found, str) and _UUID.fullmatch(found) else None


def read_cloning_kind(metadata: ObjectMeta) -> str | None:
    """Return how this run was made of its original: `restart` or `copy`; None if it has none."""
    if read_original(metadata) is None:
        return None
    return "copy" if names.COPIED in (metadata.get("annotations") or {}) else "restart"


@dataclass(frozen=True)
class Copied:
    """The run of which files are copied, and which: paths in its folder by `files`, `dirs` and
    `paths`, which are either. Without any, all of them.
    """

    uuid: str
    parts: Mapping[str, Sequence[str]]


def read_copied(metadata: ObjectMeta) -> Copied | None:
    """Return what a run gets of its original's files; None if it gets none. Raises SpecError."""
    uuid, text = read_original(metadata), (metadata.get("annotations") or {}).get(names.COPIED)
    if uuid is None or text is None:
        return None
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(map(_is_part, found.items())):
        message = f"expected JSON with lists of paths under {', '.join(COPIED_PARTS)}"
        raise SpecError("InvalidSpec", f"{message}, found {shorten(repr(text), 80)}", COPIED_PATH)
    return Copied(uuid, {key: paths for key, paths in found.items() if paths})


def _is_part(part: tuple[Any, Any]) -> bool:
    key, paths = part
    is_list = key in COPIED_PARTS and isinstance(paths, list) and len(paths) <= _MOST_COPIED
    return is_list and all(isinstance(path, str) and ".." not in path.split("/") for path in paths)


def read_taken_from(body: Body) -> str | None:
    """Return the uuid of the run whose result this one took, instead of running."""
    status = body.get("status")
    original = status.get("original") if isinstance(status, Mapping) else None
    found = original.get("uuid") if isinstance(original, Mapping) else None
    return found if isinstance(found, str) and _UUID.fullmatch(found) else None


def read_pipeline(body: Body) -> str | None:
    """Return the uuid of the pipeline that made this run; None if none did."""
    controller = names.find_controller(body)
    return None if controller is None else names.run_uuid(str(controller["uid"]))


def read_outermost(body: Body) -> str | None:
    """Return the uuid of the outermost pipeline around a run; None if no pipeline made it.

    The label counts only on a run that a pipeline owns.
    """
    pipeline = read_pipeline(body)
    if pipeline is None:
        return None
    return str((body["metadata"].get("labels") or {}).get(names.CONTROLLER) or "") or None


def _find_root(metadata: ObjectMeta, settings: Settings) -> str:
    if not settings.local_runs:
        return CONTEXT_ROOT
    place = (settings.local_runs, metadata["namespace"], metadata["name"], LOCAL_FILES)
    return "/".join(place) + CONTEXT_ROOT


def render_paths(identity: Identity, plugins: Mapping[str, Any], store_path: str) -> dict[str, str]:
    """Render the `globals` that depend on `plugins`.

    `store_path` is where the artifacts store would be mounted whole, empty without one. A run whose
    files are not collected writes them into the store itself.
    """
    writes_itself = bool(store_path) and plugins.get("collectArtifacts") is False
    run_path = f"{store_path.rstrip('/')}/{identity.uuid}" if writes_itself else identity.run_path
    return {
        "run_artifacts_path": run_path,
        "run_outputs_path": f"{run_path}/outputs",
        "store_path": store_path if plugins.get("mountArtifactsStore") else "",
    }


def render_globals(identity: Identity) -> Mapping[str, Any]:
    """Render `globals` as a run's own templates see them.

    A run has no `status` or `condition` of its own yet: those are available by ref only. Source:
    the reference of `globals.*`; `run_info` has `.runs.` as the package has it, not as its page
    says.
    """
    return {
        "owner_name": identity.owner,
        "project_name": identity.project,
        "project_unique_name": f"{identity.owner}.{identity.project}",
        "project_uuid": identity.project_uuid or identity.project,
        "username": identity.username,
        "user_email": identity.user_email,
        "run_info": identity.run_info,
        "name": identity.name,
        "uuid": identity.uuid,
        "namespace": identity.project,
        "iteration": identity.iteration,
        "context_path": identity.context_root,
        "artifacts_path": identity.artifacts_path,
        "run_artifacts_path": identity.run_path,
        "run_outputs_path": f"{identity.run_path}/outputs",
        "run_relative_outputs_path": f"{identity.uuid}/outputs",
        "store_path": "",
        "created_at": identity.created_at,
        "compiled_at": identity.created_at,
        "schedule_at": identity.schedule_at,
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "cloning_kind": identity.cloning_kind,
        "original_uuid": identity.original_uuid,
        "is_independent": identity.is_independent,
    }
