"""Long JSON is written in pieces, between which other requests are answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opstrand.api.long_json import dump_long, iter_pieces

COLUMNS = {"step": list(range(5000)), "metric": [None, 0.5] * 2500, "ä": ["\\n"] * 1000}


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"data": []},
        {"data": [{}]},
        {"data": [{"name": "loss", "data": COLUMNS}, {"name": "acc", "data": {"step": []}}]},
        {"data": {"a": [{"name": "loss", "data": COLUMNS}], "b": []}},
        {"data": [{"data": {"chart": [{"x": [1, {"y": None}]}, 7, "text", [2]]}}]},
        {"data": [1, {"x": 1}]},
        "text",
        None,
        [[[[[[[[{"deep": [1, 2]}]]]]]]]],
    ],
)
async def test_it_means_the_value(value: Any) -> None:
    assert json.loads(await dump_long(value)) == value


def test_no_piece_is_long() -> None:
    value = {"data": {"run": [{"name": "loss", "data": COLUMNS}] * 3}}
    assert max(map(len, iter_pieces(value))) < 10_000
