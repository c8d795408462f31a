"""The runs that a pipeline makes: names, manifests, and whether a found run is one of them.

A child is an Operation like any other. Its key is the name of an operation (dag) or an index
(matrix). Owns the whole manifest of a child, which needs nothing of its parent later: what the
pipeline hands down is in it. Must not decide when a child is made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from opstrand.core import names
from opstrand.core.identity import read_outermost
from opstrand.core.normalize import as_stored
from opstrand.errors import SpecError
from opstrand.types import Body, Manifest

#: Pipelines above a child, at most.
MAX_DEPTH = 8
#: The key of `plugins` that a pipeline keeps for itself.
NOTIFICATIONS = "notifications"
#: Keys of a spec that a person may change after its creation.
_EDITABLE = ("control", "isApproved", "termination")
#: Sections of a pipeline that its children inherit; the first ones are the operation's, the others
#: of its `run`.
_OF_OPERATION = ("cache", "termination", "plugins", "queue")
_OF_RUN = ("environment", "connections", "volumes")

_Key = TypeVar("_Key", str, int)


def name_children(
    parent: Body, keys: Iterable[_Key], path: str = "run.operations"
) -> dict[_Key, str]:
    """Return the name of each child's object.

    Raises SpecError NameConflict if two children would get the same name.
    """
    metadata = parent["metadata"]
    uuid = names.run_uuid(str(metadata["uid"]))
    found: dict[_Key, str] = {}
    seen: dict[str, _Key] = {}
    for key in keys:
        name = names.child_name(str(metadata["name"]), uuid, key)
        if name in seen:
            message = f"'{seen[name]}' and '{key}' would both get the run '{name}': rename one"
            raise SpecError("NameConflict", message, path)
        seen[name] = key
        found[key] = name
    return found


def hand_down(merged: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the children inherit of a compiled pipeline, by the keys of `inherited`."""
    run = merged.get("run")
    merged = {**merged, "plugins": without_notifications(merged.get("plugins"))}
    parts = (
        (key, section.get(key))
        for section, keys in ((merged, _OF_OPERATION), (run, _OF_RUN))
        if isinstance(section, Mapping)
        for key in keys
    )
    return {key: value for key, value in parts if value}


def inline(
    written: Mapping[str, Any], components: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return an operation of a pipeline as it stands alone: its `dagRef` becomes the component."""
    spec = {key: value for key, value in written.items() if key != "dagRef"}
    reference = written.get("dagRef")
    return {**spec, "component": components[str(reference)]} if reference else spec


def render_child(
    parent: Body,
    key: str | int,
    spec: Mapping[str, Any],
    inherited: Mapping[str, Any] | None = None,
    without_run: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of one child. `notes`: further annotations.

    `without_run`: the published statuses of the operations that it refers to and that ended without
    a run. Raises SpecError TooDeep below too many pipelines.
    """
    metadata = parent["metadata"]
    uuid, depth = names.run_uuid(str(metadata["uid"])), read_depth(parent) + 1
    if depth > MAX_DEPTH:
        message = f"a pipeline may be at most {MAX_DEPTH} levels deep, found {depth} above '{key}'"
        raise SpecError("TooDeep", message, "run.operations")
    annotations = {names.DEPTH: str(depth), **(notes or {})}
    if isinstance(key, int):
        annotations[names.ITERATION] = str(key)
    if without_run:
        annotations[names.WITHOUT_RUN] = json.dumps(dict(without_run), sort_keys=True)
    stored = as_stored({**spec, "inherited": inherited} if inherited else dict(spec))
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Operation",
        "metadata": {
            "name": names.child_name(str(metadata["name"]), uuid, key),
            "namespace": metadata["namespace"],
            "labels": {
                **_copy_hook(parent),
                names.PIPELINE: uuid,
                names.CONTROLLER: find_outermost(parent),
                names.OP: names.slug(str(key), 63),
            },
            "annotations": annotations,
            "ownerReferences": [names.owner_reference(parent)],
        },
        "spec": stored,
    }


def _copy_hook(parent: Body) -> dict[str, str]:
    """Return the label by which the runs of a hook are known, if the parent is one of them."""
    hooked = (parent["metadata"].get("labels") or {}).get(names.HOOK)
    return {names.HOOK: str(hooked)} if hooked else {}


def find_outermost(body: Body) -> str:
    """Return the uuid of the outermost pipeline of a run; its own if it belongs to none."""
    return read_outermost(body) or names.run_uuid(str(body["metadata"]["uid"]))


def read_depth(body: Body) -> int:
    """Return how many pipelines are above a run.

    An odd number on a run that a pipeline owns counts as the most.
    """
    if names.find_controller(body) is None:
        return 0
    text = str((body["metadata"].get("annotations") or {}).get(names.DEPTH, ""))
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 3 else MAX_DEPTH


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a spec as a cluster stores it, without what may change later."""
    kept = {key: value for key, value in spec.items() if key not in _EDITABLE}
    text = json.dumps(as_stored(kept), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def find_difference(found: Body, asked: Body) -> str | None:
    """Return where a found Operation is not the child that would be created; None if it is.

    Everyone who can see the parent can compute the name, so only a run with the same owner, labels
    and spec is adopted. One that is being deleted is not.
    """
    theirs, ours = found["metadata"], asked["metadata"]
    if theirs.get("deletionTimestamp"):
        return "metadata.deletionTimestamp"
    is_hook = names.find_hooked(asked) is not None
    owner = names.find_hooked(found) if is_hook else names.find_controller(found)
    if (owner or {}).get("uid") != ours["ownerReferences"][0]["uid"]:
        return "metadata.ownerReferences"
    labels = theirs.get("labels") or {}
    for label, value in ours["labels"].items():
        if labels.get(label) != value:
            return f"metadata.labels.{label}"
    specs = [dict(found.get("spec") or {}), dict(asked["spec"])]
    if is_hook:
        # They say what was known of a run that is over: later reports may have changed it.
        specs = [{key: spec[key] for key in spec if key != "params"} for spec in specs]
    return None if spec_digest(specs[0]) == spec_digest(specs[1]) else "spec"


def is_child(body: Body, uid: str) -> bool:
    """Return whether a run says that the run of this uid made it."""
    return names.controller_uid(body) == uid


def without_notifications(plugins: Any) -> Any:
    """Return the plugins that the runs of a pipeline or a matrix get: it notifies for them."""
    if not isinstance(plugins, Mapping):
        return plugins
    return {key: value for key, value in plugins.items() if key != NOTIFICATIONS}
