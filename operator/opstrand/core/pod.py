"""The plan in Pod vocabulary: the only place that knows Pod fields for writing.

The main container is the user's, with the run's environment and mounts added and nothing else touched; one fused init container
prepares what it finds. Must not resolve or render anything: the plan is final.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.init_steps import encode, is_container_step, render_init_document
from opstrand.core.plan import Plan
from opstrand.errors import SpecError
from opstrand.settings import Settings

Manifest = dict[str, Any]

#: Longer init documents travel in a ConfigMap: one environment string of the kernel ends at 128 KiB.
INLINE_LIMIT = 64 * 1024
#: What a ConfigMap may hold once compressed.
CONFIG_MAP_LIMIT = 900 * 1024
#: Whom our containers run as where the user's may not be root.
NOBODY = 65532

_PLAN_PATH = "/opstrand/init"
_ARTIFACTS, _CONFIGS, _TOKEN, _SHM, _INIT = "opstrand-artifacts", "opstrand-configs", "opstrand-token", "opstrand-shm", "opstrand-init"

#: `environment` keys that are the PodSpec's own.
_POD_FIELDS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "nodeName",
    "serviceAccountName",
    "hostAliases",
    "securityContext",
    "hostNetwork",
    "hostPID",
    "dnsPolicy",
    "dnsConfig",
    "schedulerName",
    "priorityClassName",
    "priority",
)


@dataclass(frozen=True)
class Rendered:
    """What one attempt needs in the cluster: the Pod, and a ConfigMap where its init document is too long for an env variable."""

    pod: Manifest
    config_map: Manifest | None = None


def plan_digest(plan: Plan) -> str:
    """SHA-256 of the plan's canonical bytes, in hex."""
    return hashlib.sha256(plan.as_json()).hexdigest()


