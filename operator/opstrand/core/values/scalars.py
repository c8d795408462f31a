"""Types of single values: numbers, texts, dates, addresses.

Owns what each accepts; the converters raise Mismatch. Source: polyaxon 2.18.0 as measured in the
conformance vectors, and the types' documentation where the package falls short of it (`datetime`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import Url

from opstrand.core.values.safe import (
    Mismatch,
    check_integer,
    check_text,
    make_safe,
    read_json,
    read_list,
    read_mapping,
)

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_DATE = TypeAdapter(date)
_DATETIME = TypeAdapter(datetime)
_DURATION = TypeAdapter(timedelta)
_EXPONENT = re.compile(r"e([+-])0*(\d)")
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}", re.ASCII
)
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_WASB = re.compile(r"wasbs?://[^@/\s]+@[^./\s]+\.blob\.core\.windows\.net(/.*)?", re.DOTALL)


def parse_bool_word(text: str) -> bool:
    """Parse `true`, `yes`, `on`, `1` ... in any case."""
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise Mismatch("expected true or false (or yes, no, on, off, 1, 0)") from None


def to_bool(value: Any) -> bool:
    if isinstance(value, str):
        return parse_bool_word(value)
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise Mismatch("expected true or false")


def to_int(value: Any) -> int:
    number = _read_number(value, _WHOLE)
    if isinstance(number, float) and not number.is_integer():
        raise Mismatch(_WHOLE)
    return check_integer(int(number))


_WHOLE, _ANY_NUMBER = "expected a whole number such as 3", "expected a number such as 0.5 or 1e-3"


def _read_number(value: Any, expected: str) -> int | float:
    """Return a number, or the one in a JSON text: without blanks, with digits around the point."""
    number = read_json(value, expected)
    if not isinstance(number, int | float):
        raise Mismatch(expected)
    return number


def to_float(value: Any) -> float | None:
    """Return a finite float. YAML's `.inf` and `.nan` become null, since JSON cannot store them."""
    number = _read_number(value, _ANY_NUMBER)
    try:
        number = float(number) + 0.0  # the sum turns -0.0 into 0.0, as a store does
    except OverflowError:
        raise Mismatch("it is too large for a float") from None
    if isinstance(value, str) and not math.isfinite(number):
        raise Mismatch("it is too large for a float")
    return number if math.isfinite(number) else None


def to_str(value: Any) -> str:
    """Return a text as it is; everything else as compact JSON, a date as Python prints it."""
    if isinstance(value, str):
        return check_text(value)
    if isinstance(value, bool | float | Mapping | list | tuple) or value is None:
        return check_text(format_json(value))
    return str(value)


def format_json(value: Any) -> str:
    """Return compact JSON with numbers as the published client prints them: `1e-7`, not `1e-07`."""
    if isinstance(value, float):
        return (
            _EXPONENT.sub(r"e\1\2", repr(value)).replace("e+", "e")
            if math.isfinite(value)
            else "null"
        )
    if isinstance(value, Mapping):
        items = (f"{_quote(str(key))}:{format_json(item)}" for key, item in value.items())
        return f"{{{','.join(items)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(format_json(item) for item in value)}]"
    return _quote(make_safe(value))


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Mismatch("expected a text")
    return check_text(value)


def to_uri(value: Any) -> str:
    """Return `scheme://...`, normalized: the host in lower case, blanks escaped."""
    try:
        return str(Url(_text(value)))
    except ValueError:
        raise Mismatch("expected scheme://...") from None


def _to_bucket(scheme: str) -> Callable[[Any], str]:
    pattern = re.compile(rf"{scheme}://[^/\s]+(/.*)?", re.DOTALL)

    def to_address(value: Any) -> str:
        if not pattern.fullmatch(_text(value)):
            raise Mismatch(f"expected {scheme}://bucket/key")
        return str(value)

    return to_address


