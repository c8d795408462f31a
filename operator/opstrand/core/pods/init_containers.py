"""Render the Pod's init containers: the operator's, each with its document, and the user's own.

Owns how a document is delivered and as which user the operator's containers run. Must not know what
a step does: `init_steps` does.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.core.planning.connections import Catalog, Connection
from opstrand.core.planning.containers import merge_env
from opstrand.core.planning.expansion import escape, protect_container
from opstrand.core.planning.plan import Plan
from opstrand.core.pods import connections, volumes
from opstrand.core.pods.init_steps import Group, encode, group_steps, render_init_document
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.types import Manifest

#: Longer documents go into a ConfigMap: the kernel limits one environment string to 128 KiB.
INLINE_LIMIT = 64 * 1024
#: The most that a ConfigMap may hold after compression.
CONFIG_MAP_LIMIT = 900 * 1024
#: Requests and limits of the operator's containers. git unpacks in memory.
_REQUESTS = {"cpu": "10m", "memory": "32Mi"}
_CPU, _MEMORY, _MEMORY_OF_GIT = "1", "256Mi", "1Gi"
#: The same in words, for messages about a refusal because of them.
RESOURCES = (
    f"{_REQUESTS['cpu']} to {_CPU} cpu and {_REQUESTS['memory']} to {_MEMORY} of memory "
    f"({_MEMORY_OF_GIT} where it fetches git)"
)
#: The user of the operator's containers if the user's container must not run as root.
UNPRIVILEGED_USER = 65532


@dataclass(frozen=True)
class InitContainers:
    """The rendered init containers and what they need.

    `documents`: the content of the ConfigMap, by file name. `volumes` are those that only init
    steps need, `used` their connections.
    """

    containers: tuple[Manifest, ...]
    documents: Mapping[str, str]
    volumes: tuple[Manifest, ...]
    needs_scratch: bool
    used: tuple[Connection, ...] = ()


def render_init_containers(plan: Plan, settings: Settings, catalog: Catalog) -> InitContainers:
    """Render all init containers, in the order in which they must run.

    Raises SpecError for what cannot be fetched or does not fit.
    """
    groups = group_steps(plan, settings, catalog)
    containers: list[Manifest] = []
    documents: dict[str, str] = {}
    taken = given_names(plan)
    for index, group in enumerate(groups):
        if group.container is not None and not group.steps:
            containers.append(
                _render_users(group, free_name(f"init-{index}", taken), plan, catalog)
            )
        else:
            containers.append(_render_steps(index, group, plan, settings, catalog, documents))
    # If a step mounts a volume at /tmp itself, that serves as the scratch volume.
    needs_scratch = any(
        volumes.scratch_mount() in one.get("volumeMounts", ()) for one in containers
    )
    used = tuple(one for group in groups for one in group.used)
    return InitContainers(
        tuple(containers), documents, _collect_volumes(groups), needs_scratch, used
    )


def _render_steps(
    index: int,
    group: Group,
    plan: Plan,
    settings: Settings,
    catalog: Catalog,
    documents: dict[str, str],
) -> Manifest:
    """Render the operator's container for these steps, with the user's container merged over it.

    A document that is too long for a variable is added to `documents`.
    """
    name = names.INIT_CONTAINER if index == 0 else f"{names.INIT_CONTAINER}-{index + 1}"
    document = encode(render_init_document(plan, settings, group, catalog, is_first=index == 0))
    travels = _travel(document, index, documents)
    ours = _render_ours(name, group, plan, settings, catalog, travels)
    if index == 0:
        ours["volumeMounts"] += volumes.store_mounts(plan, catalog)
    if group.container is None:
        return ours
    return _merge_over(ours, group, _read_users(group, plan, catalog))


def _collect_volumes(groups: list[Group]) -> tuple[Manifest, ...]:
    """Return the volumes that built-in steps and users' containers with connections need."""
    found = [
        *volumes.source_volumes([one for group in groups if group.steps for one in group.used])
    ]
    found += connections.render_volumes(
        [one for group in groups if group.runs_theirs for one in group.used]
    )
    return tuple(connections.unique(found))


def _travel(document: str, index: int, documents: dict[str, str]) -> list[Manifest]:
    """Return the variable that holds the document, or those with its file and its digest."""
    if len(document.encode()) <= INLINE_LIMIT:
        return [{"name": "OPSTRAND_INIT", "value": escape(document)}]
    file = "init.json.gz" if index == 0 else f"init-{index + 1}.json.gz"
    documents[file] = document
    # The ConfigMap's name is predictable, so another client may have created it: the digest makes
    # sure that only this document is executed.
    digest = hashlib.sha256(document.encode()).hexdigest()
    return [
        {"name": "OPSTRAND_INIT_FILE", "value": f"{volumes.INIT_PATH}/{file}"},
        {"name": "OPSTRAND_INIT_SHA256", "value": digest},
    ]


