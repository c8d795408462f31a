"""Run A leaves files, and run B has them before it starts: by path, by folder, by lineage name;
from a host path and from a static volume.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
import yaml

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.e2e.catalog import catalog
from tests.e2e.conftest import (
    describe,
    is_final,
    kubectl,
    main_log,
    main_log_lines,
    operation,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
FOLDER = "/var/lib/opstrand-test-store"


@pytest_asyncio.fixture(loop_scope="session")
async def store(namespace: str) -> AsyncIterator[dict[str, Any]]:
    """Yield one folder of the node as a host path, and as a static PersistentVolume with its claim
    in the namespace.
    """
    make = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "make-store", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "make",
                    "image": PLAIN,
                    "command": ["chmod", "777", "/store"],
                    "volumeMounts": [{"name": "s", "mountPath": "/store"}],
                }
            ],
            "volumes": [{"name": "s", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}],
        },
    }
    name = f"store-{namespace}"
    shape: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    persistent = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            **shape,
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": FOLDER},
            "claimRef": {"namespace": namespace, "name": "store"},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "store", "namespace": namespace},
        "spec": {**shape, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": name},
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([make, persistent, claim]))
    kubectl(
        "-n",
        namespace,
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        "pod/make-store",
        "--timeout=60s",
    )
    yield {
        "artifactsStore": {
            "name": "store",
            "kind": "host_path",
            "schema": {"hostPath": FOLDER, "mountPath": "/store"},
        },
        "connections": [
            {
                "name": "claim",
                "kind": "volume_claim",
                "schema": {"volumeClaim": "store", "mountPath": "/claim"},
            }
        ],
    }
    kubectl("delete", "persistentvolume", name, "--wait=false")


def job(shell: str, **component: Any) -> dict[str, Any]:
    run = {
        "kind": "job",
        "init": component.pop("init", []),
        "connections": component.pop("connections", []),
    }
    container = {"image": PLAIN, "command": ["sh", "-ec", shell]}
    return {"component": {**component, "run": {**run, "container": container}}}


WRITE = """
mkdir -p {{ globals.run_outputs_path }}/model && cd {{ globals.run_outputs_path }}
echo w1 > model/weights.txt; echo private > model/key; chmod 600 model/key; echo note > note.txt
cd / && PYTHONPATH=/plx-context/artifacts python3 -c "
from polyaxon.client import RunClient
RunClient().log_artifact_ref(path='outputs/model', name='model', kind='dir')"
"""


async def test_what_one_run_leaves_another_has_before_it_starts(
    kube: KubeApi, namespace: str, store: dict[str, Any]
) -> None:
    ref = {"ref": "ops.writer"}
    base = "{{ globals.artifacts_path }}"
    readers = {
        "by-outputs": {
            "params": {"files": {**ref, "value": "artifacts.outputs"}},
            **job(
                f"cat {base}/{{{{ files }}}}/model/weights.txt", init=[{"paths": ["{{ files }}"]}]
            ),
        },
        "by-dirs": {
            "params": {
                "model": {
                    **ref,
                    "value": {"dirs": [["outputs/model", "m"]], "files": ["outputs/note.txt"]},
                    "toInit": True,
                }
            },
            **job(
                f"cat {base}/m/weights.txt {base}/*/outputs/note.txt",
                inputs=[{"name": "model", "type": "artifacts"}],
            ),
        },
        "by-lineage-name": {
            "params": {"model": {**ref, "value": "artifacts.model"}},
            **job("cat /in/m/weights.txt", init=[{"paths": [["{{ model }}", "m"]], "path": "/in"}]),
        },
        "by-claim": {
            "params": {"files": {**ref, "value": "artifacts.outputs"}},
            **job(
                f"cat {base}/claim/{{{{ files }}}}/note.txt /claim/{{{{ files "
                f"}}}}/model/weights.txt",
                init=[{"connection": "claim", "artifacts": {"files": ["{{ files }}/note.txt"]}}],
                connections=["claim"],
            ),
        },
        "by-mount": {
            "params": {"files": {**ref, "value": "artifacts.outputs"}},
            **job(
                "cat {{ globals.store_path }}/{{ files }}/note.txt",
                plugins={"mountArtifactsStore": True},
            ),
        },
        "by-join": {
            "params": {"ended": {**ref, "value": "globals.status"}},
            "joins": [
                {
                    "query": "name: writer",
                    "params": {
                        "model": {"value": {"dirs": [["outputs/model", "j"]]}, "toInit": True}
                    },
                }
            ],
            **job(f"cat {base}/j/weights.txt", inputs=[{"name": "model", "type": "artifacts"}]),
        },
        "by-join-of-none": {
            "params": {
                "ended": {**ref, "value": "globals.status"},
                "writer": {**ref, "value": "globals.uuid"},
            },
            "joins": [
                {
                    "query": "name: nobody",
                    "params": {"model": {"value": {"dirs": ["outputs/model"]}, "toInit": True}},
                }
            ],
            **job(
                f"test ! -e {base}/{{{{ writer }}}} && echo nothing",
                inputs=[{"name": "model", "type": "artifacts"}],
            ),
        },
        "missing": {
            "params": {"base": {**ref, "value": "artifacts.base"}},
            **job("true", init=[{"paths": ["{{ base }}/outputs/modle"]}]),
        },
    }
    async with catalog(store):
        for name, spec in {"writer": job(WRITE), **readers}.items():
            await kube.create(OPERATIONS, namespace, operation(name, spec))
        bodies = {
            name: await succeed(kube, namespace, name)
            for name in ("writer", *readers)
            if name != "missing"
        }
        missing = await wait_for(kube, namespace, "missing", is_final)
    logs = {name: main_log(namespace, body) for name, body in bodies.items()}
    assert logs["by-outputs"] == "w1\n"
    assert logs["by-dirs"] == "w1\nnote\n"
    assert logs["by-lineage-name"] == "w1\n"
    assert logs["by-claim"] == "note\nw1\n"
    assert logs["by-mount"] == "note\n"
    assert (logs["by-join"], logs["by-join-of-none"]) == ("w1\n", "nothing\n")
    assert missing["status"]["reason"] == "InitFailed"
    assert "/outputs/modle' (there is: model, note.txt)" in missing["status"]["message"], describe(
        namespace, missing
    )
    assert [edge["name"] for edge in bodies["by-dirs"]["status"]["upstream"]] == ["writer"]


async def test_a_claim_is_a_store_like_any_other(
    kube: KubeApi, namespace: str, store: dict[str, Any]
) -> None:
    """The store itself is not mounted into a run: a later run gets a copy of what an earlier one
    left.
    """
    [claim] = store["connections"]
    files = {"params": {"files": {"ref": "ops.writer", "value": "artifacts.outputs"}}}
    read = "cat {{ globals.artifacts_path }}/{{ files }}/model/weights.txt; ls /claim 2>&1 || true"
    async with catalog({"artifactsStore": claim}):
        for name, spec in {
            "writer": job(WRITE),
            "reader": {**files, **job(read, init=[{"paths": ["{{ files }}"]}])},
        }.items():
            await kube.create(OPERATIONS, namespace, operation(name, spec))
        bodies = {name: await succeed(kube, namespace, name) for name in ("writer", "reader")}
    assert main_log_lines(namespace, bodies["reader"]) == [
        "ls: cannot access '/claim': No such file or directory",
        "w1",
    ]
