"""Chromium, in which the pages are tried.

Owns where it is found and how it is installed: from Debian, by apt-get, where we are root.
"""

from __future__ import annotations

import os
import shutil

from tests.cluster.console import Failure, run, step

PACKAGE = "chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return where Chromium is."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def ensure_browser() -> None:
    """Install it unless it is there. Raises Failure where that is not possible."""
    if find_browser():
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Failure(
            f"missing: {PACKAGE} (the name of Debian's package; this needs apt-get, and root)"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {PACKAGE}"):
        run(["apt-get", "update", "--quiet"], env=environment)
        command = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", PACKAGE]
        run(command, env=environment)
