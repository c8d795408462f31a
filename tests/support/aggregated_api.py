"""Our API behind the aggregation layer of a test's API server, with the rights of manifests/.

The API server reaches it on the loopback by a Service of type ExternalName: it has no network to
Pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from opstrand.api.aggregated import API_SERVICE, open_port
from opstrand.api.app import create_app
from opstrand.api.auth.tokens import ClusterAuth
from opstrand.api.connections import ConnectionLimits, Runner
from opstrand.api.v1 import discovery
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import AlreadyExists
from opstrand.kube.resources import API_SERVICES, NAMESPACES, Resource
from opstrand.kube.session import open_session
from opstrand.runs.protocols import Runs
from opstrand.settings import Settings
from tests.cluster.control_plane import ControlPlane, free_port
from tests.support.loopback_api import keep_files

CHECKOUT = Path(__file__).resolve().parents[2]
USER, AUDIENCE = "opstrand-api", "opstrand"
SECRET = "opstrand-api-aggregated-tls"
#: The namespace of the API: that of the user's kubeconfig.
_OWN = "default"
_BINDINGS = ("ClusterRoleBinding", "RoleBinding")
#: Seconds until the API server serves what it was given.
_PATIENCE = 60


@dataclass(frozen=True)
class Ports:
    """Where the API listens: for callers with a token, and for the front proxy."""

    tokens: int
    aggregated: int


def _read(*files: str) -> list[dict[str, Any]]:
    text = "---\n".join((CHECKOUT / "manifests" / file).read_text() for file in files)
    return [one for one in yaml.safe_load_all(text) if one]


def _adapt(manifest: dict[str, Any], port: int) -> dict[str, Any]:
    """The manifest for an API that is a user and not a Pod."""
    if manifest["metadata"].get("namespace") == "opstrand":
        manifest["metadata"]["namespace"] = _OWN
    if manifest["kind"] in _BINDINGS:
        group = "rbac.authorization.k8s.io"
        manifest["subjects"] = [{"kind": "User", "name": USER, "apiGroup": group}]
    if manifest["kind"] == "APIService":
        manifest["spec"]["service"] = {"name": "opstrand-api", "namespace": _OWN, "port": port}
    return manifest


async def install(kube: KubeApi, port: int) -> None:
    """Apply the rights of the API, the roles of users and the component `aggregated`."""
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "opstrand-api"}}
    made["metadata"]["namespace"] = _OWN  # type: ignore[index]
    files = ["base/rbac-api.yaml", "base/rbac-users.yaml"]
    files += ["aggregated/rbac.yaml", "aggregated/apiservice.yaml"]
    for manifest in [{**made, "spec": service}, *_read(*files)]:
        adapted = _adapt(manifest, port)
        if adapted["kind"] != "ServiceAccount":
            await _create(kube, adapted)


async def _create(kube: KubeApi, manifest: dict[str, Any]) -> None:
    group, _, version = manifest["apiVersion"].rpartition("/")
    kind = manifest["kind"]
    namespace = manifest["metadata"].get("namespace")
    plural = kind.lower() + "s"
    resource = Resource(group, version, plural, kind, namespaced=namespace is not None)
    with contextlib.suppress(AlreadyExists):
        await kube.create(resource, namespace, manifest)


@asynccontextmanager
async def serve(plane: ControlPlane, runs: Runs, files: Path) -> AsyncIterator[Ports]:
    """Install it into a new API server, and serve these runs, and files below the folder."""
    ports = Ports(free_port("127.0.0.1"), free_port("127.0.0.1"))
    async with await open_session(kubeconfig=str(plane.kubeconfig)) as admin:
        await install(KubeApi(admin), ports.aggregated)
        account = str(plane.user(USER))
        async with await open_session(kubeconfig=account, connections=64) as session:
            kube = KubeApi(session)
            auth, kept = ClusterAuth(kube, audience=AUDIENCE), keep_files(files)
            app = create_app(runs, auth, files=kept, resources=discovery.ROUTES)
            runner = Runner(app, limits=ConnectionLimits(), shutdown_timeout=0.1)
            settings = Settings(api_aggregated_port=ports.aggregated, api_aggregated_secret=SECRET)
            options: dict[str, Any] = {"host": "127.0.0.1", "limits": ConnectionLimits()}
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", ports.tokens).start()
            async with open_port(app, kube, settings, **options, cut_off=0.1):
                await wait_until_available(KubeApi(admin))
                yield ports
            await runner.cleanup()


async def wait_until_available(kube: KubeApi) -> None:
    """Wait until the API server passes requests on."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        service = await kube.get(API_SERVICES, None, API_SERVICE)
        conditions = (service.get("status") or {}).get("conditions") or ()
        if any(one["type"] == "Available" and one["status"] == "True" for one in conditions):
            return
        assert time.monotonic() < deadline, json.dumps(conditions)
        await asyncio.sleep(0.1)


async def make_project(kube: KubeApi, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await kube.create(NAMESPACES, None, body)
