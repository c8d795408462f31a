"""The fair queue: groups take turns, each is first in, first out, whatever is put in and taken
out.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opstrand.workers.fairness import FairLine


def fill(*items: str) -> FairLine[str]:
    """Return items named after their group: "a1" is of group "a"."""
    line: FairLine[str] = FairLine()
    for item in items:
        line.add(item, item[0])
    return line


def drain(line: FairLine[str]) -> list[str]:
    return [item for _ in range(len(line)) if (item := line.pop()) is not None]


def test_groups_take_turns() -> None:
    assert drain(fill("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_an_item_waits_once_and_keeps_its_place() -> None:
    assert drain(fill("a1", "a2", "a1")) == ["a1", "a2"]


def test_what_is_put_first_is_first_in_its_group_only() -> None:
    line = fill("a1", "b1", "b2", "b3")
    line.put_first("b3")
    line.put_first("x")
    assert drain(line) == ["a1", "b3", "b1", "b2"]


def test_a_group_that_may_not_go_keeps_its_turn() -> None:
    line = fill("a1", "b1", "b2")
    assert line.pop(is_allowed=lambda group: group != "a") == "b1"
    assert line.pop(is_allowed=lambda group: group not in "ab") is None
    assert drain(line) == ["a1", "b2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans())))
def test_whatever_happens_nothing_is_lost_and_no_group_waits_for_two_turns_of_another(
    steps: list[tuple[str, int, bool]],
) -> None:
    line: FairLine[str] = FairLine()
    waiting: set[str] = set()
    for group, number, is_in in steps:
        item = f"{group}{number}"
        line.add(item, group) if is_in else line.discard(item)
        waiting = waiting | {item} if is_in else waiting - {item}
    assert (len(line), {item for item in waiting if item in line}) == (len(waiting), waiting)
    groups = [item[0] for item in drain(line)]
    assert len(groups) == len(waiting)
    for at, group in enumerate(groups):
        since = (
            groups[at + 1 : groups.index(group, at + 1)]
            if group in groups[at + 1 :]
            else groups[at + 1 :]
        )
        others = [one for one in since if one != group]
        if group in groups[at + 1 :]:
            assert len(others) == len(set(others))
