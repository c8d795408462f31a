"""The ticks of a schedule: tables for each kind, and laws that hold for every rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.schedules.rule import (
    Rule,
    count_ticks,
    iter_ticks,
    name_tick,
    newest_tick,
    next_tick,
    parse_tick,
    read_rule,
    show_tick,
)

CREATED = datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)


def at(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def cron(text: str, **more: Any) -> Rule:
    return read_rule({"kind": "cron", "cron": text, **more}, CREATED)


def interval(frequency: Any, **more: Any) -> Rule:
    return read_rule({"kind": "interval", "frequency": frequency, **more}, CREATED)


def ticks(rule: Rule, count: int = 3, after: str | None = None) -> list[str]:
    since = None if after is None else at(after)
    return [show_tick(tick) for tick in islice(iter_ticks(rule, since), count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@hourly", ["2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z"]),
        ("@daily", ["2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"]),
        ("@midnight", ["2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"]),
        ("@weekly", ["2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"]),
        ("@monthly", ["2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"]),
        ("@quarterly", ["2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@annually", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("0 6 * * MON", ["2026-03-02T06:00:00Z", "2026-03-09T06:00:00Z"]),
        ("0 6 ? * 1-5", ["2026-03-02T06:00:00Z", "2026-03-03T06:00:00Z"]),
        ("0 0 L * *", ["2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z"]),
        ("0 9 * * MON#1", ["2026-03-02T09:00:00Z", "2026-04-06T09:00:00Z"]),
        # The seconds are at the end, as in the published format.
        ("20 10 * * * 15", ["2026-03-02T10:20:15Z", "2026-03-03T10:20:15Z"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("CRON_TZ=Asia/Kolkata 0 6 * * *", ["2026-03-02T00:30:00Z", "2026-03-03T00:30:00Z"]),
        ("TZ=America/New_York @daily", ["2026-03-02T05:00:00Z", "2026-03-03T05:00:00Z"]),
    ],
)
def test_every_spelling_of_cron_has_its_ticks(text: str, expected: list[str]) -> None:
    assert ticks(cron(text), 2) == expected


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        # On 2026-03-29 the clock goes from 02:00 to 03:00 in Berlin (01:00Z).
        (
            "30 2 * * *",
            "2026-03-28T00:00:00",
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        # Two times at the same moment are one tick.
        (
            "0 2,3 * * *",
            "2026-03-28T12:00:00",
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"],
        ),
        (
            "0 * * * *",
            "2026-03-29T00:00:00",
            ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T03:00:00Z"],
        ),
        # On 2026-10-25 it goes from 03:00 back to 02:00 (01:00Z): 02:30 comes twice, and runs once.
        (
            "30 2 * * *",
            "2026-10-24T12:00:00",
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"],
        ),
        # Asked in the repeated hour, the tick of the first one is over.
        (
            "45 2 * * *",
            "2026-10-25T01:20:00",
            ["2026-10-26T01:45:00Z", "2026-10-27T01:45:00Z", "2026-10-28T01:45:00Z"],
        ),
        # Every hour is every hour, also in the repeated one.
        (
            "0 * * * *",
            "2026-10-24T23:30:00",
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
        ),
    ],
)
def test_a_change_of_the_clock_loses_no_tick_and_repeats_none(
    text: str, after: str, expected: list[str]
) -> None:
    assert ticks(cron(f"CRON_TZ=Europe/Berlin {text}"), 3, after) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (interval(3600), ["2026-03-01T11:20:30Z", "2026-03-01T12:20:30Z", "2026-03-01T13:20:30Z"]),
        (interval("PT90S", maxRuns=2), ["2026-03-01T10:22:00Z", "2026-03-01T10:23:30Z"]),
        (
            interval(60, startAt="2026-03-02T00:00:00Z", endAt="2026-03-02T00:01:30Z"),
            ["2026-03-02T00:00:00Z", "2026-03-02T00:01:00Z"],
        ),
        # It began before the object was created.
        (interval(86400, startAt="2026-02-27T00:00:00Z"), ["2026-02-27T00:00:00Z"]),
        (cron("@daily", endAt="2026-03-03T00:00:00Z"), ["2026-03-02T00:00:00Z"]),
        (cron("@daily", startAt="2026-03-05T00:00:00Z"), ["2026-03-05T00:00:00Z"]),
        # A time without an offset is in the zone of the schedule.
        (cron("CRON_TZ=Asia/Tokyo @daily", startAt="2026-03-05"), ["2026-03-04T15:00:00Z"]),
        (cron("@hourly", endAt="2026-03-01T10:30:00Z"), []),
    ],
)
def test_bounds_and_intervals(rule: Rule, expected: list[str]) -> None:
    assert (
        ticks(rule, len(expected) if rule.end is None else 3)[: max(1, len(expected))]
        == expected[: max(1, len(expected))]
    )


def test_a_tick_is_a_whole_second_whenever_the_object_was_created() -> None:
    created = CREATED.replace(microsecond=302426)
    rule = read_rule({"kind": "interval", "frequency": 1}, created)
    assert ticks(rule, 1) == ["2026-03-01T10:20:31Z"]
    assert count_ticks(rule, at("2026-03-01T10:20:31"), at("2026-03-01T10:20:32")) == 0


def test_a_date_is_one_tick_also_if_it_is_over() -> None:
    once = read_rule({"kind": "datetime", "startAt": "2026-01-31T10:00:00.5+02:00"}, CREATED)
    assert ticks(once) == ["2026-01-31T08:00:01Z"]
    assert next_tick(once, at("2026-01-31T08:00:01")) is None
    assert newest_tick(once, None, CREATED) == at("2026-01-31T08:00:01")


@pytest.mark.parametrize(
    "text", ["0 0 31 2 *", "61 * * * *", "* * * *", "@every 5m", "0 0 5L/2 * *"]
)
def test_what_is_no_cron_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not valid|expected minute"):
        cron(text)


def test_an_unknown_time_zone_is_refused_with_a_similar_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        cron("CRON_TZ=Europe/berlin @daily")


# -- laws ------------------------------------------------------------------------------------------

MOMENTS = st.integers(1_704_067_200, 1_893_456_000).map(lambda at: datetime.fromtimestamp(at, UTC))
_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
_FIELDS = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 2,3 * * *", "15 1 * * SUN", "0 0 29 2 *"]
)
CRONS = st.builds(lambda zone, fields: cron(f"CRON_TZ={zone} {fields}"), _ZONES, _FIELDS)
RULES = st.one_of(
    CRONS,
    st.builds(interval, st.integers(1, 10**7)),
    st.builds(lambda start: interval(3600, startAt=show_tick(start)), MOMENTS),
)


@given(RULES, MOMENTS)
def test_the_next_tick_is_later_and_on_the_way_to_the_one_after(rule: Rule, now: datetime) -> None:
    found = list(islice(iter_ticks(rule, now), 4))
    assert all(tick > now for tick in found)
    assert all(one < other for one, other in pairwise(found))
    assert found[1:] == list(islice(iter_ticks(rule, found[0]), 3))


@given(RULES, MOMENTS, st.integers(1, 10**6))
def test_no_tick_lies_between_the_newest_one_and_now(
    rule: Rule, since: datetime, seconds: int
) -> None:
    now = since + timedelta(seconds=seconds)
    newest = newest_tick(rule, since, now)
    following = next_tick(rule, since if newest is None else newest)
    assert newest is None or since < newest <= now
    assert following is None or following > now


@given(RULES, MOMENTS, st.integers(1, 10**5))
def test_ticks_are_counted_as_they_come(rule: Rule, since: datetime, seconds: int) -> None:
    before = since + timedelta(seconds=seconds)
    between = [tick for tick in islice(iter_ticks(rule, since), 1000) if tick < before]
    assert count_ticks(rule, since, before) == len(between)


@given(CRONS, MOMENTS)
def test_a_tick_is_a_time_that_the_zone_shows(rule: Rule, now: datetime) -> None:
    tick = next_tick(rule, now)
    assert tick is not None
    assert rule.cron is not None
    local = tick.astimezone(ZoneInfo(rule.cron.zone))
    assert (tick.microsecond, local.astimezone(UTC)) == (0, tick)


@given(MOMENTS)
def test_a_tick_survives_its_text_and_has_a_name_of_its_own(tick: datetime) -> None:
    assert parse_tick(show_tick(tick)) == tick
    assert name_tick(tick) != name_tick(tick + timedelta(seconds=1))


def test_two_weeks_of_seconds_cost_few_ticks() -> None:
    rule, now = interval(1), CREATED + timedelta(days=14)
    assert newest_tick(rule, CREATED, now) == now
    assert count_ticks(rule, CREATED, now) == 1000
