"""How a step says that it could not be done."""

from __future__ import annotations


class InitError(Exception):
    """A step could not be done. Its text is for the user: it becomes the run's message."""
