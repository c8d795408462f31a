"""`make install-cluster`: applies manifests/ unchanged to the cluster of $KUBECONFIG, and waits for
both Deployments.

The content key of the image is in the Pod templates, so that a new image under the same tag starts
new Pods.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.cluster.images import IMAGES, OPSTRAND
from tests.support.crds import wait_for_crds

CHECKOUT = Path(__file__).resolve().parents[2]
KUBECTL = str(CHECKOUT / ".venv" / "bin" / "kubectl")
DEPLOYMENTS = ("opstrand-operator", "opstrand-api")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def install() -> None:
    """Apply, and wait until operator and API are ready. Safe to repeat."""
    key = next(image for image in IMAGES if image.name == OPSTRAND).content_key()
    manifests = [
        one for one in yaml.safe_load_all(kubectl("kustomize", str(CHECKOUT / "manifests"))) if one
    ]
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
