"""`schedule.cron`: a cron expression and its time zone.

Owns the spelling: aliases, the zone in front, and where the seconds are. `cronsim` owns the meaning
of the fields. Must not read the clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from opstrand.text import find_nearest

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: What an expression is, for messages.
FIELDS = f"minute, hour, day, month and weekday, or one of {', '.join(ALIASES)}"
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*)\s*(.*)", re.DOTALL)
_LONGEST = 256
_NAMES = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
#: Every expression that has a date at all has one within 50 years of this one.
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cron:
    """`fields`: five, or six with the seconds first, as `cronsim` reads them."""

    fields: str
    zone: str = "UTC"

    @property
    def tzinfo(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


def read_cron(text: str) -> Cron:
    """Read an expression, with or without `CRON_TZ=ZONE` in front of it.

    Raises ValueError with what is wrong, as a part of a sentence.
    """
    zoned = _ZONE.fullmatch(text.strip())
    zone, fields = (zoned[1], zoned[2]) if zoned else ("UTC", text.strip())
    _check_zone(zone)
    words = ALIASES.get(fields, fields).split()
    if len(words) not in (5, 6) or len(text) > _LONGEST:
        raise ValueError(f"expected {FIELDS}")
    # The published format has the seconds at the end.
    words = [word.replace("?", "*") for word in (*words[5:], *words[:5])]
    found = Cron(" ".join(words), zone)
    _check(found.fields)
    return found


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        # ValueError and OSError: a path, or the name of a folder.
        first = zone[:1].upper()
        near = find_nearest(zone, sorted(one for one in available_timezones() if one[:1] == first))
        hint = f"; did you mean '{near}'?" if near else " (such as Europe/Berlin)"
        raise ValueError(f"no time zone is named '{zone[:64]}'{hint}") from None


def _check(fields: str) -> None:
    """Raise ValueError for fields that `cronsim` cannot read, or that no date matches."""
    # Here, since most files have no schedule.
    from cronsim import CronSim, CronSimError

    try:
        found = next(CronSim(fields, _ANY_TIME), None)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        reason = f"its {name} is not valid" if name in _NAMES else f"expected {FIELDS}"
        raise ValueError(reason) from None
    except (AssertionError, TypeError, ValueError):
        # What its parser did not expect, such as a step of the last weekday.
        raise ValueError(f"expected {FIELDS}") from None
    if found is None:
        raise ValueError("no date matches it")
