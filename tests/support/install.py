"""`make install-cluster`: applies manifests/ unchanged to the cluster of $KUBECONFIG, and waits for
both Deployments. A cluster on this machine has no StorageClass: it gets one volume for the API's
claim.

The content key of the image is in the Pod templates, so that a new image under the same tag starts
new Pods.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.images import IMAGES, OPSTRAND
from tests.support.crds import wait_for_crds

CHECKOUT = Path(__file__).resolve().parents[2]
KUBECTL = str(CHECKOUT / ".venv" / "bin" / "kubectl")
DEPLOYMENTS = ("opstrand-operator", "opstrand-api")
#: The API's volume, where the cluster's one node is this machine.
DATA = Path("/var/lib/opstrand-test-data")
VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "opstrand-test-data"},
    "spec": {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "opstrand", "name": "opstrand-data"},
        "hostPath": {"path": str(DATA), "type": "Directory"},
    },
}


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def build(*components: str) -> list[dict[str, Any]]:
    """Return what kustomize makes of manifests/ with these components added."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("manifests", "crds"):
            shutil.copytree(CHECKOUT / name, Path(folder, name))
        top = Path(folder, "manifests")
        with (top / "kustomization.yaml").open("a") as file:
            file.write(f"components: [{', '.join(components)}]\n")
        return [one for one in yaml.safe_load_all(kubectl("kustomize", str(top))) if one]


def install(*components: str) -> None:
    """Apply, and wait until operator and API are ready. Safe to repeat."""
    key = next(image for image in IMAGES if image.name == OPSTRAND).content_key()
    manifests = build(*components)
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            manifest["spec"]["template"]["metadata"].setdefault("annotations", {})[
                "opstrand.dev/image-key"
            ] = key
    crds = [one for one in manifests if one["kind"] in ("CustomResourceDefinition", "Namespace")]
    kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(crds)
    )
    wait_for_crds()
    if not kubectl("get", "storageclass", "-o", "name"):
        _provide_volume()
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        stdin=yaml.safe_dump_all(manifests),
    )
    for name in DEPLOYMENTS:
        _wait_for(name)


def _provide_volume() -> None:
    """Make the volume that a StorageClass would provide."""
    DATA.mkdir(exist_ok=True)
    # The API's user writes there; fsGroup does not change a folder of the node.
    DATA.chmod(0o777)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(VOLUME))


def _wait_for(name: str) -> None:
    try:
        kubectl("-n", "opstrand", "rollout", "status", f"deployment/{name}", "--timeout=180s")
    except SystemExit as error:
        logs = subprocess.run(
            [KUBECTL, "-n", "opstrand", "logs", f"deployment/{name}", "--tail=50"],
            capture_output=True,
            text=True,
        )
        pods = subprocess.run(
            [KUBECTL, "-n", "opstrand", "get", "pods", "-o", "wide"], capture_output=True, text=True
        )
        raise SystemExit(f"{error}\n{pods.stdout}\n{logs.stdout}{logs.stderr}") from None


if __name__ == "__main__":
    started = time.monotonic()
    install()
    print(f"installed in {time.monotonic() - started:.0f} s", file=sys.stderr)
