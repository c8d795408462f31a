"""`make test` prints a line for each tier that it left out, with the command that adds it; in CI
that is a failure.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests import run


@pytest.mark.parametrize(("is_ci", "code"), [(False, 0), (True, 1)])
def test_what_is_left_out_is_said_and_fails_in_ci(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_ci: bool,
    code: int,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPSTRAND_PUBLISHED_VENV", str(tmp_path))
    monkeypatch.setattr(run, "STATE", tmp_path)
    monkeypatch.setattr(run, "IS_CI", is_ci)
    monkeypatch.setattr(
        run, "TIERS", [tier for tier in run.TIERS if tier.needs in ("published", "cluster")]
    )
    assert run.main() == code
    assert capsys.readouterr().out.splitlines() == [
        "left out: e2e (needs a cluster: make cluster)",
        "left out: command line (needs the published package: make published)",
        "left out: local, published client, growth (needs the published package: make published)",
    ]


def _write_tests(folder: Path, **bodies: str) -> list[run.Tier]:
    """Write a test of each body, and return the tiers: one for each, which has its name."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    for name, body in bodies.items():
        (folder / f"test_{name}.py").write_text(
            f"import pathlib, pytest, time\nroot = pathlib.Path({str(folder)!r})\n{body}\n"
        )
    return [run.Tier(name, (str(folder / f"test_{name}.py"),), "published") for name in bodies]


_OUTLIVE = """
import os
def is_there(process):
    try:
        return os.kill(process, 0) is None
    except ProcessLookupError:
        return False
def test_slow():
    deadline = time.monotonic() + 60
    while not (root / "process").exists() or is_there(int((root / "process").read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert 0, "its words"
"""


def test_what_a_tier_printed_is_shown_whole_when_it_ends_and_a_failure_counts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quick = (
        "import os\ndef test_quick():\n    (root / 'new').write_text(str(os.getpid()))\n"
        "    (root / 'new').rename(root / 'process')\n"
    )
    assert run._run(_write_tests(tmp_path, slow=_OUTLIVE, quick=quick)) == 1
    out = capfd.readouterr().out
    assert (
        out.index("== quick (")
        < out.index("1 passed")
        < out.index("== slow (")
        < out.index("its words")
        < out.index("1 failed")
    )


def test_it_is_shown_how_long_a_tier_took_and_computed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run._run(_write_tests(tmp_path, quick="def test_quick(): pass")) == 0
    taken = re.search(r"^== quick \((\d+) s, CPU (\d+) s\)$", capfd.readouterr().out, re.M)
    assert taken
    assert int(taken[2]) <= int(taken[1]) + 1


def test_only_the_tiers_that_are_named_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    passes = "def test_one(): pass"
    monkeypatch.setattr(run, "TIERS", _write_tests(tmp_path, unit_a=passes, unit_b=passes, e2e=""))
    monkeypatch.setattr(run, "_missing", lambda need: None)
    assert run.main("unit") == 0
    shown = re.findall(r"^== (\w+)", capfd.readouterr().out, re.M)
    assert sorted(shown) == ["unit_a", "unit_b"]


_LIST = """
import pytest

class Plugin:
    def pytest_collection_finish(self, session):
        for item in session.items:
            print(item.nodeid, *(mark.name for mark in item.iter_markers()), sep="\\t")

raise SystemExit(pytest.main(["--collect-only", "-qq", "tests"], plugins=[Plugin()]))
"""


def _list_tests() -> dict[str, set[str]]:
    """Return the marks of every test."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST], cwd=run.CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if "::" in line]
    return {name: set(marks) for name, *marks in lines}


def _is_selected(tier: run.Tier, name: str, marks: set[str]) -> bool:
    is_marked = {"": True, "alone": "alone" in marks, "not alone": "alone" not in marks}[tier.marks]
    is_without = any(name.startswith(f"{folder}/") for folder in tier.without)
    is_in = any(name.startswith((f"{place}/", f"{place}::")) for place in tier.folders)
    return is_marked and is_in and not is_without


def test_every_test_is_selected_by_one_tier_once() -> None:
    tests, tiers = _list_tests(), [tier for group in run.arrange(run.TIERS) for tier in group]
    by = {
        name: [tier.name for tier in tiers if _is_selected(tier, name, marks)]
        for name, marks in tests.items()
    }
    assert {name: found for name, found in by.items() if len(found) != 1} == {}
    assert {found[0] for found in by.values()} == {tier.name for tier in tiers}


_CLOCK = re.compile(r"time\.(monotonic|perf_counter)\(\) - | - .*\.total_seconds\(\)")


def _find_unmarked(source: str) -> list[str]:
    """Return the functions that bound a time of a wall clock and have no mark, neither their own
    nor their module's.
    """
    tree = ast.parse(source)
    marks = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    if any("mark.alone" in ast.unparse(node) for node in marks):
        return []
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [
        one.name
        for one in functions
        if _bounds_time(one)
        and not any("mark.alone" in ast.unparse(by) for by in one.decorator_list)
    ]


def _bounds_time(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether an assertion bounds a time from above, measured in it or before it."""
    measured = {
        ast.unparse(target)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _is_time(node.value, set())
        for target in node.targets
    }
    asserts = [node for node in ast.walk(function) if isinstance(node, ast.Assert)]
    return any(
        isinstance(operator, ast.Lt | ast.LtE) and _is_time(bounded, measured)
        for node in asserts
        for one in ast.walk(node)
        if isinstance(one, ast.Compare)
        for bounded, operator in zip([one.left, *one.comparators], one.ops, strict=False)
    )


