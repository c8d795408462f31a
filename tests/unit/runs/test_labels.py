"""Label selectors mean what they mean in kubectl."""

from __future__ import annotations

import pytest

from opstrand.runs.labels import NoSelector, parse_selector

LABELS = {"tier": "web", "opstrand.dev/op": "train", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("tier", True),
        ("!tier", False),
        ("! tier", False),
        ("absent", False),
        ("!absent", True),
        ("tier=web", True),
        (" tier == web ", True),
        ("tier!=web", False),
        ("tier!=api", True),
        ("absent!=api", True),
        ("absent=api", False),
        ("empty=", True),
        ("tier in (api, web)", True),
        ("tier in (api)", False),
        ("tier notin (api,web)", False),
        ("absent notin (api)", True),
        ("tier in (api, web),!absent,opstrand.dev/op=train", True),
        ("tier=web,absent", False),
    ],
)
def test_a_selector_accepts(selector: str, expected: bool) -> None:
    assert parse_selector(selector)(LABELS) is expected


@pytest.mark.parametrize("part", ["!a=b", "a=b=c", "a in b", "a in (b", "=b", "a>1", "a b", "!"])
def test_a_part_that_cannot_be_read_is_named(part: str) -> None:
    with pytest.raises(NoSelector) as caught:
        parse_selector(f"tier,{part}")
    assert part.endswith(str(caught.value))
