"""`make test`: runs every tier that this machine can run, in order, and prints one line for each
that it cannot.

With CI=true a tier that is left out is a failure. Prints what the runners print and ends with their
worst exit code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.cluster.cluster import state_folder  # noqa: E402 - run as a file, before the checkout is on the path
from tests.cluster.programs import KUBERNETES_PARTS, is_built  # noqa: E402 - run as a file, before the checkout is on the path

STATE = state_folder()
IS_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Tier:
    """A folder of tests and what it needs: nothing, the published package, the built API server, or
    a whole cluster.

    `is_beside`: it runs while the next tier does, which mostly waits, and its output is printed
    afterwards. `marks`: pytest's -m expression that selects its tests. `processes`: how many share
    its tests.
    """

    name: str
    folders: tuple[str, ...]
    needs: str = ""
    is_beside: bool = False
    marks: str = ""
    processes: int = 1


TIERS = (
    Tier("unit and golden", ("tests/unit", "tests/golden"), processes=2),
    Tier(
        "command line, local, published client, growth",
        ("tests/cli", "tests/local", "tests/conformance_client", "tests/growth"),
        "published",
        is_beside=True,
    ),
    Tier("integration", ("tests/integration",), "programs"),
    Tier("e2e", ("tests/e2e",), "cluster"),
)
#: The mark of a test that compares times.
ALONE = "alone"
#: pytest's exit code when no test was selected.
_NOTHING_SELECTED = 5


def arrange(tiers: Sequence[Tier]) -> list[Tier]:
    """Return the tiers in order. Tests that compare times run alone, after the tiers that run
    beside each other.
    """
    arranged, together = list[Tier](), list[Tier]()
    for tier in tiers:
        if not tier.is_beside and not together:
            arranged.append(tier)
            continue
        together.append(tier)
        is_last = not tier.is_beside or tier is tiers[-1]
        arranged.append(replace(tier, marks=f"not {ALONE}", is_beside=not is_last))
        if is_last:
            folders = tuple(folder for one in together for folder in one.folders)
            arranged.append(Tier("what compares times, alone", folders, marks=ALONE))
            together.clear()
    return arranged


def _missing(need: str) -> str | None:
    """Return why a tier cannot run here, and the command that changes it."""
    if not need:
        return None
    if need == "published":
        place = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
        return (
            None
            if (place / "bin" / "polyaxon").exists()
            else "needs the published package: make published"
        )
    if need == "programs":
        found = all(is_built(module) for module in KUBERNETES_PARTS)
        return None if found else "needs a built kube-apiserver: make programs"
    has_docker = (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )
    return (
        None if has_docker or (STATE / "kubeconfig").exists() else "needs a cluster: make cluster"
    )


def _start(tier: Tier, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", *arguments(tier)]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)


def arguments(tier: Tier) -> list[str]:
    """Return pytest's arguments for a tier: which tests, in how many processes."""
    shared = ("-n", str(tier.processes), "--dist", "worksteal") if tier.processes > 1 else ()
    return [*shared, *(("-m", tier.marks) if tier.marks else ()), *tier.folders]


def _run(tiers: Sequence[Tier]) -> int:
    """Run the tiers that can run, each with its output in one piece. Return the worst exit code."""
    worst, beside = 0, list[tuple[Tier, subprocess.Popen[bytes], IO[bytes]]]()
    with ExitStack() as files:
        for tier in arrange(tiers):
            if tier.is_beside:
                output = files.enter_context(tempfile.TemporaryFile())
                beside.append((tier, _start(tier, output), output))
                continue
            print(f"== {tier.name}", flush=True)
            worst = max(worst, _read_code(tier, _start(tier)))
            while beside:
                worst = max(worst, _finish(*beside.pop(0)))
    return worst


def _read_code(tier: Tier, process: subprocess.Popen[bytes]) -> int:
    """Return the exit code; a tier of which a mark selects nothing has passed."""
    code = abs(process.wait())
    return 0 if tier.marks and code == _NOTHING_SELECTED else code


def _finish(tier: Tier, process: subprocess.Popen[bytes], output: IO[bytes]) -> int:
    print(f"== {tier.name}", flush=True)
    code = _read_code(tier, process)
    output.seek(0)
    shutil.copyfileobj(output, sys.stdout.buffer)
    sys.stdout.flush()
    return code


def main() -> int:
    here, left_out = [], []
    for tier in TIERS:
        reason = _missing(tier.needs)
        if reason is not None:
            left_out.append(f"left out: {tier.name} ({reason})")
            continue
        here.append(tier)
    worst = _run(here)
    for line in left_out:
        print(line, flush=True)
    return worst or (1 if IS_CI and left_out else 0)


if __name__ == "__main__":
    raise SystemExit(main())