def to_wasb(value: Any) -> str:
    if not _WASB.fullmatch(_text(value)):
        raise Mismatch("expected wasb[s]://container@account.blob.core.windows.net/path")
    return str(value)


def to_image(value: Any) -> str:
    text = _text(value)
    if not text or re.search(r"\s", text) or text.count(":") > 2:
        raise Mismatch("expected an image without blanks, such as registry:5000/name:tag")
    return text


def to_uuid(value: Any) -> str:
    text = _text(value).lower()
    if not _UUID.fullmatch(text):
        raise Mismatch("expected 32 hexadecimal digits, with or without dashes")
    return text.replace("-", "")


def to_email(value: Any) -> str:
    if not _EMAIL.fullmatch(_text(value)):
        raise Mismatch("expected name@host.domain")
    return str(value)


def to_date(value: Any) -> str:
    """Return an ISO date, from one, from a moment at midnight, or from its seconds since 1970."""
    if isinstance(value, bool):
        raise Mismatch("expected a date such as 2026-01-31")
    try:
        return _DATE.validate_python(value).isoformat()
    except ValidationError:
        raise Mismatch("expected a date such as 2026-01-31") from None


def to_datetime(value: Any) -> str:
    """Return a date if the value is one, else ISO 8601 with the given zone.

    polyaxon 2.18 accepts dates only; the documented type is a moment.
    """
    try:
        return to_date(value)
    except Mismatch:
        pass
    number = isinstance(value, str) and re.fullmatch(r"\s*[+-]?[\d.]+\s*", value)
    if number or not isinstance(value, str | datetime):
        raise Mismatch("expected a moment such as 2026-01-31T10:30:00Z")
    try:
        return _DATETIME.validate_python(value).isoformat().replace("+00:00", "Z")
    except ValidationError:
        raise Mismatch("expected a moment such as 2026-01-31T10:30:00Z") from None


def to_seconds(value: Any) -> float:
    """Return seconds, from numbers, `PT1H`, `1 day, 2:00:00` or `01:30:00`."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value) + 0.0
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[\d.]+\s*", value):
        raise Mismatch(f"a text needs a unit, such as PT{value.strip()}S or 00:01:00")
    if not isinstance(value, str):
        raise Mismatch("expected seconds, or a text such as PT1H or 01:30:00")
    try:
        return _DURATION.validate_python(value).total_seconds()
    except ValidationError:
        raise Mismatch("expected seconds, or a text such as PT1H or 01:30:00") from None


def to_dict(value: Any) -> dict[str, Any]:
    return {check_text(str(key)): make_safe(item, 1) for key, item in read_mapping(value).items()}


def to_list(value: Any) -> list[Any]:
    return [make_safe(item, 1) for item in read_list(value)]


def to_dict_of_dicts(value: Any) -> dict[str, Any]:
    found = to_dict(value)
    if not found or not all(isinstance(item, dict) for item in found.values()):
        raise Mismatch("expected a mapping of mappings")
    return found


def to_auth(value: Any) -> dict[str, Any]:
    """Return user and password. A text is refused: any split of it would be a guess."""
    if not isinstance(value, Mapping):
        raise Mismatch(
            "expected a mapping in the file, {user: ..., password: ...}; a text is not split"
        )
    return to_dict(value)


SCALARS: dict[str, Callable[[Any], Any]] = {
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "str": to_str,
    "dict": to_dict,
    "list": to_list,
    "path": _text,
    "metric": to_float,
    "metadata": to_dict,
    "uri": to_uri,
    "gcs": _to_bucket("gs"),
    "s3": _to_bucket("s3"),
    "wasb": to_wasb,
    "image": to_image,
    "uuid": to_uuid,
    "email": to_email,
    "date": to_date,
    "datetime": to_datetime,
    "timedelta": to_seconds,
    "auth": to_auth,
    "dict_of_dicts": to_dict_of_dicts,
}
