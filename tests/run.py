"""`make test`: runs every tier that this machine can run, and prints one line for each that it
cannot. `tests/run.py NAME` runs only the tiers whose names begin so.

Several tiers run at once, one more than there are cores. What a tier printed is shown when it ends,
with the time that it took. With CI=true a tier that is left out is a failure. The exit code is the
worst of theirs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.cluster.browser import find_browser  # noqa: E402 - run as a file, before the checkout is on the path
from tests.cluster.cluster import state_folder  # noqa: E402 - run as a file, before the checkout is on the path
from tests.cluster.programs import KUBERNETES_PARTS, is_built  # noqa: E402 - run as a file, before the checkout is on the path

STATE = state_folder()
IS_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Tier:
    """Folders of tests and what they need: nothing, the published package, a browser, the built API
    server, or a whole cluster.

    `without`: folders inside of these that are not this tier's. `marks`: pytest's -m expression
    that selects its tests.
    """

    name: str
    folders: tuple[str, ...]
    needs: str = ""
    without: tuple[str, ...] = ()
    marks: str = ""


@dataclass(frozen=True)
class Ended:
    """What became of a tier. `seconds` are those of the clock; `computed` those of the CPU, by
    pytest and the processes that it waited for.
    """

    code: int
    seconds: float
    computed: float


#: Half of the unit tests, by CPU time. pytest-xdist would balance better, but doubles the CPU time
#: of tests that take a millisecond.
_HALF = ("tests/unit/api", "tests/unit/conformance", "tests/unit/core", "tests/unit/spec")
#: In the order in which they start: e2e mostly waits for containers, one of its runs ten minutes.
TIERS = (
    Tier("e2e", ("tests/e2e",), "cluster"),
    Tier("unit: api, core, spec and conformance", _HALF),
    Tier("unit: the other packages, golden", ("tests/unit", "tests/golden"), without=_HALF),
    Tier("integration", ("tests/integration",), "programs"),
    Tier("pages", ("tests/pages",), "browser"),
    Tier("command line", ("tests/cli",), "published"),
    Tier(
        "local, published client, growth",
        ("tests/local", "tests/conformance_client", "tests/growth"),
        "published",
    ),
)
#: Tiers that run at once: one waits while the others compute.
AT_ONCE = (os.cpu_count() or 1) + 1
#: The mark of a test that compares times.
ALONE = "alone"
#: pytest's exit code when no test was selected.
_NOTHING_SELECTED = 5


def arrange(tiers: Sequence[Tier]) -> list[list[Tier]]:
    """Return two groups: tiers that run at once, and one of the tests that compare times, which run
    with nothing beside them.
    """
    together = [replace(tier, marks=f"not {ALONE}") for tier in tiers]
    marked = tuple(file for tier in tiers for file in _find_marked(tier))
    apart = [Tier("what compares times, alone", marked, marks=ALONE)] if marked else []
    return [group for group in (together, apart) if group]


def _find_marked(tier: Tier) -> list[str]:
    """Return the files of a tier that name the mark: to collect the others would take longer than
    these tests.
    """
    without = [CHECKOUT / folder for folder in tier.without]
    return [
        str(file.relative_to(CHECKOUT) if file.is_relative_to(CHECKOUT) else file)
        for folder in tier.folders
        for file in sorted(_find_files(CHECKOUT / folder))
        if f"mark.{ALONE}" in file.read_text()
        and not any(file.is_relative_to(one) for one in without)
    ]


def _find_files(place: Path) -> list[Path]:
    return [place] if place.is_file() else list(place.rglob("test_*.py"))


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
    if need == "browser":
        return None if find_browser() else "needs Chromium: make browser"
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


def arguments(tier: Tier) -> list[str]:
    """Return pytest's arguments for a tier: which tests."""
    marks = ("-m", tier.marks) if tier.marks else ()
    return [*marks, *(f"--ignore={folder}" for folder in tier.without), *tier.folders]


def _run(tiers: Sequence[Tier]) -> int:
    """Run the tiers, each with its output in one piece. Return the worst exit code."""
    return max((_run_at_once(group) for group in arrange(tiers)), default=0)


def _run_at_once(tiers: Sequence[Tier]) -> int:
    worst = 0
    with ThreadPoolExecutor(AT_ONCE) as pool, ExitStack() as files:
        outputs = [files.enter_context(tempfile.TemporaryFile()) for _ in tiers]
        running = {
            pool.submit(_run_tier, tier, output): (tier, output)
            for tier, output in zip(tiers, outputs, strict=True)
        }
        for one in as_completed(running):
            tier, output = running[one]
            worst = max(worst, one.result().code)
            _show(tier, one.result(), output)
    return worst


def _run_tier(tier: Tier, output: IO[bytes]) -> Ended:
    """Run pytest. A tier of which a mark selects nothing has passed."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments(tier)]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    is_passed = bool(tier.marks) and code == _NOTHING_SELECTED
    computed = usage.ru_utime + usage.ru_stime
    return Ended(0 if is_passed else abs(code), time.monotonic() - began, computed)


def _show(tier: Tier, ended: Ended, output: IO[bytes]) -> None:
    print(f"== {tier.name} ({ended.seconds:.0f} s, CPU {ended.computed:.0f} s)", flush=True)
    output.seek(0)
    shutil.copyfileobj(output, sys.stdout.buffer)
    sys.stdout.flush()


def main(prefix: str = "") -> int:
    here, left_out = [], []
    for tier in TIERS:
        if not tier.name.startswith(prefix):
            continue
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
    raise SystemExit(main(*sys.argv[1:]))
