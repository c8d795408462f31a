"""Waiting for our CRDs to be served.

`kubectl wait` ends with an error for a CRD that has no conditions yet, which one has for a moment
after it was applied.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

KUBECTL = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "kubectl"
NAMES = ("operations.opstrand.dev", "components.opstrand.dev")


def wait_for_crds(kubeconfig: Path | None = None, seconds: float = 60) -> None:
    """Return once both are established. RuntimeError with what is missing after `seconds`.

    `kubeconfig`: of the cluster; None for the one of the environment.
    """
    given = [] if kubeconfig is None else ["--kubeconfig", str(kubeconfig)]
    command = [str(KUBECTL), *given, "get", "crd", *NAMES, "-o", "json"]
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        found = _established(done.stdout) if done.returncode == 0 else set()
        if found >= set(NAMES):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not established: {sorted(set(NAMES) - found)} {done.stderr}")
        time.sleep(0.2)


def _established(listed: str) -> set[str]:
    return {
        crd["metadata"]["name"]
        for crd in json.loads(listed)["items"]
        for condition in (crd.get("status") or {}).get("conditions") or ()
        if (condition["type"], condition["status"]) == ("Established", "True")
    }
