"""How values are shown: tables, times, YAML."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opstrand.cli.output.format import (
    as_yaml,
    one_line,
    printable,
    runs_table,
    show_age,
    show_objects,
)
from opstrand.cli.output.table import as_table
from opstrand.text import show_seconds

RUN = {
    "metadata": {
        "name": "echo",
        "namespace": "a",
        "uid": "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b",
        "managedFields": [{}],
    },
    "status": {
        "phase": "Failed",
        "kind": "job",
        "reason": "OOMKilled",
        "duration": 75,
        "pod": {"name": "echo-0"},
    },
}
NEW = {"metadata": {"name": "new", "namespace": "a", "uid": "b"}}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0s"),
        (-3, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (192, "3m12s"),
        (3600, "1h"),
        (7500, "2h5m"),
        (90061, "1d1h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert show_seconds(seconds) == shown


def test_ages() -> None:
    assert show_age("2026-01-01T00:00:00Z", datetime(2026, 1, 1, 0, 5, tzinfo=UTC)) == "5m"
    assert show_age(None) == ""


def test_a_table_has_nothing_after_its_last_word() -> None:
    assert as_table(["A", "LONG"], [["x", ""], ["longer", "y"]]) == "A        LONG\nx\nlonger   y"


def test_wide_letters_take_two_columns_of_a_terminal() -> None:
    rows = [["a", "映像を取得できません"], ["b", "e\u0301"]]
    assert as_table(["NAME", "MESSAGE"], rows, width=20).splitlines() == [
        "NAME   MESSAGE",
        "a      映像を取得で…",
        "b      e\u0301",
    ]
    assert as_table(["MESSAGE", "X"], [["映像を取得", "1"], ["b", "2"]]).splitlines() == [
        "MESSAGE      X",
        "映像を取得   1",
        "b            2",
    ]
    continued = as_table(["NAME", "MESSAGE"], rows, width=20, wraps=True).splitlines()
    assert continued[1:3] == ["a      映像を取得で", "       きません"]


def test_the_table_of_runs() -> None:
    assert runs_table([RUN, NEW]).splitlines() == [
        "NAME   KIND   PHASE     REASON      STARTED   DURATION   MESSAGE",
        "echo   job    Failed    OOMKilled             1m15s",
        "new           Created",
    ]
    wide = runs_table([RUN], wide=True, with_project=True)
    assert wide.splitlines()[1].split() == [
        "a",
        "echo",
        "job",
        "Failed",
        "OOMKilled",
        "1m15s",
        "echo-0",
        "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b",
    ]


def test_objects_are_shown_without_the_bookkeeping_of_field_managers() -> None:
    assert "managedFields" not in show_objects([RUN], "yaml")
    assert yaml.safe_load(show_objects([RUN, NEW], "json"))["kind"] == "List"
    assert (
        show_objects([RUN, NEW], "name")
        == "operation.opstrand.dev/echo\noperation.opstrand.dev/new\n"
    )


def test_long_texts_are_blocks() -> None:
    assert as_yaml({"content": "a\nb: $$\n"}) == "content: |\n  a\n  b: $$\n"


PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_yaml_comes_back_as_it_was(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value


@given(st.text())
def test_nothing_shown_on_one_line_drives_the_terminal(text: str) -> None:
    assert "\x1b" not in printable(text)
    assert len(one_line(text, 20)) <= 20
    assert "\n" not in one_line(text)
