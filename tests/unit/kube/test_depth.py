"""Objects that are nested deeper than Python can read are cut."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import nest

from opstrand.kube.depth import LEVELS, cut, cut_beside, read_json
from opstrand.workers.frames import write_value

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\:,aü\n'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='[{"}]', max_size=3), inner, max_size=3)
    ),
)


def count_levels(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [part for one in level for part in (one.values() if isinstance(one, dict) else one)]
    return depth


@given(VALUES)
def test_what_is_not_deep_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(VALUES, st.integers(0, 2 * LEVELS), st.sampled_from(("l", "o", "lo", "ol", "llo")))
def test_no_more_levels_are_left_than_may_be(value: Any, depth: int, shape: str) -> None:
    text = nest(depth, shape, value)
    whole = json.loads(text)
    found = read_json(text)
    assert count_levels(found) == min(count_levels(whole), LEVELS)
    assert found == whole or count_levels(whole) > LEVELS


@pytest.mark.parametrize("shape", ["l", "o", "lo", "ol"])
@pytest.mark.parametrize("depth", [LEVELS, LEVELS + 1, 900, 10_000])
def test_what_stands_beside_it_is_kept(depth: int, shape: str) -> None:
    deep = nest(depth, shape)
    text = b'{"before": "[", "deep": ' + deep + b', "after": ["\\"]}"]}'
    found = read_json(text)
    assert (found["before"], found["after"]) == ("[", ['"]}'])
    assert count_levels(found) == LEVELS
    write_value(found)
    json.dumps(found)


@pytest.mark.parametrize(
    "text", [b"", b"no", b"[" * 200, b'{"a": "' + b"[" * 200, b"]" * 200 + b"[" * 200]
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        read_json(text)


async def test_the_event_loop_goes_on_while_a_long_text_is_cut() -> None:
    text = b"[" + b",".join([nest(9_000, "l")] * 75) + b"]"
    rounds = 0

    async def count_rounds() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_rounds())
    await asyncio.sleep(0)
    rounds = 0
    assert await cut_beside(text) == cut(text)
    counting.cancel()
    assert rounds > 10, "the event loop stood still"
