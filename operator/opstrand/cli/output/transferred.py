"""How much of a transfer is done: on the live line while it goes on, and in a sentence at its end.

Must not transfer anything.
"""

from __future__ import annotations

import time

from opstrand.cli.output.spinner import LiveLine

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def show_size(size: float) -> str:
    """Return `12 B`, `3.4 KiB`, `120 MiB`: three digits at most."""
    steps = 0
    while size >= 999.5 and steps < len(_UNITS) - 1:
        size, steps = size / 1024, steps + 1
    return f"{size:.{1 if steps and size < 99.95 else 0}f} {_UNITS[steps]}"


class Transferred:
    """Counts files and bytes. `verb`: what is done to them, as in `getting`.

    `size`: bytes of everything, where it is known.
    """

    def __init__(self, live: LiveLine, verb: str, size: int | None = None) -> None:
        self._live, self._verb, self._whole = live, verb, size
        self._since = time.monotonic()
        self._kept_bytes = 0
        self.files, self.kept, self.bytes = 0, 0, 0

    def add(self, count: int) -> None:
        """Count bytes that were transferred."""
        self.bytes += count
        self._draw()

    def continue_at(self, count: int) -> None:
        """Count bytes that an earlier command transferred."""
        self._kept_bytes += count
        self._draw()

    def finish_file(self, *, is_kept: bool = False) -> None:
        """Count a file; `is_kept`: it was there already."""
        self.files += 1
        self.kept += is_kept
        self._draw()

    def _draw(self) -> None:
        seconds = max(time.monotonic() - self._since, 0.001)
        done = show_size(self.bytes + self._kept_bytes)
        whole = f" of {show_size(self._whole)}" if self._whole is not None else ""
        # Not `update`, which begins a new wait.
        self._live.text = (
            f"{self._verb}: {self._count()}, {done}{whole}, {show_size(self.bytes / seconds)}/s"
        )

    def _count(self) -> str:
        return _count_files(self.files)

    def describe(self, place: str) -> str:
        """Return `copied 3 files, 1.2 MiB, to PLACE; 1 file was there already`."""
        text = f"copied {_count_files(self.files - self.kept)}, {show_size(self.bytes)}, to {place}"
        if self.kept:
            were = "was" if self.kept == 1 else "were"
            text += f"; {_count_files(self.kept)} {were} there already"
        return text


def _count_files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
