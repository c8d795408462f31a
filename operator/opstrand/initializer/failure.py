"""How a step says that it could not be done, and how one is ended from outside."""

from __future__ import annotations


class InitError(Exception):
    """A step could not be done. Its text is for the user: it becomes the run's message."""


class Stopped(Exception):
    """Whoever runs the container wants it to end."""
