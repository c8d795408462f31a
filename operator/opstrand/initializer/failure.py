"""The errors of a step that fails and of one that is ended from outside."""

from __future__ import annotations


class InitError(Exception):
    """A step failed. Its text is for the user: it becomes the run's message."""


class Stopped(Exception):
    """A signal asks the container to end."""
