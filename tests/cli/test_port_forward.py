"""Which ports the command forwards."""

from __future__ import annotations

import pytest

from opstrand.cli.commands.port_forward import parse_pair
from opstrand.cli.errors import CliError


@pytest.mark.parametrize(
    ("text", "pair"), [("8000", (8000, 8000)), ("9000:8000", (9000, 8000)), ("0:8000", (0, 8000))]
)
def test_a_pair_is_local_then_the_services(text: str, pair: tuple[int, int]) -> None:
    assert parse_pair(text) == pair


@pytest.mark.parametrize("text", ["", "0", "http", "-1", "70000", "80:", "1:2:3", "8000:0", "٣"])
def test_anything_else_is_said_to_be_none(text: str) -> None:
    with pytest.raises(CliError, match="is no pair of ports"):
        parse_pair(text)