def _is_time(value: ast.expr, measured: set[str]) -> bool:
    text = ast.unparse(value)
    return text in measured or bool(_CLOCK.search(text))


def test_what_bounds_a_measured_time_runs_alone() -> None:
    """On a machine that is busy with other tests, a second of work takes many."""
    files = [
        file
        for tier in run.TIERS
        for folder in tier.folders
        for file in sorted((run.CHECKOUT / folder).rglob("test_*.py"))
    ]
    unmarked = {
        str(file.relative_to(run.CHECKOUT)): _find_unmarked(file.read_text()) for file in files
    }
    assert {file: names for file, names in unmarked.items() if names} == {}


def test_a_measured_time_that_is_bounded_is_found() -> None:
    body = (
        "():\n    began = time.monotonic()\n    assert (1, time.monotonic() - began < 2) == (1, "
        "True)\n"
    )
    assert _find_unmarked(
        f"def test_a{body}@pytest.mark.alone\ndef test_b{body}async def help{body}"
    ) == ["test_a", "help"]
    kept = "():\n    waited = (end - start).total_seconds()\n    assert 1 <= waited < 2\n"
    assert _find_unmarked(f"def test_a{kept}") == ["test_a"]
    assert _find_unmarked(f"pytestmark = [pytest.mark.alone]\ndef test_a{body}") == []


def test_what_compares_times_is_selected_from_the_files_that_name_the_mark(tmp_path: Path) -> None:
    mark = "@pytest.mark.alone\ndef test_one(): pass"
    first, second, third = _write_tests(tmp_path, a=mark, b="def test_b(): pass", c=mark)
    third = replace(third, without=(str(tmp_path),))
    together = [replace(tier, marks="not alone") for tier in (first, second, third)]
    apart = [run.Tier("what compares times, alone", first.folders, marks="alone")]
    assert run.arrange([first, second, third]) == [together, apart]
    assert run.arrange([second]) == [together[1:2]]
    assert run.arrange([]) == []


def test_what_compares_times_starts_after_the_end_of_all_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slow = "def test_slow(): time.sleep(1); (root / 'ended').touch()"
    alone = "@pytest.mark.alone\ndef test_alone(): assert (root / 'ended').exists()"
    tiers = _write_tests(tmp_path, slow=slow, quick=f"{alone}\ndef test_quick(): pass")
    assert run._run(tiers) == 0
    assert capfd.readouterr().out.count("1 passed") == 3


def test_asking_what_is_built_builds_and_installs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without Go, not even the toolchain is fetched to say what is left out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPSTRAND_CACHE", str(tmp_path / "cache"))
    assert run._missing("programs") == "needs a built kube-apiserver: make programs"
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a fresh checkout, and a python3 that only prints its arguments."""
    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt"):
        (tmp_path / name).write_text((run.CHECKOUT / name).read_text())
    return tmp_path


def _install(checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    (checkout / "python").write_text(f"#!/bin/sh\n{python}\n")
    (checkout / "python").chmod(0o755)
    return subprocess.run(
        ["make", "install", "PYTHON=./python"], cwd=checkout, capture_output=True, text=True
    )


def test_a_python_that_is_too_old_is_said_to_be(checkout: Path) -> None:
    done = _install(checkout, 'test "$1" = --version && echo Python 3.9.2; exit 1')
    assert done.returncode == 2
    assert "./python is Python 3.9.2; 3.11 or newer is needed" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    "pip", ["", "#!/bin/sh\necho pip 1 from /elsewhere/.venv/lib\n"], ids=["half made", "moved"]
)
def test_an_environment_that_cannot_be_used_is_made_again(checkout: Path, pip: str) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    if pip:
        (checkout / ".venv/bin/pip").write_text(pip)
        (checkout / ".venv/bin/pip").chmod(0o755)
    done = _install(checkout, 'echo "$@" >> asked; test "$1" = -c')
    assert done.returncode == 2
    assert (checkout / "asked").read_text().splitlines()[-1] == "-m venv --clear .venv"
