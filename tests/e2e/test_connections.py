"""Connections in real containers: variables, Secrets and ConfigMaps as both, volumes, annotations,
and what happens if one is missing.
"""

from __future__ import annotations

import json

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from tests.e2e.catalog import catalog
from tests.e2e.conftest import describe, is_final, kubectl, main_log, operation, succeed, wait_for

PLAIN = "localhost/python-base:1"
CATALOG = {
    "connections": [
        {
            "name": "warehouse",
            "kind": "postgres",
            "schema": {"host": "db.test"},
            "secret": {"name": "db"},
            "configMap": {"name": "db-settings", "items": ["DB_NAME"]},
            "env": {"DB_TIMEOUT": 30},
            "annotations": {"test/note": "yes"},
        },
        {
            "name": "keys",
            "kind": "custom",
            "secret": {"name": "db", "mountPath": "/keys", "items": ["DB_PASSWORD"]},
        },
        {"name": "late", "kind": "custom", "secret": {"name": "not-yet"}},
    ]
}
SHOW = """
import json, os
keys = [name for name in os.listdir("/keys") if name[0] != "."]
print(*(os.environ[name] for name in ("DB_PASSWORD", "DB_NAME", "DB_TIMEOUT")), open("/keys/DB_PASSWORD").read(), keys)
print([one["name"] for one in json.loads(os.environ["POLYAXON_CONNECTIONS_CATALOG"])["connections"]])
"""


async def test_a_run_gets_what_its_connections_hold(kube: KubeApi, namespace: str) -> None:
    kubectl(
        "-n",
        namespace,
        "create",
        "secret",
        "generic",
        "db",
        "--from-literal=DB_PASSWORD=pass",
        "--from-literal=OTHER=1",
    )
    kubectl(
        "-n",
        namespace,
        "create",
        "configmap",
        "db-settings",
        "--from-literal=DB_NAME=sales",
        "--from-literal=OTHER=1",
    )
    container = {
        "image": PLAIN,
        "command": ["python3", "-c", SHOW, "{{ connections.warehouse.host }}"],
    }
    users = {"kind": "job", "connections": ["warehouse", "keys"], "container": container}
    waits = {
        "kind": "job",
        "connections": ["late"],
        "container": {"image": PLAIN, "command": ["sh", "-c", "echo $TOKEN"]},
    }
    unknown = {**users, "connections": ["warehose"]}
    async with catalog(CATALOG):
        for name, run in {"uses": users, "waits": waits, "unknown": unknown}.items():
            await kube.create(OPERATIONS, namespace, operation(name, {"component": {"run": run}}))
        body = await succeed(kube, namespace, "uses")
        refused = await wait_for(kube, namespace, "unknown", is_final)
        held = await wait_for(
            kube,
            namespace,
            "waits",
            lambda one: one.get("status", {}).get("reason") == "ContainerConfigError",
        )
        assert "not-yet" in held["status"]["message"]
        kubectl(
            "-n", namespace, "create", "secret", "generic", "not-yet", "--from-literal=TOKEN=came"
        )
        late = await succeed(kube, namespace, "waits")
    assert (
        main_log(namespace, body) == "pass sales 30 pass ['DB_PASSWORD']\n['warehouse', 'keys']\n"
    )
    assert "OTHER" not in main_log(namespace, body)
    assert main_log(namespace, late) == "came\n"
    pod = await kube.get(PODS, namespace, body["status"]["pod"]["name"])
    assert pod["metadata"]["annotations"]["test/note"] == "yes"
    assert "pass" not in json.dumps(pod["spec"]).replace("DB_PASSWORD", "")
    assert refused["status"]["reason"] == "InvalidSpec", describe(namespace, refused)
    assert (
        "there is no connection 'warehose' (did you mean 'warehouse'?"
        in refused["status"]["message"]
    )
