"""A loop whose time leaps: instead of waiting it moves its clock forward, so that no pause depends
on the machine.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Leaping(selectors.DefaultSelector):
    """Does not wait; records how long it should have waited."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self.ahead += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return super().time() + self._leaping.ahead


def in_leaps(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run the test in its own loop, whose time leaps.

    Only for tests that do nothing but sleep: a loop with a real connection would poll it without a
    pause.
    """

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(test(*arguments, **named))

    return run
