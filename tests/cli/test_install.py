"""`pip install` and `uv pip install` of each extra alone, in an environment that has nothing else.

The development environment has all packages, so only here a missing requirement is seen to matter;
`tests/unit/test_requirements.py` finds it without a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from tests.support.command_line import CHECKOUT, environment

TRAIN = CHECKOUT / "docs" / "examples" / "train.yaml"
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
OLDEST = (3, 11)
EXTRAS = {"client": "", "cli": "[cli]", "operator": "[operator]"}
#: Imports every module of these packages, and prints the modules that are of other distributions.
IMPORT_ALL = """
import importlib, pkgutil, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for one in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if "__main__" not in one.name and ".shim" not in one.name:
            importlib.import_module(one.name)
site = [getattr(sys.modules[name], "__file__", "") or "" for name in set(sys.modules) - before]
print(*[file for file in site if "site-packages" in file and "/opstrand/" not in file])
"""


def _version(python: Path) -> tuple[int, ...]:
    found = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
    )
    return tuple(map(int, found.stdout.split()))


@cache
def _pythons() -> dict[tuple[int, ...], Path]:
    """The interpreters that lie beside the one that runs this, and this one, by version."""
    beside = Path(sys.base_prefix).parent.glob("*/bin/python3")
    found = {_version(python): python for python in beside}
    return {**found, tuple(sys.version_info[:2]): Path(sys.executable)}


def _newest() -> Path:
    return _pythons()[max(_pythons())]


PYTHONS = {"this": Path(sys.executable), "newest": _newest()}
#: pip takes many times as long as uv: the newest Python with pip is left to the page's own line.
WAYS = [("pip", "this"), *([("uv", "this"), ("uv", "newest")] if UV else [("pip", "newest")])]


@dataclass(frozen=True)
class Installed:
    """An environment with one installation in it."""

    folder: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command there, with its programs first on PATH."""
        programs = self.folder / "bin"
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        records = str(self.folder / "runs")
        return subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
            timeout=900,
            env={
                **environment(PATH=path, OPSTRAND_LOCAL=records, PYTHONDONTWRITEBYTECODE="1"),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_NO_COMPILE": "1",
                **{name: os.environ[name] for name in os.environ if _is_about_the_index(name)},
            },
        )

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.folder / "bin" / "python", "-c", code, *arguments)


def _is_about_the_index(name: str) -> bool:
    return name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_")) or name.lower().endswith("_proxy")


def _make(folder: Path, python: Path) -> Installed:
    done = subprocess.run([python, "-m", "venv", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Installed(folder)


def _install(installed: Installed, tool: str, extra: str) -> None:
    python = installed.folder / "bin" / "python"
    tools: dict[str, list[str | Path]] = {
        "pip": [python, "-m", "pip", "install", "-q"],
        "uv": [UV or "uv", "pip", "install", "-q", "--python", python],
    }
    done = installed.run(*tools[tool], f".{extra}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def _index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave these tests out where no package index answers."""
    folder = tmp_path_factory.mktemp("index")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--retries", "1", "--timeout", "10"]
    asked = subprocess.run(
        [*pip, "--no-deps", "--dest", folder, "hatchling==1.27.0"], capture_output=True, text=True
    )
    if asked.returncode:
        pytest.skip(f"no package index answers: {asked.stderr.strip().splitlines()[-1]}")


pytestmark = pytest.mark.usefixtures("_index")


@pytest.mark.parametrize(("tool", "python"), WAYS)
@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_is_enough_for_what_it_is_for(
    tool: str, extra: str, python: str, tmp_path: Path
) -> None:
    installed = _make(tmp_path / "environment", PYTHONS[python])
    _install(installed, tool, EXTRAS[extra])
    check = {"client": _check_client, "cli": _check_cli, "operator": _check_operator}[extra]
    check(installed)


def _check_client(installed: Installed) -> None:
    done = installed.python(IMPORT_ALL, "opstrand.client", "opstrand.initializer")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    refused = installed.run("opstrand", "version")
    assert refused.returncode == 2
    assert "pip install 'opstrand[cli]'" in refused.stderr


def _check_cli(installed: Installed) -> None:
    done = installed.python(IMPORT_ALL, "opstrand.cli")
    assert done.returncode == 0, done.stderr
    ran = installed.run("opstrand", "run", "--local", "-f", TRAIN, "-P", "rate=0.5", "-l")
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["step 2: loss 0.125"]), ran.stderr


def _check_operator(installed: Installed) -> None:
    done = installed.python(IMPORT_ALL, "opstrand")
    assert done.returncode == 0, done.stderr


def test_the_line_of_the_install_page_is_enough_to_run_something(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "reference" / "install.md").read_text()
    typed = [line[2:] for line in page.splitlines() if line.startswith("$ ")]
    lines = [line for line in typed if "pip install" in line]
    assert lines == ["pip install '.[cli]' && opstrand doctor"]
    installed = _make(tmp_path / "environment", _newest())
    done = installed.run("bash", "-c", lines[0])
    # What comes first in a doctor without a cluster: it has run.
    assert "there is no kubeconfig" in done.stdout + done.stderr, done
    _check_cli(installed)


def test_on_an_older_python_the_command_says_what_it_needs(tmp_path: Path) -> None:
    older = [version for version in _pythons() if (3, 9) <= version < OLDEST]
    if not older:
        pytest.skip("there is no Python older than 3.11 beside the one that runs this")
    installed = _make(tmp_path / "environment", _pythons()[min(older)])
    _install(installed, "pip", "[cli]")
    refused = installed.run("opstrand", "version")
    named = ".".join(map(str, min(older)))
    assert refused.returncode == 2
    assert f"needs Python 3.11 or newer, and this is Python {named}" in refused.stderr
    assert installed.python(IMPORT_ALL, "opstrand.client").returncode == 0
