"""What a 404 of the cluster means to a user: its `details` decide, whatever its message is."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.errors import ExitCode, explain
from opstrand.kube.errors import NotFound


def _details(kind: str) -> dict[str, Any]:
    return {"kind": "Status", "reason": "NotFound", "details": {"name": "x", "kind": kind}}


@pytest.mark.parametrize(
    ("body", "code", "hint"),
    [
        ({"message": "404 page not found"}, ExitCode.UNREACHABLE, "opstrand is not installed"),
        (
            {"kind": "Status", "reason": "NotFound", "details": {}},
            ExitCode.UNREACHABLE,
            "opstrand is not installed",
        ),
        (_details("namespaces"), ExitCode.NOT_FOUND, "A project is a namespace"),
        (_details("operations"), ExitCode.NOT_FOUND, ""),
        # A run's name can contain any words.
        (
            {**_details("operations"), "message": "page not found: namespaces"},
            ExitCode.NOT_FOUND,
            "",
        ),
    ],
)
def test_a_404_is_known_by_its_details(body: dict[str, Any], code: ExitCode, hint: str) -> None:
    found = explain(NotFound("could not get it", status=404, body=body))
    assert (found.code, found.errors) == (code, ("could not get it",))
    assert "".join(found.hints).startswith(hint)
    assert bool(found.hints) == bool(hint)
