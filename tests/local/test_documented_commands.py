"""Runs the commands of the README and docs/ that need no cluster, as they are shown, in the order
of their page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.command_line import CHECKOUT, environment
from tests.support.documented_commands import COMMANDS, HERE, PAGES, Shown, read_blocks

BIN = Path(sys.executable).parent
BLOCKS = [
    pytest.param(chosen, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(read_blocks(page))
    if (chosen := [one for one in block if COMMANDS.get(one.command) == HERE])
]


def run(command: str, records: Path) -> str:
    """Return what the command prints, in a checkout whose tools are installed already."""
    env = environment(OPSTRAND_LOCAL=str(records), PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    typed = (
        command.replace("make ", "make --old-file=install ", 1)
        if command.startswith("make ")
        else command
    )
    done = subprocess.run(
        ["bash", "-c", typed], cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def without_ids(text: str) -> str:
    """Remove what differs between runs: uuids, the ends of names, and the width of columns."""
    return re.sub(
        r"\b[0-9a-f]{32}\b", "UUID", re.sub(r"\b(train|report)-[0-9a-f]{5}\b", r"\1", text)
    )


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_commands_works_and_prints_what_is_shown(
    block: list[Shown], tmp_path: Path
) -> None:
    if any(" report " in one.command for one in block) and not any(
        "train.yaml" in one.command for one in block
    ):
        pytest.fail("a block that speaks of a run must make it")
    for one in block:
        printed = run(one.command, tmp_path / "runs")
        assert not one.output or without_ids(printed) == without_ids(one.output), one.command


def test_the_readme_shows_real_output() -> None:
    assert [one.command for one in BLOCKS[0].values[0] if one.output], (
        "the block of the README after the installation shows what a run prints"
    )
    assert BLOCKS[0].id == "README.md-1"
