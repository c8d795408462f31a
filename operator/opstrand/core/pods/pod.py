"""Render a plan as a Pod: the only place that knows the Pod fields to write.

The main container is the user's, with the run's variables and mounts added and nothing else
changed; init containers prepare what it finds. Must not resolve or render templates: the plan is
final.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.core.planning.connections import EMPTY, Catalog, Connection
from opstrand.core.planning.expansion import escape, protect_container
from opstrand.core.planning.plan import Plan
from opstrand.core.pods import connections, volumes
from opstrand.core.pods.collector import collects, grace, render_collector
from opstrand.core.pods.init_containers import (
    name_sidecars,
    our_security,
    render_config_map,
    render_init_containers,
)
from opstrand.core.pods.pod_rules import QUEUE_LABEL, queue_label
from opstrand.settings import Settings
from opstrand.types import Manifest

#: `environment` keys that are PodSpec fields. `restartPolicy` is not among them: a container that
#: restarts in place would never end, and would hide why; the operator retries instead
#: (`termination.maxRetries`). A service's Pods always restart, which `service` sets.
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


#: Variables of the published environment that its client does not read in a run of the cluster, or
#: reads as what it would assume without them. Each costs the server some 130 bytes at every write
#: of the Pod.
_FIELDS = {
    "POLYAXON_K8S_NODE_NAME": "spec.nodeName",
    "POLYAXON_K8S_NAMESPACE": "metadata.namespace",
    "POLYAXON_K8S_POD_ID": "metadata.name",
}
_CONSTANTS = {
    "POLYAXON_API_VERSION": "v1",
    "POLYAXON_HEADER": "X-POLYAXON-SERVICE",
    "POLYAXON_HEADER_SERVICE": "runner",
}


@dataclass(frozen=True)
class Rendered:
    """The objects of one attempt: the Pod, and a ConfigMap for init documents that are too long."""

    pod: Manifest
    config_map: Manifest | None = None


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 of the plan's canonical bytes, in hex."""
    return hashlib.sha256(plan.as_json()).hexdigest()


def render_pod(
    plan: Plan,
    *,
    owner: Mapping[str, Any],
    pod_name: str,
    settings: Settings,
    deadline: int | None = None,
    catalog: Catalog = EMPTY,
) -> Rendered:
    """Render the Pod of one attempt.

    `owner` is the Operation's owner reference, `deadline` the seconds that this attempt may take.
    Raises SpecError for a connection that is not in the catalog, and TooLarge if the init files do
    not fit even when compressed.
    """
    used = volumes.used_connections(plan, catalog)
    init = render_init_containers(plan, settings, catalog)
    store = [] if catalog.store is None else [catalog.store]
    metadata = _metadata(plan, [*used, *init.used, *store], owner=owner, name=pod_name)
    config_map = render_config_map(metadata, init.documents) if init.documents else None
    document_map = pod_name if config_map else None
    ours = volumes.own_volumes(
        plan, settings, config_map=document_map, needs_scratch=init.needs_scratch, deadline=deadline
    )
    shared = connections.unique(
        [*volumes.store_volumes(plan, catalog), *connections.render_volumes(used), *init.volumes]
    )
    spec: Manifest = {
        "restartPolicy": "Never",
        # A run has no rights in the cluster: it may only call the operator's API with its own
        # token.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **{
            key: plan.environment[key]
            for key in _POD_FIELDS
            if plan.environment.get(key) is not None
        },
        "initContainers": [
            *init.containers,
            # Sidecars end in the reverse order: the collector sees the last files of the others.
            *_render_collector(plan, settings, catalog),
            *_render_sidecars(plan, settings, catalog, used),
        ],
        "containers": [_render_main(plan, settings, catalog, used)],
        "volumes": [
            *ours,
            *shared,
            *(volumes.name_containers(dict(volume)) for volume in plan.volumes),
        ],
    }
    if plan.environment.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": name} for name in plan.environment["imagePullSecrets"]]
    if collects(plan, settings, catalog):
        spec["terminationGracePeriodSeconds"] = grace(settings)
    if deadline is not None:
        spec["activeDeadlineSeconds"] = deadline
    return Rendered(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, config_map
    )


def _render_collector(plan: Plan, settings: Settings, catalog: Catalog) -> list[Manifest]:
    if not collects(plan, settings, catalog):
        return []
    api = _address(settings)
    return [render_collector(settings, our_security(plan), api=api, run=plan.run_info)]


def _metadata(
    plan: Plan, used: Sequence[Connection], *, owner: Mapping[str, Any], name: str
) -> Manifest:
    queue = {QUEUE_LABEL: queue_label(plan.queue)} if plan.queue else {}
    annotations = {
        **connections.render_annotations(used),
        **(plan.environment.get("annotations") or {}),
    }
    return {
        "name": name,
        "namespace": plan.project,
        # The operator's labels win on the same key: it finds its Pods by them.
        "labels": {
            **(plan.environment.get("labels") or {}),
            **queue,
            **names.labels(plan.name, plan.uuid, plan.kind),
        },
        "annotations": {**annotations, names.PLAN_DIGEST: plan_digest(plan)},
        "ownerReferences": [dict(owner)],
    }


def _render_main(
    plan: Plan, settings: Settings, catalog: Catalog, used: Sequence[Connection]
) -> Manifest:
    own = volumes.resolve_names(protect_container(plan.container), plan, catalog, "run.container")
    container = _add_run(own, plan, settings, catalog, used)
    container["name"] = names.MAIN_CONTAINER
    given = container.get("volumeMounts") or ()
    ours = [*volumes.main_mounts(plan, catalog), *connections.render_mounts(used)]
    container["volumeMounts"] = volumes.join_mounts(given, ours, "run.container")
    return _keep_last_output(container)


