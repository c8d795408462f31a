"""`make demo-ui`: runs of every sort on this machine, without a cluster, and the pages on them.

The runs are in a folder of their own, which goes with the program.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent.parent / "tests/samples/pages"
OPSTRAND = str(Path(sys.executable).with_name("opstrand"))


def run_sample(name: str, environment: dict[str, str]) -> None:
    """Run one; whether it succeeds is for the pages to show."""
    command = [OPSTRAND, "run", "--local", "--name", name, "-f", str(SAMPLES / f"{name}.yaml")]
    subprocess.run(command, env=environment, capture_output=True, check=False)
    print(f"ran {name}", flush=True)


def run_samples(folder: str) -> dict[str, str]:
    """Run all of them into a folder. Return the environment by which it is found."""
    environment = {**os.environ, "OPSTRAND_LOCAL": folder}
    with ThreadPoolExecutor() as pool:
        # The run `evaluate` reads an output of `train`, and waits for it.
        names = ["train", "evaluate", "broken", "flow", "grid"]
        list(pool.map(lambda name: run_sample(name, environment), names))
    return environment


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="opstrand-demo-") as folder:
        environment = run_samples(folder)
        try:
            command = [OPSTRAND, "ui", "--local"]
            return subprocess.run(command, env=environment, check=False).returncode
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
