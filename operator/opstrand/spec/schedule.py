"""`schedule`: runs at given times.

Owns the keys. Must not read the clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from opstrand.spec.problems import describe, fail
from opstrand.spec.scalars import OR_TEMPLATE, Accepts, Flag, Text, Whole
from opstrand.spec.section import ByKind, Section

_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_SPAN: TypeAdapter[timedelta] = TypeAdapter(timedelta)


def _validate_moment(value: Any) -> Any:
    if not isinstance(value, (str, datetime)):
        raise fail(
            "InvalidSpec",
            f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}",
        )
    try:
        _MOMENT.validate_python(value)
    except ValueError:
        raise fail(
            "InvalidSpec",
            f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}",
        ) from None
    return value


def _validate_span(value: Any) -> Any:
    try:
        seconds = _SPAN.validate_python(value).total_seconds()
    except ValueError:
        raise fail(
            "InvalidSpec", f"expected seconds or a duration such as PT1H, found {describe(value)}"
        ) from None
    if isinstance(value, bool) or seconds <= 0:
        raise fail("InvalidSpec", f"expected a duration above 0, found {describe(value)}")
    return value


def _validate_cron(value: Any) -> Any:
    if isinstance(value, str) and value not in _ALIASES and not _is_cron(value.split()):
        fields = (
            "minute, hour, day, month and weekday, or one of @hourly, @daily, @weekly, @monthly, "
            "@quarterly, @yearly"
        )
        raise fail("InvalidSpec", f"expected {fields}; found {describe(value)}")
    return value


def _is_cron(words: list[str]) -> bool:
    """Whether these are five fields, or six with seconds, whose numbers are in range.

    The meaning of a letter such as L is the business of the scheduler.
    """
    return len(words) in (5, 6) and all(
        _CRON_FIELD.fullmatch(word)
        and all(low <= int(number) <= high for number in _CRON_NUMBER.findall(word))
        for word, (low, high) in zip(words, _CRON_RANGES, strict=False)
    )


_ALIASES = (
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@quarterly",
    "@yearly",
    "@annually",
)
_CRON_FIELD = re.compile(r"[\w*?/,#-]{1,100}", re.ASCII)
#: The numbers of a field, except those after a slash: a step may be any number.
_CRON_NUMBER = re.compile(r"(?:^|[,-])(\d+)")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (0, 59))
Cron = Annotated[Text, BeforeValidator(_validate_cron), OR_TEMPLATE]
Moment = Annotated[Any, BeforeValidator(_validate_moment), OR_TEMPLATE, Accepts("date and time")]
Span = Annotated[
    Any,
    BeforeValidator(_validate_span),
    OR_TEMPLATE,
    Accepts("number of seconds, or a duration such as PT1H"),
]


class _Repeated(Section):
    start_at: Moment | None = Field(
        None, description="No run before this moment.", examples=["2026-01-01T00:00:00Z"]
    )
    end_at: Moment | None = Field(
        None, description="No run after this moment.", examples=["2026-12-31T00:00:00Z"]
    )
    max_runs: Whole | None = Field(None, description="How many runs at most.", examples=[10])
    depends_on_past: Flag | None = Field(
        None, description="Whether a run waits for the one before it.", examples=[True]
    )


class CronSchedule(_Repeated):
    """Runs at the times of a cron expression."""

    kind: Literal["cron"] = Field(
        "cron", description="The kind of the schedule.", examples=["cron"]
    )
    cron: Cron = Field(
        description="Minute, hour, day, month, weekday; or @hourly, @daily, ...",
        examples=["0 6 * * 1"],
    )


class IntervalSchedule(_Repeated):
    """Runs again and again after a time."""

    kind: Literal["interval"] = Field(
        "interval", description="The kind of the schedule.", examples=["interval"]
    )
    frequency: Span = Field(
        description="Seconds, or a duration, between two runs.", examples=[3600]
    )


class DateTimeSchedule(Section):
    """Runs once, later."""

    kind: Literal["datetime"] = Field(
        "datetime", description="The kind of the schedule.", examples=["datetime"]
    )
    start_at: Moment = Field(description="When it runs.", examples=["2026-01-01T00:00:00Z"])


@cache
def schedules() -> Mapping[str, type[Section]]:
    return {"cron": CronSchedule, "interval": IntervalSchedule, "datetime": DateTimeSchedule}


SCHEDULE = ByKind("schedule", schedules)
