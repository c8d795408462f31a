"""`schedule`: runs at given times.

Owns the keys. Must not read the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from opstrand.spec.cron import read_cron
from opstrand.spec.problems import describe, fail, fail_at
from opstrand.spec.scalars import OR_TEMPLATE, Accepts, Flag, Text, Whole, is_template
from opstrand.spec.section import ByKind, Section

_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_SPAN: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_SECOND = timedelta(seconds=1)
#: Between these, every time zone can be converted to every other.
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _validate_moment(value: Any) -> Any:
    if not isinstance(value, (str, datetime)):
        raise fail(
            "InvalidSpec",
            f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}",
        )
    try:
        year = _MOMENT.validate_python(value).year
    except ValueError:
        year = 0
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise fail(
            "InvalidSpec",
            f"expected a date and time such as 2026-01-31T10:00:00Z, found {describe(value)}",
        )
    return value


def read_moment(value: Any, zone: tzinfo) -> datetime:
    """Return the moment that a validated text means, in whole seconds, rounded up.

    A text without an offset is a time in `zone`.
    """
    moment = _MOMENT.validate_python(value)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    # In UTC: differences between two times of one zone would leave out its changes of the clock.
    moment = moment.astimezone(UTC)
    return moment if not moment.microsecond else moment.replace(microsecond=0) + _SECOND


def read_span(value: Any) -> timedelta:
    """Return the time that validated seconds, or a duration, mean."""
    return _SPAN.validate_python(value)


def _validate_span(value: Any) -> Any:
    try:
        span = _SPAN.validate_python(value)
    except ValueError:
        raise fail(
            "InvalidSpec", f"expected seconds or a duration such as PT1H, found {describe(value)}"
        ) from None
    if isinstance(value, bool) or span < _SECOND:
        raise fail(
            "InvalidSpec", f"expected a duration of at least 1 second, found {describe(value)}"
        )
    return value


def _validate_cron(value: Any) -> Any:
    if isinstance(value, str):
        try:
            read_cron(value)
        except ValueError as error:
            message = f"{error}; found {describe(value)}"
            raise fail("InvalidSpec", message) from None
    return value


Cron = Annotated[Text, BeforeValidator(_validate_cron), OR_TEMPLATE]
Moment = Annotated[Any, BeforeValidator(_validate_moment), OR_TEMPLATE, Accepts("date and time")]
Span = Annotated[
    Any,
    BeforeValidator(_validate_span),
    OR_TEMPLATE,
    Accepts("number of seconds, or a duration such as PT1H"),
]


def _validate_count(value: Any) -> Any:
    if isinstance(value, int) and value < 1:
        raise fail("InvalidSpec", f"expected a number of at least 1, found {describe(value)}")
    return value


class _Repeated(Section):
    start_at: Moment | None = Field(
        None, description="No run before this moment.", examples=["2026-01-01T00:00:00Z"]
    )
    end_at: Moment | None = Field(
        None, description="No run after this moment.", examples=["2026-12-31T00:00:00Z"]
    )
    max_runs: Annotated[Whole, BeforeValidator(_validate_count)] | None = Field(
        None, description="How many runs at most.", examples=[10]
    )
    depends_on_past: Flag | None = Field(
        None,
        description="Whether a run starts only after the one before it has ended.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _validate_end(self) -> Self:
        start, end = self.start_at, self.end_at
        if start is None or end is None or is_template(start) or is_template(end):
            return self
        zone = self._zone
        if read_moment(end, zone) < read_moment(start, zone):
            message = f"expected a time after startAt ({start}), found {describe(end)}"
            raise fail_at([(("endAt",), "InvalidSpec", message)], self)
        return self

    @property
    def _zone(self) -> tzinfo:
        return UTC


class CronSchedule(_Repeated):
    """Runs at the times of a cron expression."""

    kind: Literal["cron"] = Field(
        "cron", description="The kind of the schedule.", examples=["cron"]
    )
    cron: Cron = Field(
        description=(
            "Minute, hour, day, month, weekday; or @hourly, @daily, ... In UTC, or in the zone of "
            "`CRON_TZ=ZONE` in front of it."
        ),
        examples=["0 6 * * 1"],
    )

    @property
    def _zone(self) -> tzinfo:
        return UTC if is_template(self.cron) else read_cron(self.cron).tzinfo


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
