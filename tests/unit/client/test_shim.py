"""The two documented programs, byte for byte, in a Python without any package, and beside a real
installation.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.client.conftest import MESSAGE, Api

from opstrand.client.shim_files import shim_files

CLIENT = """from polyaxon.client import RunClient

client = RunClient()
client.refresh_data()
print(client.get_inputs())
"""
TRACKING = """from polyaxon import tracking

tracking.init()
print(tracking.TRACKING_RUN.get_inputs())
"""


def lay(folder: Path, program: str) -> Path:
    for name, content in shim_files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    script = folder / "echo.py"
    script.write_text(program)
    return script


def pythons() -> list[str]:
    """Return this Python, and the oldest supported one if it is installed."""
    oldest = Path(os.environ.get("OPSTRAND_OLDEST_PYTHON", "/nowhere"))
    return [sys.executable, *([str(oldest)] if oldest.exists() else [])]


def run(python: str, script: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # -S: no site-packages at all
    return subprocess.run(
        [python, "-S", "-u", "echo.py"],
        capture_output=True,
        text=True,
        cwd=script.parent,
        env=env,
        timeout=30,
    )


@pytest.mark.parametrize("program", [CLIENT, TRACKING], ids=["client", "tracking"])
@pytest.mark.parametrize("python", pythons())
def test_the_documented_programs_run_with_nothing_installed(
    pod_environment: dict[str, str], tmp_path: Path, python: str, program: str
) -> None:
    script = lay(tmp_path / "artifacts", program)
    ended = run(python, script, pod_environment)
    assert (ended.stdout, ended.stderr, ended.returncode) == (
        repr({"message": MESSAGE}) + "\n",
        "",
        0,
    )


def test_outputs_logged_last_are_stored_before_the_process_ends(
    api: Api, pod_environment: dict[str, str], tmp_path: Path
) -> None:
    script = lay(
        tmp_path / "artifacts",
        "from polyaxon import "
        "tracking\ntracking.init()\ntracking.log_outputs(acc=1)\ntracking.log_metrics(loss=2)\n",
    )
    ended = run(sys.executable, script, pod_environment)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert api.status["outputs"] == {"acc": 1, "loss": 2}


LAST_WORDS = """
import atexit
from polyaxon import tracking

def last():
    tracking.log_metrics(acc=1)

atexit.register(last)
tracking.init()
atexit.register(lambda: tracking.log_metrics(loss=2))
"""
WORKERS = """
import multiprocessing

def work(name):
    from polyaxon import tracking
    tracking.init(track_env=False)
    tracking.log_metrics(**{name: 1})

if __name__ == "__main__":
    from polyaxon.client import RunClient
    client = RunClient()
    client.refresh_data()
    for method in multiprocessing.get_all_start_methods():
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join()
        assert process.exitcode == 0
    context = multiprocessing.get_context("fork")
    process = context.Process(target=client.log_metrics, kwargs={"inherited": 1})
    process.start()
    process.join()
"""


@pytest.mark.parametrize("python", pythons())
def test_what_is_said_while_the_process_ends_is_stored(
    api: Api, pod_environment: dict[str, str], tmp_path: Path, python: str
) -> None:
    ended = run(python, lay(tmp_path / "artifacts", LAST_WORDS), pod_environment)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert api.status["outputs"] == {"acc": 1, "loss": 2}


@pytest.mark.parametrize("python", pythons())
def test_what_workers_say_is_stored_before_they_end(
    api: Api, pod_environment: dict[str, str], tmp_path: Path, python: str
) -> None:
    ended = run(python, lay(tmp_path / "artifacts", WORKERS), pod_environment)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert api.status["outputs"] == {"fork": 1, "spawn": 1, "forkserver": 1, "inherited": 1}


def test_an_api_that_refuses_ends_the_program_with_its_message(
    pod_environment: dict[str, str], tmp_path: Path
) -> None:
    script = lay(tmp_path / "artifacts", CLIENT)
    ended = run(sys.executable, script, {**pod_environment, "POLYAXON_AUTH_TOKEN": "wrong"})
    assert ended.returncode == 1
    assert "401: The token is not the one" in ended.stderr


REAL_CLIENT = """class RunClient:
    def refresh_data(self): pass
    def get_inputs(self): return 'real'
"""
REAL_TRACKING = """TRACKING_RUN = None
def init():
    global TRACKING_RUN
    from polyaxon.client import RunClient
    TRACKING_RUN = RunClient()
"""


def real_package(folder: Path) -> None:
    package = folder / "polyaxon"
    package.mkdir(parents=True)
    for name, content in (("__init__", ""), ("client", REAL_CLIENT), ("tracking", REAL_TRACKING)):
        (package / f"{name}.py").write_text(content)


@pytest.mark.parametrize("program", [CLIENT, TRACKING], ids=["client", "tracking"])
def test_a_real_installation_wins(tmp_path: Path, program: str) -> None:
    script = lay(tmp_path / "artifacts", program)
    lay(tmp_path / "another-copy", program)
    real_package(tmp_path / "site")
    path = os.pathsep.join([str(tmp_path / "another-copy"), str(tmp_path / "site")])
    ended = run(sys.executable, script, {"PYTHONPATH": path})
    assert (ended.stdout, ended.stderr) == ("real\n", "")


EDITABLE = """import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'polyaxon':
            return importlib.util.spec_from_file_location(name, '{0}/__init__.py', submodule_search_locations=['{0}'])
sys.meta_path.append(Finder)
"""


def test_an_editable_installation_wins(tmp_path: Path) -> None:
    script = lay(tmp_path / "artifacts", EDITABLE.format(tmp_path / "src" / "polyaxon") + CLIENT)
    real_package(tmp_path / "src")
    assert run(sys.executable, script, {}).stdout == "real\n"
