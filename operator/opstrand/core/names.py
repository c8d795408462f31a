"""Every name, label, annotation and key that opstrand gives to an object in the cluster.

One function makes each. Names inside a Pod (volumes, mounts, init containers) belong to their
renderers.
"""

from __future__ import annotations

import hashlib
import re

from opstrand.types import Body, ObjectMeta, OwnerReference, Pod, RunStatus

GROUP = "opstrand.dev"
API_VERSION = f"{GROUP}/v1"

#: The label that the operator's watch on Pods selects.
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "opstrand"
MANAGED_SELECTOR = f"{MANAGED_BY}={MANAGED_BY_VALUE}"
UUID_LABEL = f"{GROUP}/uuid"
#: SHA-256 of the plan's canonical bytes: two Pods with the same digest run the same thing.
PLAN_DIGEST = f"{GROUP}/plan-digest"
#: How many attempts may follow because the cluster removed a Pod: on the Operation, or in the
#: polyaxonfile under `run.environment.annotations`.
PLATFORM_RETRIES = f"{GROUP}/platform-retries"
#: Set by `opstrand run` and the API: retention may delete such runs, but never those that a person
#: applied.
CREATED_BY = f"{GROUP}/created-by"
#: Annotations: the user for whom the API created the run (the label of the same key names the
#: program that did), and the user who requested each action.
CREATED_BY_USER = CREATED_BY
ASKED_BY_USER = {
    "stop": f"{GROUP}/stopped-by",
    "skip": f"{GROUP}/skipped-by",
    "invalidate": f"{GROUP}/invalidated-by",
    "approve": f"{GROUP}/approved-by",
    "resume": f"{GROUP}/resumed-by",
}

#: Labels of a run that a pipeline made: the uuid of that pipeline, the uuid of the outermost one,
#: and the child's operation (or its index in a matrix) as a slug.
PIPELINE = f"{GROUP}/pipeline"
CONTROLLER = f"{GROUP}/controller"
OP = f"{GROUP}/op"
#: Annotations of such a run: how many pipelines are above it, and the statuses of the operations
#: that it refers to and that have no run.
DEPTH = f"{GROUP}/depth"
WITHOUT_RUN = f"{GROUP}/without-run"
#: Label of the run of a hook, and of the runs that it makes: the uuid of the run that ended.
HOOK = f"{GROUP}/hook-of"
#: Annotation of a run of a matrix: its index.
ITERATION = f"{GROUP}/iteration"
#: Annotation of a run of a schedule: its tick, in RFC 3339 and UTC.
SCHEDULE_AT = f"{GROUP}/schedule-at"

#: Annotation: the uuid of the run that this one was restarted or copied from.
RESTART_OF = f"{GROUP}/restart-of"
#: Annotation beside it, of a run that gets files of that one: what is copied, as JSON (`{}`: all).
COPIED = f"{GROUP}/copied"

MAIN_CONTAINER = "main"
INIT_CONTAINER = "opstrand-init"
COLLECTOR = "opstrand-collector"
#: The name of the main container in the published platform, its documents and its clients.
PUBLISHED_MAIN = "polyaxon-main"

#: The longest name of a run's object: the Pod's name is made of it, and is a hostname (63
#: characters).
MAX_RUN_NAME = 52

_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SLUG = re.compile(r"[^a-z0-9]+")
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def container_name(name: str) -> str:
    """Return the container's name in the Pod for the name that a user gives.

    The published platform's name of the main container means `main`.
    """
    return MAIN_CONTAINER if name == PUBLISHED_MAIN else name


def run_uuid(uid: str) -> str:
    """Return the 32 hex digits of an object's uid."""
    return uid.replace("-", "").lower()


