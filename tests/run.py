"""`make test`: every tier that this machine can run, in order, and one line for each that it cannot.

With CI=true a tier that is left out is a failure. Prints what the runners print and ends with their worst exit code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.cluster.cluster import state_folder  # noqa: E402 - run as a file, before the checkout is on the path
from tests.cluster.programs import ALL_MODULES, is_built  # noqa: E402 - run as a file, before the checkout is on the path

STATE = state_folder()
IS_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Tier:
    """A folder of tests and what it needs: nothing, the published package, the built API server, or a whole cluster."""

    name: str
    folders: tuple[str, ...]
    needs: str = ""


TIERS = (
    Tier("unit and golden", ("tests/unit", "tests/golden")),
    Tier("command line and local", ("tests/cli", "tests/local"), "published"),
    Tier("published client", ("tests/conformance_client",), "published"),
    Tier("integration", ("tests/integration",), "programs"),
    Tier("e2e", ("tests/e2e",), "cluster"),
)


def _missing(need: str) -> str | None:
    """Why a tier cannot run here, and the command that changes it."""
    if not need:
        return None
    if need == "published":
        place = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
        return None if (place / "bin" / "polyaxon").exists() else "needs the published package: make published"
    if need == "programs":
        found = all(is_built(module) for module in ALL_MODULES if module.name in ("etcd", "kubernetes"))
        return None if found else "needs a built kube-apiserver: make programs"
    has_docker = shutil.which("docker") is not None and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    return None if has_docker or (STATE / "kubeconfig").exists() else "needs a cluster: make cluster"


def main() -> int:
    worst, left_out = 0, []
    for tier in TIERS:
        reason = _missing(tier.needs)
        if reason is not None:
            left_out.append(f"left out: {tier.name} ({reason})")
            continue
        print(f"== {tier.name}", flush=True)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tier.folders], cwd=CHECKOUT)
        worst = max(worst, abs(done.returncode))
    for line in left_out:
        print(line, flush=True)
    return worst or (1 if IS_CI and left_out else 0)


if __name__ == "__main__":
    raise SystemExit(main())