def _render_ours(
    name: str,
    group: Group,
    plan: Plan,
    settings: Settings,
    catalog: Catalog,
    travels: list[Manifest],
) -> Manifest:
    mounts = [*volumes.context_mounts(plan, catalog), *volumes.source_mounts(group.used)]
    if travels[0]["name"] == "OPSTRAND_INIT_FILE":
        mounts.append(volumes.init_mount())
    if group.needs_scratch and all(one["mountPath"] != volumes.SCRATCH_PATH for one in mounts):
        mounts.append(volumes.scratch_mount())
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "opstrand.initializer"],
        "resources": {
            "requests": dict(_REQUESTS),
            "limits": {"cpu": _CPU, "memory": _MEMORY_OF_GIT if group.needs_scratch else _MEMORY},
        },
        "securityContext": our_security(plan, shares_files=_shares_files(group, plan, catalog)),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
        "env": travels,
    }


def _shares_files(group: Group, plan: Plan, catalog: Catalog) -> bool:
    """Return whether the operator's container sees files that other runs left."""
    return (
        bool(group.used)
        or volumes.keeps_files(plan, catalog)
        or volumes.mounts_store(plan, catalog)
    )


def _read_users(group: Group, plan: Plan, catalog: Catalog) -> Manifest:
    """Return the user's container of an init step as Kubernetes must read it."""
    return volumes.resolve_names(
        protect_container(group.container or {}), plan, catalog, f"{group.place}.container"
    )


def _merge_over(ours: Manifest, group: Group, given: Manifest) -> Manifest:
    """Merge the user's container over the operator's for the same step.

    The user's fields win; the user's list items come after the operator's.
    """
    used = group.used if group.runs_theirs else ()
    merged = {**ours, **{key: value for key, value in given.items() if value is not None}}
    if "command" in given or "args" in given:
        merged.update(command=given.get("command"), args=given.get("args"))
    merged["env"] = merge_env(
        [*ours["env"], *connections.render_env(used), *(given.get("env") or ())]
    )
    merged["envFrom"] = [*connections.render_env_from(used), *(given.get("envFrom") or ())] or None
    mounts = [*ours["volumeMounts"], *connections.render_mounts(used)]
    merged["volumeMounts"] = volumes.join_mounts(
        given.get("volumeMounts") or (), mounts, f"{group.place}.container"
    )
    merged["name"] = given.get("name") or ours["name"]
    return {key: value for key, value in merged.items() if value is not None}


def _render_users(group: Group, name: str, plan: Plan, catalog: Catalog) -> Manifest:
    """Render a user's init container.

    It stays as written, except that a step with a connection gets the connection's parts and the
    context. The kubelet keeps its last log lines, so that a failure has a message.
    """
    own = _read_users(group, plan, catalog)
    container = {"name": name, "terminationMessagePolicy": "FallbackToLogsOnError", **own}
    if not group.used:
        return container
    env = merge_env([*(container.get("env") or ()), *connections.render_env(group.used)])
    env_from = [*(container.get("envFrom") or ()), *connections.render_env_from(group.used)]
    mounts = [*volumes.context_mounts(plan, catalog), *connections.render_mounts(group.used)]
    mounts = volumes.join_mounts(
        container.get("volumeMounts") or (), mounts, f"{group.place}.container"
    )
    return {
        **container,
        "env": env,
        "volumeMounts": mounts,
        **({"envFrom": env_from} if env_from else {}),
    }


def our_security(plan: Plan, *, shares_files: bool = False) -> Manifest:
    """Return the security context of the operator's container.

    It runs as main's user, so that main may change the prepared files, and satisfies the restricted
    Pod Security level if main can. With `shares_files` and as root, it may read files of any owner,
    as main could.
    """
    main = plan.container.get("securityContext") or {}
    pod = plan.environment.get("securityContext") or {}
    user = main.get("runAsUser", pod.get("runAsUser"))
    non_root = main.get("runAsNonRoot", pod.get("runAsNonRoot"))
    if user is None:
        user = UNPRIVILEGED_USER if non_root else 0
    security: Manifest = {
        "runAsUser": user,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if user == 0 and shares_files:
        security["capabilities"]["add"] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
    if non_root:
        security["runAsNonRoot"] = True
    return security


def render_config_map(metadata: Mapping[str, Any], documents: Mapping[str, str]) -> Manifest:
    """Render the ConfigMap of the documents that are too long for a variable.

    Raises SpecError TooLarge if they do not fit even when compressed.
    """
    # The gzip header has a fixed time, so that the same document gives the same object.
    packed = {
        name: gzip.compress(document.encode(), mtime=0) for name, document in documents.items()
    }
    size = sum(map(len, packed.values()))
    if size > CONFIG_MAP_LIMIT:
        raise SpecError(
            "TooLarge",
            f"the init files are {size} bytes compressed, at most {CONFIG_MAP_LIMIT} fit into the "
            "cluster",
            "run.init",
        )
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "ownerReferences")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": kept,
        "immutable": True,
        "binaryData": {name: base64.b64encode(data).decode() for name, data in packed.items()},
    }


def name_sidecars(plan: Plan) -> list[Manifest]:
    """Return the sidecars, each with a name: Kubernetes requires one, the polyaxonfile does not."""
    taken = given_names(plan)
    return [
        {"name": free_name(f"sidecar-{index}", taken), **sidecar}
        for index, sidecar in enumerate(plan.sidecars)
    ]


def given_names(plan: Plan) -> set[str]:
    """Return the names of the user's own containers."""
    containers = [*plan.sidecars, *(step["container"] for step in plan.init if "container" in step)]
    return {str(one["name"]) for one in containers if one.get("name")}


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, extended until it is not taken."""
    return name if name not in taken else free_name(f"{name}-x", taken)
