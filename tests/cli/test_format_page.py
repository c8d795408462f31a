"""The examples of docs/reference/format.md are valid as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import CHECKOUT

PAGE = (CHECKOUT / "docs/reference/format.md").read_text()
EXAMPLES = re.findall(r"^## (\d+)\. .*?```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def test_there_are_ten() -> None:
    assert [int(number) for number, _ in EXAMPLES] == list(range(1, 11))


@pytest.mark.parametrize(("number", "text"), EXAMPLES, ids=[one for one, _ in EXAMPLES])
def test_an_example_is_valid(cli: Cli, tmp_path: Path, number: str, text: str) -> None:
    (tmp_path / "example.yaml").write_text(text)
    ran = cli("check", "example.yaml")
    assert ran.code == 0, ran.out
