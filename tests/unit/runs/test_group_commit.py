"""Group commit: when a write is sent, and which write answers which request."""

import asyncio
import itertools
from typing import Any

import pytest

from opstrand.core.limits import OUTPUTS
from opstrand.runs.group_commit import Commits, Key
from opstrand.runs.protocols import Refused
from opstrand.runs.status_edits import Edit, MapEdit, TagsEdit, TooLarge, patch_ops

RUN = ("quick-start", "a" * 32)


class Store:
    """Keeps what it was given; a write takes `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.writes: list[tuple[float, Edit]] = []
        self.error: Exception | None = None

    async def __call__(self, _: Key, edit: Edit) -> int:
        self.writes.append((asyncio.get_running_loop().time(), edit))
        await asyncio.sleep(self.seconds)
        patch_ops(edit, {"metadata": {}, "status": {}})  # this raises TooLarge
        if self.error is not None:
            raise self.error
        return len(self.writes)


def outputs(**values: Any) -> Edit:
    return Edit(maps={"outputs": MapEdit(values)})


async def test_the_first_write_of_an_idle_run_goes_at_once() -> None:
    store = Store()
    commits = Commits(store, window=600)
    async with asyncio.timeout(60):
        assert await commits.submit(RUN, outputs(a=1)) == 1


async def test_what_piles_up_goes_together_and_the_last_wins() -> None:
    store = Store(seconds=0.01)
    commits = Commits(store, window=0.05)
    answers = await asyncio.gather(
        *(commits.submit(RUN, outputs(**{f"k{n % 3}": n})) for n in range(300))
    )
    # all of them arrived before the first write was sent: one write
    assert set(answers) == {1}
    assert store.writes[0][1] == outputs(k0=297, k1=298, k2=299)


async def test_a_quick_loop_is_slowed_to_one_write_a_window() -> None:
    store = Store()
    commits = Commits(store, window=0.03)
    for number in range(4):
        await commits.submit(RUN, outputs(a=number))
    times = [at for at, _ in store.writes]
    assert len(times) == 4
    assert all(later - earlier >= 0.029 for earlier, later in itertools.pairwise(times))


async def test_runs_do_not_wait_for_each_other() -> None:
    store = Store()
    commits = Commits(store, window=600)
    async with asyncio.timeout(60):
        await asyncio.gather(*(commits.submit(("p", str(n)), outputs(a=n)) for n in range(20)))
    assert len(store.writes) == 20


async def test_only_what_does_not_fit_is_refused_and_few_writes_find_it() -> None:
    store = Store()
    commits = Commits(store, window=0.001)
    edits = [outputs(**{f"k{number}": number}) for number in range(100)]
    edits.insert(70, outputs(blob="x" * OUTPUTS))
    answers = await asyncio.gather(
        *(commits.submit(RUN, edit) for edit in edits), return_exceptions=True
    )
    assert [number for number, answer in enumerate(answers) if not isinstance(answer, int)] == [70]
    assert isinstance(answers[70], TooLarge)
    assert len(store.writes) < 20


async def test_what_the_cluster_refuses_takes_nothing_along() -> None:
    class Strict(Store):
        async def __call__(self, key: Key, edit: Edit) -> int:
            if edit.tags is not None:
                raise Refused("status.tags: Too many: 1001: must have at most 1000 items")
            return await super().__call__(key, edit)

    commits = Commits(Strict(), window=0.001)
    edits = [outputs(a=1), Edit(tags=TagsEdit(("t",))), outputs(b=2)]
    answers = await asyncio.gather(
        *(commits.submit(RUN, edit) for edit in edits), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [int, Refused, int]


async def test_trouble_reaches_all_who_waited_and_no_later_caller() -> None:
    store = Store()
    store.error = RuntimeError("away")
    commits = Commits(store, window=0.001)
    answers = await asyncio.gather(
        *(commits.submit(RUN, outputs(a=n)) for n in range(3)), return_exceptions=True
    )
    assert [str(answer) for answer in answers] == ["away"] * 3
    store.error = None
    assert await commits.submit(RUN, outputs(a=1)) == 2


async def test_a_closed_connection_ends_no_other_request() -> None:
    store = Store(seconds=0.02)
    commits = Commits(store, window=0.001)
    leaving = asyncio.create_task(commits.submit(RUN, outputs(a=1)))
    staying = asyncio.create_task(commits.submit(RUN, outputs(b=2)))
    await asyncio.sleep(0.005)
    leaving.cancel()
    assert await staying == 1


@pytest.mark.parametrize(
    ("first", "later", "both"),
    [
        (outputs(a=1, b=1), outputs(b=2), outputs(a=1, b=2)),
        (
            outputs(a=1),
            Edit(maps={"outputs": MapEdit({"c": 3}, reset=True)}),
            Edit(maps={"outputs": MapEdit({"c": 3}, reset=True)}),
        ),
        (
            Edit(maps={"outputs": MapEdit({}, reset=True)}),
            outputs(a=None),
            Edit(maps={"outputs": MapEdit({"a": None}, reset=True)}),
        ),
        (
            Edit(tags=TagsEdit(("a",))),
            Edit(tags=TagsEdit(("b", "a"))),
            Edit(tags=TagsEdit(("a", "b"))),
        ),
        (
            Edit(description="x"),
            outputs(a=1),
            Edit(maps={"outputs": MapEdit({"a": 1})}, description="x"),
        ),
        (Edit(description="x"), Edit(description=""), Edit(description="")),
        (
            Edit(artifacts={"a": {"name": "a"}}),
            Edit(artifacts={"b": {"name": "b"}}),
            Edit(artifacts={"a": {"name": "a"}, "b": {"name": "b"}}),
        ),
    ],
)
def test_two_writes_are_one(first: Edit, later: Edit, both: Edit) -> None:
    assert first.then(later) == both


def test_a_list_or_a_new_map_is_bound_to_the_version_that_was_read_and_a_key_is_not() -> None:
    body = {"metadata": {"resourceVersion": "7"}, "status": {"outputs": {}}}
    bound = {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    assert patch_ops(outputs(a=None), body) == [
        {"op": "add", "path": "/status/outputs/a", "value": None}
    ]
    assert patch_ops(Edit(tags=TagsEdit(("t",))), body)[0] == bound
    assert patch_ops(Edit(maps={"meta": MapEdit({"a": 1})}), body)[:2] == [
        bound,
        {"op": "add", "path": "/status/meta", "value": {}},
    ]
    assert patch_ops(outputs(a=1), {"metadata": {"resourceVersion": "7"}})[:3] == [
        bound,
        {"op": "add", "path": "/status", "value": {}},
        {"op": "add", "path": "/status/outputs", "value": {}},
    ]
