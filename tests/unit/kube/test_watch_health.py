"""The pauses between failures of a watch, and since when it fails."""

from __future__ import annotations

import pytest

from opstrand.kube.watch_health import WatchHealth


class Clock:
    """A clock that only `now` moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> WatchHealth:
    return WatchHealth(clock)


def test_a_watch_that_fails_again_waits_longer_until_one_was_healthy(
    clock: Clock, health: WatchHealth
) -> None:
    pauses = []
    for _ in range(7):
        health.record_open()
        assert health.failing_for() == 0
        pauses.append(health.record_failure("away"))
        clock.now += 1
    assert pauses == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert (health.failing_for(), health.message) == (7, "away")
    health.record_open()
    clock.now += 6
    assert health.was_healthy()
    assert (health.record_failure("again"), health.failing_for()) == (0.25, 0)


def test_a_connection_that_was_never_open_was_not_healthy_however_long_it_took(
    clock: Clock, health: WatchHealth
) -> None:
    for _ in range(3):
        clock.now += 30
        health.record_failure("no answer")
    assert (health.was_healthy(), health.failing_for()) == (False, 60)


def test_an_event_ends_the_time_of_failing_but_not_the_growth_of_pauses(
    clock: Clock, health: WatchHealth
) -> None:
    health.record_failure("away")
    clock.now += 9
    health.record_open()
    health.record_event()
    clock.now += 1
    assert health.record_failure("away") == 0.5
    assert health.failing_for() == 1


@pytest.mark.parametrize(("asked", "pause"), [(None, 0.25), (0.0, 0.25), (0.1, 0.25), (9.0, 9.0)])
def test_a_pause_is_not_shorter_than_the_api_server_asked_for(
    asked: float | None, pause: float, health: WatchHealth
) -> None:
    assert health.record_failure("busy", asked) == pause
