"""Every name, label, annotation and key that opstrand gives to an object in the cluster. One
function makes each.

Names inside a Pod (volumes, mounts, init containers) are their renderers' own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opstrand.types import Key

GROUP = "opstrand.dev"
API_VERSION = f"{GROUP}/v1"

#: What the operator's watch on Pods selects.
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "opstrand"
MANAGED_SELECTOR = f"{MANAGED_BY}={MANAGED_BY_VALUE}"
UUID_LABEL = f"{GROUP}/uuid"
#: SHA-256 of the plan's canonical bytes: two Pods with the same digest run the same thing.
PLAN_DIGEST = f"{GROUP}/plan-digest"
#: How many attempts may follow because the cluster took a Pod away: on the Operation, or in the
#: file under `run.environment.annotations`.
PLATFORM_RETRIES = f"{GROUP}/platform-retries"
#: Set by `opstrand run` and the API: such runs may be deleted by retention, those that a person
#: applied never.
CREATED_BY = f"{GROUP}/created-by"
#: Annotations: the user for whom the API made the run (the label of the same key says which program
#: did), and who asked this of it.
CREATED_BY_USER = CREATED_BY
ASKED_BY_USER = {
    "stop": f"{GROUP}/stopped-by",
    "skip": f"{GROUP}/skipped-by",
    "invalidate": f"{GROUP}/invalidated-by",
    "approve": f"{GROUP}/approved-by",
}

#: Annotation: the uuid of the run that this one was restarted from through the API.
RESTART_OF = f"{GROUP}/restart-of"

MAIN_CONTAINER = "main"
INIT_CONTAINER = "opstrand-init"
#: What the main container is called by the published platform, its documents and its clients.
PUBLISHED_MAIN = "polyaxon-main"

#: A run's object name: the Pod's name is made of it, and a Pod's name is its hostname (63
#: characters).
MAX_RUN_NAME = 52

_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SLUG = re.compile(r"[^a-z0-9]+")


def key_of(body: Mapping[str, Any]) -> Key:
    """Of an object in the cluster."""
    metadata = body["metadata"]
    return metadata["namespace"], metadata["name"]


def container_name(name: str) -> str:
    """A container's name as a user gives it: the published platform's name of the main one means
    ours.
    """
    return MAIN_CONTAINER if name == PUBLISHED_MAIN else name


def run_uuid(uid: str) -> str:
    """32 hex digits from an object's uid."""
    return uid.replace("-", "").lower()


def is_run_name(text: str) -> bool:
    """Whether a run can have this name, as the schema of the custom resource has it."""
    return len(text) <= MAX_RUN_NAME and _RUN_NAME.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Whether a namespace can have this name.

    Anything else would make another URL, or another path, of it.
    """
    return _NAMESPACE.fullmatch(text) is not None


def slug(text: str, limit: int) -> str:
    """`text` as a DNS label of at most `limit` characters; "run" where nothing of it is left."""
    return _SLUG.sub("-", text.lower()).strip("-")[:limit].strip("-") or "run"


def pod_name(name: str, uuid: str, attempt: int) -> str:
    """The Pod of one attempt: the same name after every restart of the operator, so that a second
    Pod cannot be made.
    """
    return f"{slug(name, 48)}-{uuid[:8]}-{attempt}"


def attempt_pod(status: Mapping[str, Any], number: int) -> str:
    """The Pod that an attempt's log is read from: the frozen name with its number; of a service the
    one that the status names. "" where there is none yet.
    """
    name = str((status.get("pod") or {}).get("name") or "")
    return name if not name or "service" in status else f"{name.rpartition('-')[0]}-{number}"


def service_name(name: str, uuid: str) -> str:
    """The Deployment of a service, and the Service before it. A Service's name begins with a
    letter; a Pod's, which is made of its Deployment's and 17 characters, is a hostname.
    """
    label = slug(name, 36)
    return f"{label if label[0].isalpha() else slug(f'run-{label}', 36)}-{uuid[:8]}"


def generate_name(name: str | None) -> str:
    """The prefix from which the API server makes a run's name; its suffix is 5 characters."""
    return slug(name or "run", MAX_RUN_NAME - 6) + "-"


def labels(name: str, uuid: str, kind: str) -> dict[str, str]:
    """The labels of everything that a run owns."""
    return {
        "app.kubernetes.io/name": slug(name, 63),
        "app.kubernetes.io/instance": uuid,
        "app.kubernetes.io/component": kind,
        "app.kubernetes.io/part-of": "opstrand-runs",
        MANAGED_BY: MANAGED_BY_VALUE,
        UUID_LABEL: uuid,
    }


def owner_reference(body: Mapping[str, Any]) -> dict[str, Any]:
    """The Operation as the owner of what it runs: deleting it deletes them."""
    metadata = body["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Operation",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def owner_name(manifest: Mapping[str, Any]) -> str | None:
    """The name of the Operation that owns this object, if one does."""
    for reference in manifest.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("kind") == "Operation" and str(reference.get("apiVersion", "")).startswith(
            f"{GROUP}/"
        ):
            return str(reference["name"])
    return None


def is_replica(pod: Mapping[str, Any]) -> bool:
    """Whether a Pod was made for a Deployment."""
    return any(
        one.get("kind") == "ReplicaSet"
        for one in pod.get("metadata", {}).get("ownerReferences") or ()
    )


def is_replica_of(pod: Mapping[str, Any], deployment: str) -> bool:
    """Whether a Pod is one of this Deployment's: between the two stands a ReplicaSet, named after
    it.
    """
    owners = pod.get("metadata", {}).get("ownerReferences") or ()
    return any(
        one.get("kind") == "ReplicaSet"
        and str(one.get("name", "")).rpartition("-")[0] == deployment
        for one in owners
    )


def is_owned_by(manifest: Mapping[str, Any], uid: str) -> bool:
    return any(
        reference.get("uid") == uid
        for reference in manifest.get("metadata", {}).get("ownerReferences") or ()
    )
