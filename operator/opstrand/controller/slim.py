"""What is kept of an object's body: only what is read again.

Owns that choice, by kind. With 5,000 finished runs present, the dropped parts would be most of the
memory. Must not change what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.mask import is_secret_name
from opstrand.core.packed import pack
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.core.resolving.run_values import slim_component, slim_plugins
from opstrand.kube.resources import COMPONENTS, OPERATIONS, PODS, Resource
from opstrand.types import Manifest


def slim(resource: Resource, body: Mapping[str, Any]) -> Manifest:
    """The body without what is never read."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    kept = {**body, "metadata": metadata}
    is_over = resource is OPERATIONS and parse_phase(body.get("status")).is_final
    if is_over and not has_open_hooks(body.get("status")):
        kept["spec"] = _slim_operation(body.get("spec") or {})
    if resource in (OPERATIONS, COMPONENTS):
        return pack(kept)
    if resource is PODS:
        # Annotations of the user can take a quarter of a megabyte, and nothing here reads them.
        if annotations := metadata.get("annotations"):
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if key.startswith(names.GROUP)
            }
        kept["spec"] = _slim_pod(body.get("spec") or {})
    return kept


def _slim_operation(spec: Mapping[str, Any]) -> Manifest:
    """Return what is read of the spec of a finished run."""
    kept = ("name", "control", "termination", "patchStrategy")
    own = {key: spec[key] for key in kept if key in spec}
    return own | slim_component(spec) | slim_plugins(spec)


def _slim_pod(spec: Mapping[str, Any]) -> Manifest:
    """Return what is read of the spec of a Pod."""
    kept = ("activeDeadlineSeconds", "nodeName", "schedulingGates")
    return {
        **{key: spec[key] for key in kept if key in spec},
        "containers": [_slim_container(c) for c in spec.get("containers") or ()],
        "initContainers": [_slim_container(c) for c in spec.get("initContainers") or ()],
    }


def _slim_container(container: Mapping[str, Any]) -> Manifest:
    """What `core.diagnosis` reads, and the secrets given as plain variables, so that messages can
    mask them.
    """
    kept = {
        name: container[name]
        for name in ("name", "resources", "restartPolicy")
        if name in container
    }
    secrets = [
        one
        for one in container.get("env") or ()
        if one.get("value") and is_secret_name(str(one.get("name")))
    ]
    return {**kept, "env": secrets} if secrets else kept
