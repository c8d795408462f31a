"""The version is written once: `operator/opstrand/__init__.py`. Everything else reads it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from opstrand import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
WRITTEN_IN = "operator/opstrand/__init__.py"
#: Files that name a version with a date, or that other programs make.
HISTORY = ("CHANGELOG.md", "requirements", "tests/cluster/modules/")


def test_the_package_takes_its_version_from_the_code() -> None:
    read = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    assert read["project"]["dynamic"] == ["version"]
    assert "version" not in read["project"]
    assert read["tool"]["hatch"]["version"]["path"] == WRITTEN_IN


def test_no_other_file_repeats_it() -> None:
    """Look for a line with the digits of the version, and the word opstrand or version."""
    pattern = rf"(?i)(opstrand|version).*(?<![\d.]){re.escape(__version__)}(?![\d.])"
    done = subprocess.run(
        ["git", "grep", "-P", "-l", "-I", pattern], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert [name for name in done.stdout.split() if not name.startswith(HISTORY)] == [WRITTEN_IN], (
        done.stderr
    )
