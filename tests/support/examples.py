"""How many examples a property test draws, in proportion to the profile that hypothesis runs
with.
"""

from __future__ import annotations

from hypothesis import settings

_STEADY = settings.get_profile("steady").max_examples


def examples(steady: int) -> int:
    """For `@settings(max_examples=...)`:

    `steady` under the steady profile, and its share under a smaller one, at least one.
    """
    return max(1, steady * settings().max_examples // _STEADY)
