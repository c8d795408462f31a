"""The parts around a container, in real Pods: environment, plugins, volumes, sidecars, resources,
variables.
"""

from __future__ import annotations

from typing import Any

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from tests.e2e.conftest import kubectl, main_log, operation, succeed

PLAIN = "localhost/python-base:1"

ENVIRONMENT = {
    "labels": {"team": "vision"},
    "annotations": {"note": 1},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "hostAliases": [{"ip": "10.9.8.7", "hostnames": ["db.test"]}],
    "securityContext": {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456},
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": {"options": [{"name": "ndots", "value": "3"}]},
    "priority": 0,
    "hostPID": False,
    "restartPolicy": "OnFailure",
}
SHOW = """
id -u; id -g; grep -c db.test /etc/hosts; grep -c ndots:3 /etc/resolv.conf; df /dev/shm | grep -c shm; cat /proc/1/comm
echo "$NVIDIA_VISIBLE_DEVICES $LITERAL $QUOTED $POLYAXON_LOG_LEVEL $POLYAXON_COLLECT_RESOURCES"
cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max
echo mine > /data/file; cat /data/file; test ! -e /var/run/secrets/kubernetes.io
"""
CLIENT = """cd / && python3 -c '
import polyaxon, sys
print(polyaxon.__name__, sys.path.count("/plx-context/artifacts"), "/lib-of-mine" in sys.path)'
"""
SIDECAR = (
    "trap 'exit 0' TERM; echo here > /plx-context/artifacts/from-sidecar; echo "
    "$POLYAXON_RUN_INSTANCE; while :; do sleep 0.1; done"
)


async def test_what_stands_around_a_container(kube: KubeApi, namespace: str) -> None:
    runs: dict[str, Any] = {
        "environment": {
            "plugins": {"logLevel": "DEBUG", "collectResources": False},
            "run": {
                "kind": "job",
                "environment": ENVIRONMENT,
                "volumes": [{"name": "data", "emptyDir": {}}],
                "container": {
                    "image": PLAIN,
                    "command": ["sh", "-ec", SHOW],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "resources": {
                        "limits": {"memory": "64Mi", "cpu": 1},
                        "requests": {"cpu": "100m"},
                    },
                    "env": [
                        {"name": "LITERAL", "value": "0.10"},
                        {"name": "QUOTED", "value": "'q'"},
                        {"name": "QUOTED", "value": "'r'"},
                    ],
                },
            },
        },
        "client": {
            "plugins": {"client": True},
            "run": {
                "kind": "job",
                "container": {
                    "image": PLAIN,
                    "command": ["sh", "-ec", CLIENT],
                    "env": [{"name": "PYTHONPATH", "value": "/lib-of-mine"}],
                },
            },
        },
        "shared-memory-of-ones-own": {
            "run": {
                "kind": "job",
                "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
                "init": [{"file": {"filename": "a", "content": "brought\n"}, "path": "/data/"}],
                "container": {
                    "image": PLAIN,
                    "command": [
                        "sh",
                        "-ec",
                        "df -k /dev/shm | tail -1 | awk '{print $2}'; cat /data/a",
                    ],
                    "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}],
                },
            }
        },
        "published-names": {
            "run": {
                "kind": "job",
                "init": [
                    {
                        "container": {
                            "image": PLAIN,
                            "command": [
                                "sh",
                                "-ec",
                                "echo by init > /context/file; echo shared > /dev/shm/file",
                            ],
                            "volumeMounts": [
                                {"name": "artifacts-context", "mountPath": "/context"},
                                {"name": "shm", "mountPath": "/dev/shm"},
                            ],
                        }
                    }
                ],
                "container": {
                    "image": PLAIN,
                    "command": ["sh", "-ec", "cat /plx-context/artifacts/file /dev/shm/file"],
                },
            }
        },
        "sidecar": {
            "run": {
                "kind": "job",
                "sidecars": [{"image": PLAIN, "command": ["sh", "-c", SIDECAR]}],
                "container": {
                    "image": PLAIN,
                    "command": [
                        "sh",
                        "-ec",
                        "until cat /plx-context/artifacts/from-sidecar; do sleep 0.1; done "
                        "2>/dev/null",
                    ],
                },
            }
        },
    }
    for name, component in runs.items():
        await kube.create(OPERATIONS, namespace, operation(name, {"component": component}))
    bodies = {name: await succeed(kube, namespace, name) for name in runs}
    assert main_log(namespace, bodies["environment"]) == (
        f"1234\n2345\n1\n1\n1\nsh\nnone 0.10 'r' DEBUG false\n{64 * 1024 * 1024}\nmine\n"
    )
    pod = await kube.get(PODS, namespace, bodies["environment"]["status"]["pod"]["name"])
    assert pod["metadata"]["labels"]["team"] == "vision"
    assert pod["metadata"]["annotations"]["note"] == "1"
    assert pod["spec"]["restartPolicy"] == "Never", "retries are the operator's"
    assert main_log(namespace, bodies["client"]) == "polyaxon 1 True\n"
    assert main_log(namespace, bodies["published-names"]) == "by init\nshared\n"
    assert main_log(namespace, bodies["sidecar"]) == "here\n"
    assert main_log(namespace, bodies["shared-memory-of-ones-own"]) == f"{8 * 1024}\nbrought\n"
    name = bodies["sidecar"]["status"]["pod"]["name"]
    said = kubectl("-n", namespace, "logs", name, "-c", "sidecar-0").stdout
    assert said.startswith(f"default.{namespace}.runs.")
