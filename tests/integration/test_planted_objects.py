"""Objects that another user created under the names of a run's objects, with its labels and owner:
none is used, whatever it holds.

The names are known as soon as the Operation exists, and a run that waits for its approval leaves
all the time for it.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from typing import Any

import pytest

from opstrand.core.names import labels, pod_name, run_uuid, service_name
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import CONFIG_MAPS, DEPLOYMENTS, OPERATIONS, PODS, SERVICES, Resource
from opstrand.types import Manifest
from tests.integration.conftest import in_phase, operation, wait_for

pytestmark = pytest.mark.usefixtures("operator")
JOB = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}
LONG = {**JOB, "init": [{"file": {"filename": "big.txt", "content": "line of text\n" * 20_000}}]}
SERVICE = {
    "kind": "service",
    "ports": [80],
    "container": {"image": "busybox", "command": ["httpd", "-f"]},
}
EVIL = {"containers": [{"name": "main", "image": "evil"}]}

Parts = dict[str, Any]


def config_map(_: Parts) -> Parts:
    document = base64.b64encode(gzip.compress(b"{}")).decode()
    return {"immutable": True, "binaryData": {"init-0": document, "plan": document}}


def pod(_: Parts) -> Parts:
    return {"spec": EVIL}


def service(_: Parts) -> Parts:
    return {"spec": {"selector": {"app": "evil"}, "ports": [{"port": 80, "name": "port-80"}]}}


def deployment(own: Parts) -> Parts:
    return {
        "spec": {
            "selector": {"matchLabels": own},
            "template": {"metadata": {"labels": own}, "spec": EVIL},
        }
    }


@pytest.mark.parametrize(
    "is_forged", [True, False], ids=["with the run as its owner", "without an owner"]
)
@pytest.mark.parametrize(
    ("run", "resource", "name_of", "make", "never_made"),
    [
        (LONG, CONFIG_MAPS, pod_name, config_map, PODS),
        (JOB, PODS, pod_name, pod, None),
        (SERVICE, SERVICES, service_name, service, DEPLOYMENTS),
        (SERVICE, DEPLOYMENTS, service_name, deployment, None),
    ],
    ids=["ConfigMap", "Pod", "Service", "Deployment"],
)
async def test_what_was_planted_is_not_used(
    kube: KubeApi,
    namespace: str,
    run: Parts,
    resource: Resource,
    name_of: Callable[..., str],
    make: Callable[[Parts], Parts],
    never_made: Resource | None,
    is_forged: bool,
) -> None:
    await kube.create(
        OPERATIONS, namespace, operation("run", {"component": {"run": run}, "isApproved": False})
    )
    body = await wait_for(kube, namespace, "run", in_phase("Waiting"))
    uuid = run_uuid(body["metadata"]["uid"])
    name = name_of("run", uuid, 0) if name_of is pod_name else name_of("run", uuid)
    own = labels("run", uuid, str(run["kind"]))
    metadata = {"name": name, "labels": own, "ownerReferences": [owner(body)] if is_forged else []}
    planted: Manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        **make(own),
    }
    planted = await kube.create(resource, namespace, planted)
    await kube.json_patch(
        OPERATIONS, namespace, "run", [{"op": "replace", "path": "/spec/isApproved", "value": True}]
    )
    final = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert final["status"]["reason"] == "NameConflict"
    assert resource.kind in final["status"]["message"]
    if never_made is not None:
        assert (await kube.list(never_made, namespace))[0] == []
    if not is_forged:
        assert (await kube.get(resource, namespace, name))["metadata"]["uid"] == planted[
            "metadata"
        ]["uid"]


def owner(body: Manifest) -> Parts:
    named = {key: body["metadata"][key] for key in ("name", "uid")}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        **named,
        "controller": True,
        "blockOwnerDeletion": True,
    }
