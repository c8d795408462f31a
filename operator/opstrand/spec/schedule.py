"""`schedule`: runs by the clock.

Owns the keys. Must not know what time it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from opstrand.spec.section import OR_TEMPLATE, ByKind, Flag, Section, Takes, Text, Whole, describe, fail

_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_SPAN: TypeAdapter[timedelta] = TypeAdapter(timedelta)


def _judge_moment(value: Any) -> Any:
    if not isinstance(value, (str, datetime)):
        raise fail("InvalidSpec", f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}")
    try:
        _MOMENT.validate_python(value)
    except ValueError:
        raise fail("InvalidSpec", f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}") from None
    return value


def _judge_span(value: Any) -> Any:
    try:
        seconds = _SPAN.validate_python(value).total_seconds()
    except ValueError:
        raise fail("InvalidSpec", f"expected seconds or a duration such as PT1H, found {describe(value)}") from None
    if isinstance(value, bool) or seconds <= 0:
        raise fail("InvalidSpec", f"expected a duration above 0, found {describe(value)}")
    return value


Moment = Annotated[Any, BeforeValidator(_judge_moment), OR_TEMPLATE, Takes("date and time")]
Span = Annotated[Any, BeforeValidator(_judge_span), OR_TEMPLATE, Takes("number of seconds, or a duration such as PT1H")]


class _Repeated(Section):
    start_at: Moment | None = Field(None, description="No run before this moment.", examples=["2026-01-01T00:00:00Z"])
    end_at: Moment | None = Field(None, description="No run after this moment.", examples=["2026-12-31T00:00:00Z"])
    max_runs: Whole | None = Field(None, description="How many runs at most.", examples=[10])
    depends_on_past: Flag | None = Field(None, description="Whether a run waits for the one before it.", examples=[True])


class CronSchedule(_Repeated):
    """Runs at the times of a cron expression."""

    kind: Literal["cron"] = Field("cron", description="The kind of the schedule.", examples=["cron"])
    cron: Text = Field(description="Minute, hour, day, month, weekday; or @hourly, @daily, ...", examples=["0 6 * * 1"])


class IntervalSchedule(_Repeated):
    """Runs again and again after a time."""

    kind: Literal["interval"] = Field("interval", description="The kind of the schedule.", examples=["interval"])
    frequency: Span = Field(description="Seconds, or a duration, between two runs.", examples=[3600])


class DateTimeSchedule(Section):
    """Runs once, later."""

    kind: Literal["datetime"] = Field("datetime", description="The kind of the schedule.", examples=["datetime"])
    start_at: Moment = Field(description="When it runs.", examples=["2026-01-01T00:00:00Z"])


@cache
def schedules() -> Mapping[str, type[Section]]:
    return {"cron": CronSchedule, "interval": IntervalSchedule, "datetime": DateTimeSchedule}


SCHEDULE = ByKind("schedule", schedules)
