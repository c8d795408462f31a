"""Log lines have what a person or a log store searches for."""

from __future__ import annotations

import json
import logging

from opstrand.logs import JsonFormatter, about


def line(**fields: object) -> dict[str, object]:
    record = logging.LogRecord(
        "opstrand.kube", logging.WARNING, "a.py", 1, "%s is\naway", ("it",), None
    )
    record.__dict__.update(fields)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_a_line_is_json_with_run_and_project() -> None:
    found = line(**about("team", "echo"), settings="of kopf")
    assert {key: found[key] for key in ("level", "logger", "message", "run", "project")} == {
        "level": "warning",
        "logger": "opstrand.kube",
        "message": "it is\naway",
        "run": "echo",
        "project": "team",
    }
    assert "settings" not in found


def test_a_traceback_is_part_of_its_line() -> None:
    try:
        raise ValueError("what")
    except ValueError as error:
        found = line(exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: what" in str(found["traceback"])


def test_a_line_drives_no_terminal_and_says_what_it_said() -> None:
    hostile = "\x1b[2J\x9b31m\u202e\u2028\ud800"
    record = logging.LogRecord("opstrand", logging.WARNING, "a.py", 1, hostile, (), None)
    text = JsonFormatter().format(record)
    assert text.isprintable()
    assert json.loads(text)["message"] == hostile
