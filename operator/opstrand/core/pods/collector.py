"""Render the container that sends a run's files to the API, where no store's volume has them.

Owns when a run has one, and how much longer its Pod may take to end. Must not know how files are
sent: `opstrand.collector` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.planning import service_globals
from opstrand.core.planning.connections import Catalog
from opstrand.core.planning.expansion import escape
from opstrand.core.planning.plan import Plan
from opstrand.core.pods.connections import mount
from opstrand.core.pods.volume_names import ARTIFACTS, CONFIGS, TOKEN
from opstrand.settings import Settings
from opstrand.types import Manifest

#: Seconds that Kubernetes gives the containers of a Pod to end, if the Pod does not say.
_GRACE = 30
#: Seconds by which the collector ends before it would be killed, so that it can say what is left.
_MARGIN = 5
_RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"cpu": "1", "memory": "128Mi"},
}


def collects(plan: Plan, settings: Settings, catalog: Catalog) -> bool:
    """Return whether the run's files are sent to the API.

    The replicas of a service share a run, so none of them can say what the run's files are.
    """
    return (
        bool(settings.data)
        and not settings.local_runs
        and catalog.store is None
        and plan.plugins.get("collectArtifacts") is not False
        and plan.kind != service_globals.KIND
    )


def grace(settings: Settings) -> int:
    """Return how many seconds a Pod with a collector may take to end.

    The kubelet ends the collector last, and gives all containers together the Pod's grace.
    """
    return _GRACE + settings.collect_grace


def render_collector(
    settings: Settings, security: Mapping[str, Any], *, api: Mapping[str, str], run: str
) -> Manifest:
    """Render the container. `api`: the variables by which a client finds the API; `run`: which run.

    It starts before main and is ended after it, so that it sees the last files.
    """
    env = {
        **api,
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_RUN_INSTANCE": run,
        "OPSTRAND_COLLECT_INTERVAL": str(settings.collect_interval),
        "OPSTRAND_COLLECT_SECONDS": str(max(1, grace(settings) - _MARGIN)),
    }
    mounts = [
        mount(ARTIFACTS, ARTIFACTS_PATH, True),
        mount(TOKEN, f"{CONTEXT_ROOT}/.token", True),
    ]
    if "POLYAXON_SSL_CA_CERT" in api:
        mounts.append(mount(CONFIGS, f"{CONTEXT_ROOT}/.configs", True))
    return {
        "name": names.COLLECTOR,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "command": ["python3", "-m", "opstrand.collector"],
        "resources": _RESOURCES,
        "securityContext": _see_all(security),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
        "env": [{"name": name, "value": escape(value)} for name, value in env.items()],
    }


def _see_all(security: Mapping[str, Any]) -> Manifest:
    """Let the collector, as root, read what main wrote as a user that its image declares."""
    if security["runAsUser"] != 0:
        return dict(security)
    return {**security, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}}
