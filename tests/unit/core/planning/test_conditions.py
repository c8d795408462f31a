"""What a text under `conditions` says: start, skip, or that it says neither."""

import pytest

from opstrand.core.planning.conditions import evaluate_condition
from opstrand.errors import SpecError

CONTEXT = {"x": 3, "yes": True, "empty": ""}


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("true", True),
        ("0", False),
        ("yes", True),
        ("{{ yes }}", True),
    ],
)
def test_a_condition_that_is_true_or_false(text: str | None, starts: bool | None) -> None:
    assert evaluate_condition(text, CONTEXT) is starts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found an empty text"),
        ("  ", "found an empty text"),
        ("{{ empty }}", "'{{ empty }}' gives ''"),
        ("maybe", "'maybe'"),
    ],
)
def test_a_condition_that_says_neither_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError) as found:
        evaluate_condition(text, CONTEXT)
    assert found.value.reason == "ConditionInvalid"
    assert words in found.value.problems[0].message
