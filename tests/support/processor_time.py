"""Bounds the CPU time of this process, which other processes of a busy machine do not use up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.process_time()
    try:
        yield
    finally:
        took = time.process_time() - began
        assert took < seconds, (
            f"took {took:.2f} s of the processor, expected less than {seconds:g} s"
        )