def _keep_last_output(container: Manifest) -> Manifest:
    """Make the kubelet keep the last log lines of a failed container in its status.

    So the run's message has them without another request.
    """
    return {
        **container,
        "terminationMessagePolicy": container.get(
            "terminationMessagePolicy", "FallbackToLogsOnError"
        ),
    }


def _add_run(
    container: Manifest,
    plan: Plan,
    settings: Settings,
    catalog: Catalog,
    used: Sequence[Connection],
) -> Manifest:
    """Add the variables of the run and of its connections to the container.

    They win over the user's, and so do variables requested by params; `pod_rules` refuses a param
    that requests one of the run's own.
    """
    ours = [*connections.render_env(used), *_run_env(plan, settings, catalog, container)]
    # A param's value is data: Kubernetes must not expand `$(VAR)` in it.
    asked = [{"name": name, "value": escape(value)} for name, value in plan.to_env.items()]
    taken = {one["name"] for one in ours} | set(plan.to_env)
    env = [*(one for one in container.get("env") or () if one["name"] not in taken), *asked, *ours]
    container["env"] = _append_client(env, plan) if plan.plugins.get("client") else env
    env_from = [*(container.get("envFrom") or ()), *connections.render_env_from(used)]
    return {**container, "envFrom": env_from} if env_from else container


def _append_client(env: list[Manifest], plan: Plan) -> list[Manifest]:
    """Append the import shim to PYTHONPATH.

    `$(PYTHONPATH)` is the earlier value, whatever its source.
    """
    place = escape(f"{plan.context_root}/artifacts")
    before = next((one for one in env if one["name"] == "PYTHONPATH"), None)
    if before is None:
        return [*env, {"name": "PYTHONPATH", "value": place}]
    if "value" not in before:
        return [*env, {"name": "PYTHONPATH", "value": f"$(PYTHONPATH):{place}"}]
    return [{**one, "value": f"{one['value']}:{place}"} if one is before else one for one in env]


def _run_env(
    plan: Plan, settings: Settings, catalog: Catalog, container: Mapping[str, Any]
) -> list[Manifest]:
    """Return the variables of the published in-cluster environment, in its order.

    Those that neither the published client nor ours needs are there if the run's file names them.
    """
    text = plan.as_json()
    fields = {name: path for name, path in _FIELDS.items() if name.encode() in text}
    plain = {
        **_render_api(plan, settings),
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_RUN_INSTANCE": plan.run_info,
        **{name: value for name, value in _CONSTANTS.items() if name.encode() in text},
        "POLYAXON_CONTEXT_ROOT": plan.context_root,
        "POLYAXON_COLLECT_ARTIFACTS": _flag(plan.plugins.get("collectArtifacts")),
        "POLYAXON_COLLECT_RESOURCES": _flag(plan.plugins.get("collectResources")),
    }
    if catalog.store is not None:
        plain["POLYAXON_ARTIFACTS_STORE_NAME"] = catalog.store.name
    if plan.plugins.get("logLevel"):
        plain["POLYAXON_LOG_LEVEL"] = str(plan.plugins["logLevel"])
    if not _asks_for_gpu(container):
        plain["NVIDIA_VISIBLE_DEVICES"] = "none"
    return [
        *(
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in fields.items()
        ),
        *({"name": name, "value": escape(value)} for name, value in plain.items()),
    ]


def _render_api(plan: Plan, settings: Settings) -> dict[str, str]:
    """Return the address of the API, and the certificate by which it is trusted.

    From outside the cluster the API has a publicly trusted certificate.
    """
    if plan.plugins.get("externalHost") and settings.external_url:
        return {"POLYAXON_HOST": settings.external_url}
    return _address(settings)


def _address(settings: Settings) -> dict[str, str]:
    """Return the address of the API inside of the cluster, and how it is trusted."""
    trust = (
        {"POLYAXON_VERIFY_SSL": "true", "POLYAXON_SSL_CA_CERT": volumes.CA_PATH}
        if settings.api_ca
        else {}
    )
    return {"POLYAXON_HOST": settings.api_url, **trust}


def _flag(value: object) -> str:
    return "false" if value is False else "true"


def _asks_for_gpu(container: Mapping[str, Any]) -> bool:
    resources = container.get("resources") or {}
    return any("gpu" in key for part in ("limits", "requests") for key in resources.get(part) or {})


def _render_sidecars(
    plan: Plan, settings: Settings, catalog: Catalog, used: Sequence[Connection]
) -> list[Manifest]:
    """Render the user's sidecars: they see what main sees, and end with it.

    A plain second container would keep the Pod from ending.
    """
    no_connections = (plan.plugins.get("sidecar") or {}).get("noConnections")
    seen = [] if no_connections else list(used)
    rendered = []
    for index, sidecar in enumerate(name_sidecars(plan)):
        own = volumes.resolve_names(
            protect_container(sidecar), plan, catalog, f"run.sidecars[{index}]"
        )
        container = _add_run(own, plan, settings, catalog, seen)
        context = [*volumes.context_mounts(plan, catalog), *connections.render_mounts(seen)]
        container["volumeMounts"] = volumes.join_mounts(
            container.get("volumeMounts") or (), context, f"run.sidecars[{index}]"
        )
        rendered.append({**_keep_last_output(container), "restartPolicy": "Always"})
    return rendered