def is_run_name(text: str) -> bool:
    """Return whether a run can have this name, by the schema of the custom resource."""
    return len(text) <= MAX_RUN_NAME and _RUN_NAME.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Return whether a namespace can have this name.

    Any other text would change the structure of a URL or a path.
    """
    return _NAMESPACE.fullmatch(text) is not None


def slug(text: str, limit: int) -> str:
    """Return `text` as a DNS label of at most `limit` characters; "run" if nothing is left."""
    return _SLUG.sub("-", text.lower()).strip("-")[:limit].strip("-") or "run"


def pod_name(name: str, uuid: str, attempt: int) -> str:
    """Return the name of one attempt's Pod.

    It is the same after every restart of the operator, so that no second Pod can be created.
    """
    return f"{slug(name, 48)}-{uuid[:8]}-{attempt}"


def attempt_pod(status: RunStatus, number: int) -> str:
    """Return the name of the Pod that has an attempt's log; "" if there is none yet.

    It is the frozen name with the attempt's number; for a service, the Pod that the status names.
    """
    name = str((status.get("pod") or {}).get("name") or "")
    return name if not name or "service" in status else f"{name.rpartition('-')[0]}-{number}"


def service_name(name: str, uuid: str) -> str:
    """Return the name of a service's Deployment and Service.

    A Service's name begins with a letter. A Pod's name, the Deployment's plus 17 characters, is a
    hostname.
    """
    label = slug(name, 36)
    return f"{label if label[0].isalpha() else slug(f'run-{label}', 36)}-{uuid[:8]}"


def child_name(parent: str, uuid: str, key: str | int) -> str:
    """Return the name of the run that a pipeline makes for an operation, or for an index.

    It is the same after every restart of the operator, so that no child can be created twice. The
    hash is made of the exact key: two operations may have the same slug.
    """
    number = int.from_bytes(hashlib.sha256(f"{uuid}/{key}".encode()).digest()[:8], "big")
    digits = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        digits += _BASE_36[digit]
    return f"{slug(parent, 22)}-{slug(str(key), 20)}-{digits}"


def generate_name(name: str | None) -> str:
    """Return the prefix from which the API server makes a run's name; it adds 5 characters."""
    return slug(name or "run", MAX_RUN_NAME - 6) + "-"


def labels(name: str, uuid: str, kind: str) -> dict[str, str]:
    """Return the labels of everything that a run owns."""
    return {
        "app.kubernetes.io/name": slug(name, 63),
        "app.kubernetes.io/instance": uuid,
        "app.kubernetes.io/component": kind,
        "app.kubernetes.io/part-of": "opstrand-runs",
        MANAGED_BY: MANAGED_BY_VALUE,
        UUID_LABEL: uuid,
    }


def owner_reference(body: Body) -> OwnerReference:
    """Return the owner reference of an Operation: deleting it deletes what it owns."""
    metadata: ObjectMeta = body["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Operation",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def find_controller(body: Body) -> OwnerReference | None:
    """Return the owner reference of the Operation that made this object, if one did."""
    for reference in body.get("metadata", {}).get("ownerReferences") or ():
        is_run = reference.get("kind") == "Operation" and str(
            reference.get("apiVersion", "")
        ).startswith(f"{GROUP}/")
        if is_run and reference.get("controller") is True:
            found: OwnerReference = reference
            return found
    return None


def find_hooked(body: Body) -> OwnerReference | None:
    """Return the owner reference of the run whose hook made this one; None if no hook did.

    That run does not control it.
    """
    uuid = (body["metadata"].get("labels") or {}).get(HOOK)
    for reference in body["metadata"].get("ownerReferences") or ():
        is_run = reference.get("kind") == "Operation" and not reference.get("controller")
        if uuid and is_run and run_uuid(str(reference.get("uid") or "")) == uuid:
            found: OwnerReference = reference
            return found
    return None


def is_of_hook(body: Body) -> bool:
    """Return whether a hook made this run, or a run above it."""
    return bool((body["metadata"].get("labels") or {}).get(HOOK))


def maker_uid(body: Body) -> str:
    """Return the uid of the Operation that made this one, as a pipeline or by a hook."""
    return str((find_controller(body) or find_hooked(body) or {}).get("uid") or "")


def read_op(body: Body) -> str:
    """Return the operation, or the index in a matrix, that a run is in its pipeline."""
    label = str((body["metadata"].get("labels") or {}).get(OP) or "")
    own = (body.get("spec") or {}).get("name")
    # The label is a slug; it is the index of a matrix's run, whose spec has the matrix's own name.
    return label if label.isdigit() or not isinstance(own, str) else own


def owner_name(manifest: Body) -> str | None:
    """Return the name of the Operation that owns this object, if one does."""
    for reference in manifest.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("kind") == "Operation" and str(reference.get("apiVersion", "")).startswith(
            f"{GROUP}/"
        ):
            return str(reference["name"])
    return None


def controller_uid(body: Body) -> str:
    """Return the uid of the Operation that made this object; empty if none did."""
    return str((find_controller(body) or {}).get("uid") or "")


def is_replica(pod: Body) -> bool:
    """Return whether a ReplicaSet owns a Pod."""
    return any(
        one.get("kind") == "ReplicaSet"
        for one in pod.get("metadata", {}).get("ownerReferences") or ()
    )


def is_replica_of(pod: Pod, deployment: str) -> bool:
    """Return whether a Pod belongs to this Deployment.

    A ReplicaSet, named after the Deployment, owns the Pod.
    """
    owners = pod.get("metadata", {}).get("ownerReferences") or ()
    return any(
        one.get("kind") == "ReplicaSet"
        and str(one.get("name", "")).rpartition("-")[0] == deployment
        for one in owners
    )


def is_owned_by(manifest: Body, uid: str) -> bool:
    return any(
        reference.get("uid") == uid
        for reference in manifest.get("metadata", {}).get("ownerReferences") or ()
    )
