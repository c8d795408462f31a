"""Measures what needs no cluster: one fresh process for each figure, so that none warms another's
caches.

Owns starting the processes, and what the published package is compared with. Must not know how a
figure is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import median, median_ratio
from tests.bench.process import CHECKOUT

PUBLISHED = (
    Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
    / "bin"
    / "python"
)
_ECHO = "tests/samples/echo.yaml"
_IMPORT = """
import time
began = time.process_time()
import opstrand.client
spent = time.process_time() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print('{"ms": %f, "mib": %f}' % (1000 * spent, int(status["VmRSS"].split()[0]) / 1024))
"""


def measure_alone(rounds: int) -> dict[str, float]:
    """Return milliseconds of CPU, MiB and ratios by name.

    Without the published package its two ratios are left out.
    """
    imported = [_ask([sys.executable, "-c", _IMPORT]) for _ in range(rounds + 2)]
    found = {
        "client_import_ms": median(one["ms"] for one in imported),
        "client_import_mib": median(one["mib"] for one in imported),
        "help_ms": median(
            _cpu_of([str(CHECKOUT / ".venv/bin/opstrand"), "--help"]) for _ in range(rounds + 2)
        ),
    }
    for what in ("run_to_pod", "check_dag", "decide_dag", "resolve_params"):
        found[f"{what}_ms"] = median(_ours(what) for _ in range(rounds))
    for what in ("check", "resolve_file"):
        found |= _compare(what, rounds)
    return found


def _compare(what: str, rounds: int) -> dict[str, float]:
    if not PUBLISHED.exists():
        return {f"{what}_ms": median(_ours(what) for _ in range(rounds))}
    pairs = [
        (_ours(what), _ask([str(PUBLISHED), "tests/bench/published.py", what, _ECHO])["ms"])
        for _ in range(rounds)
    ]
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    return {
        f"{what}_ms": median(ours),
        f"{what}_published_ms": median(theirs),
        f"{what}_ratio": median_ratio(theirs, ours),
    }


def _ours(what: str) -> float:
    return _ask([sys.executable, "-m", "tests.bench.offline", what])["ms"]


def _ask(command: Sequence[str]) -> dict[str, float]:
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:200]}:\n{done.stderr[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _cpu_of(command: Sequence[str]) -> float:
    """Return the user and system milliseconds of one command."""
    child = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)
