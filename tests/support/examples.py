"""Scales the number of examples of a property test to the active hypothesis profile."""

from __future__ import annotations

from hypothesis import settings

_STEADY = settings.get_profile("steady").max_examples


def examples(steady: int) -> int:
    """Return the number for `@settings(max_examples=...)`.

    This is `steady` under the steady profile, and a proportional share, at least one, under a
    smaller profile.
    """
    return max(1, steady * settings().max_examples // _STEADY)