def render_pod(plan: Plan, *, owner: Mapping[str, Any], pod_name: str, settings: Settings, deadline: int | None = None) -> Rendered:
    """The Pod of one attempt. `owner` is the Operation's owner reference, `deadline` the seconds this attempt may take.

    Raises SpecError TooLarge where the init files do not even fit compressed.
    """
    document = encode(render_init_document(plan, settings))
    inline = len(document.encode()) <= INLINE_LIMIT
    metadata = _metadata(plan, owner=owner, name=pod_name)
    config_map = None if inline else _render_config_map(metadata, document)
    spec: Manifest = {
        "restartPolicy": plan.environment.get("restartPolicy", "Never"),
        # A run has no rights in the cluster: what it may do is to speak to our API with its own token.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **{key: plan.environment[key] for key in _POD_FIELDS if plan.environment.get(key) is not None},
        "initContainers": [
            _render_init_container(plan, settings, document if inline else None),
            *(dict(step["container"]) for step in plan.init if is_container_step(step)),
            *(_as_native_sidecar(sidecar) for sidecar in plan.sidecars),
        ],
        "containers": [_render_main(plan, settings)],
        "volumes": [*_volumes(plan, settings, None if inline else pod_name), *(dict(volume) for volume in plan.volumes)],
    }
    if plan.environment.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": name} for name in plan.environment["imagePullSecrets"]]
    if deadline is not None:
        spec["activeDeadlineSeconds"] = deadline
    return Rendered({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, config_map)


def _metadata(plan: Plan, *, owner: Mapping[str, Any], name: str) -> Manifest:
    queue = {"kueue.x-k8s.io/queue-name": plan.queue} if plan.queue else {}
    return {
        "name": name,
        "namespace": plan.project,
        # Ours win on the same key: the operator finds its Pods by them.
        "labels": {**(plan.environment.get("labels") or {}), **queue, **names.labels(plan.name, plan.uuid, plan.kind)},
        "annotations": {**(plan.environment.get("annotations") or {}), names.PLAN_DIGEST: plan_digest(plan)},
        "ownerReferences": [dict(owner)],
    }


def _render_main(plan: Plan, settings: Settings) -> Manifest:
    container = dict(plan.container)
    ours = _run_env(plan, settings)
    taken = {one["name"] for one in ours} | set(plan.to_env)
    container["name"] = names.MAIN_CONTAINER
    container["env"] = [
        *(one for one in container.get("env") or () if one["name"] not in taken),
        # What a param holds is data: Kubernetes must not expand `$(VAR)` in it.
        *({"name": name, "value": escape(value)} for name, value in plan.to_env.items()),
        *ours,
    ]
    container["volumeMounts"] = [*(container.get("volumeMounts") or ()), *_main_mounts(plan)]
    # The kubelet keeps the last lines of a failed container's log in its status: the run's message has them without a request.
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return container


def _run_env(plan: Plan, settings: Settings) -> list[Manifest]:
    """The variables of the published in-cluster environment, in its order."""
    fields = {
        "POLYAXON_K8S_NODE_NAME": "spec.nodeName",
        "POLYAXON_K8S_NAMESPACE": "metadata.namespace",
        "POLYAXON_K8S_POD_ID": "metadata.name",
    }
    plain = {
        "POLYAXON_HOST": settings.api_url,
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_API_VERSION": "v1",
        "POLYAXON_RUN_INSTANCE": plan.run_info,
        "POLYAXON_HEADER": "X-POLYAXON-SERVICE",
        "POLYAXON_HEADER_SERVICE": "runner",
        "POLYAXON_CONTEXT_ROOT": CONTEXT_ROOT,
        "POLYAXON_COLLECT_ARTIFACTS": _flag(plan.plugins.get("collectArtifacts")),
        "POLYAXON_COLLECT_RESOURCES": _flag(plan.plugins.get("collectResources")),
    }
    if plan.plugins.get("logLevel"):
        plain["POLYAXON_LOG_LEVEL"] = str(plan.plugins["logLevel"])
    if not _asks_for_gpu(plan.container):
        plain["NVIDIA_VISIBLE_DEVICES"] = "none"
    return [
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
        *({"name": name, "value": value} for name, value in plain.items()),
    ]


def _flag(value: object) -> str:
    return "false" if value is False else "true"


def _asks_for_gpu(container: Mapping[str, Any]) -> bool:
    resources = container.get("resources") or {}
    return any("gpu" in key for part in ("limits", "requests") for key in resources.get(part) or {})


def _render_init_container(plan: Plan, settings: Settings, document: str | None) -> Manifest:
    mounts = [
        _mount(_ARTIFACTS, ARTIFACTS_PATH),
        _mount(_CONFIGS, f"{CONTEXT_ROOT}/.configs"),
        _mount(_TOKEN, f"{CONTEXT_ROOT}/.token", True),
    ]
    container: Manifest = {
        "name": names.INIT_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "opstrand.initializer"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": _our_security(plan),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, *_path_mounts(plan)],
    }
    if document is not None:
        container["env"] = [{"name": "OPSTRAND_INIT", "value": escape(document)}]
    else:
        container["env"] = [{"name": "OPSTRAND_INIT_FILE", "value": f"{_PLAN_PATH}/init.json.gz"}]
        container["volumeMounts"].append(_mount(_INIT, _PLAN_PATH, True))
    return container


def escape(text: str) -> str:
    """`text` as an env value that Kubernetes leaves as it is: it would expand `$(VAR)` and turn `$$` into `$`."""
    return text.replace("$", "$$")


def _our_security(plan: Plan) -> Manifest:
    """Who our container runs as: main's own user, so that main may change what it finds. Meets the restricted level where main's can."""
    main = plan.container.get("securityContext") or {}
    pod = plan.environment.get("securityContext") or {}
    user = main.get("runAsUser", pod.get("runAsUser"))
    non_root = main.get("runAsNonRoot", pod.get("runAsNonRoot"))
    if user is None:
        user = NOBODY if non_root else 0
    security: Manifest = {
        "runAsUser": user,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if non_root:
        security["runAsNonRoot"] = True
    return security


def _as_native_sidecar(sidecar: Mapping[str, Any]) -> Manifest:
    """A sidecar that ends with main: a plain second container would keep the Pod from ending."""
    return {**sidecar, "restartPolicy": "Always"}


def _mount(name: str, path: str, read_only: bool = False) -> Manifest:
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def _main_mounts(plan: Plan) -> list[Manifest]:
    mounts = [
        _mount(_ARTIFACTS, ARTIFACTS_PATH),
        _mount(_CONFIGS, f"{CONTEXT_ROOT}/.configs"),
        _mount(_TOKEN, f"{CONTEXT_ROOT}/.token", True),
    ]
    if plan.plugins.get("shm") is not False:
        mounts.append(_mount(_SHM, "/dev/shm"))
    return [*mounts, *_path_mounts(plan)]


def _init_paths(plan: Plan) -> list[str]:
    """Folders that init steps ask for by `path`, each once, in order."""
    return list(dict.fromkeys(step["path"] for step in plan.init if step.get("path") and not step["path"].startswith(ARTIFACTS_PATH)))


def _path_volume(path: str) -> str:
    return f"opstrand-path-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _path_mounts(plan: Plan) -> Iterable[Manifest]:
    return (_mount(_path_volume(path), path) for path in _init_paths(plan))


def _volumes(plan: Plan, settings: Settings, config_map: str | None) -> list[Manifest]:
    token = {"serviceAccountToken": {"audience": settings.audience, "expirationSeconds": settings.token_seconds, "path": "token"}}
    volumes: list[Manifest] = [
        {"name": _ARTIFACTS, "emptyDir": {}},
        {"name": _CONFIGS, "emptyDir": {}},
        {"name": _TOKEN, "projected": {"sources": [token]}},
    ]
    if plan.plugins.get("shm") is not False:
        volumes.append({"name": _SHM, "emptyDir": {"medium": "Memory"}})
    if config_map is not None:
        volumes.append({"name": _INIT, "configMap": {"name": config_map}})
    return [*volumes, *({"name": _path_volume(path), "emptyDir": {}} for path in _init_paths(plan))]


def _render_config_map(metadata: Mapping[str, Any], document: str) -> Manifest:
    # A fixed time in the header: the same document is the same object.
    packed = gzip.compress(document.encode(), mtime=0)
    if len(packed) > CONFIG_MAP_LIMIT:
        raise SpecError(
            "TooLarge", f"the init files are {len(packed)} bytes compressed, at most {CONFIG_MAP_LIMIT} fit into the cluster", "run.init"
        )
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "ownerReferences")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": kept,
        "immutable": True,
        "binaryData": {"init.json.gz": base64.b64encode(packed).decode()},
    }
