"""opstrand is written in plain English: it names who does what, and uses the field's words."""

from __future__ import annotations

import pytest
from tests.support.refused_words import (
    CHECKOUT,
    find_refused_names,
    find_refused_words,
    main,
)


def test_no_comment_docstring_or_message_of_the_package_uses_a_refused_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main()
    assert (capsys.readouterr().out, status) == ("", 0)


def test_make_check_refuses_the_words_too() -> None:
    recipe = (CHECKOUT / "Makefile").read_text().partition("\ncheck: ")[2].partition("\nformat: ")
    assert "-m tests.support.refused_words\n" in recipe[0]


@pytest.mark.parametrize(
    ("source", "line", "word"),
    [
        ("a = 1\nb = 2  # nobody reads it\n", 2, "nobody"),
        ("#: Try again,\n#: in\n#: vain.\na = 1\n", 2, "in\nvain"),
        ('"""Short.\n\nMeanwhile it waits.\n"""\n', 3, "Meanwhile"),
        ('def f():\n    """Whoever asks."""\n', 2, "Whoever"),
        ("a = 'Mend the file'\n", 1, "Mend"),
        ("a = (\n    'start it '\n    f'anew in {1}'\n)\n", 2, "anew"),
        ("a = 'some-body'\n", 1, "some-body"),
        ("# SOMEBODY's Pod\n", 1, "SOMEBODY"),
        ('"""Tells the user why."""\n', 1, "Tells"),
        ("a = 'b\\nnobody'\n", 1, "nobody"),
    ],
)
def test_a_refused_word_is_found_with_its_line(source: str, line: int, word: str) -> None:
    assert find_refused_words(source) == [(line, word)]


@pytest.mark.parametrize(
    "source",
    [
        "# as recommended, renewed and amended: a commendation\n",
        "nobody = 1\n",
        "# the bearer of a token, a layer of an image, the meter\n",
        "# the first line ends with in\na = 1\n# vain\n",
    ],
)
def test_other_words_are_left_alone(source: str) -> None:
    assert find_refused_words(source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def _tell(who):\n    told = who\n", ["_tell", "told"]),
        ("self._meet_section(section)\n", ["_meet_section"]),
        ("def take(self): ...\n", ["take"]),
        ("layer = metered(bearer, taken)\n", []),
        ("told_apart = 'tell'\n", ["told_apart"]),
    ],
)
def test_a_name_with_a_refused_verb_is_found(source: str, found: list[str]) -> None:
    assert [name for _, name in find_refused_names(source)] == found
