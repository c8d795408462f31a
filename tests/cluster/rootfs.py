"""Makes root filesystems with Python and nothing else, by debootstrap from the mirror that this
machine's apt uses.

Owns what is in them and what is stripped. Its own text is part of the images' key. Must not name a
mirror.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster.console import Failure, run
from tests.cluster.programs import system_command

PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
STRIPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "var/cache",
    "var/log",
)
EMPTIED = ("var/lib/apt/lists",)
# Files that identify the machine on which the filesystem was made.
FOREIGN = ("etc/resolv.conf", "etc/hostname", "etc/apt/sources.list")


def debian_mirror() -> str:
    """Return the address from which apt installs Debian's main component."""
    form = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    lines = run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    ).stdout.splitlines()
    for line in lines:
        origin, label, component, address = line.split("|", 3)
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return address
    raise Failure("apt has no index of Debian's main component; its update may not have been run")


def make_root(suite: str, target: Path) -> None:
    run(
        [
            system_command("debootstrap"),
            "--variant=minbase",
            f"--include={PACKAGES}",
            suite,
            target,
            debian_mirror(),
        ]
    )
    for name in STRIPPED:
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).mkdir(parents=True, exist_ok=True)
    for name in EMPTIED:
        shutil.rmtree(target / name, ignore_errors=True)
    for name in FOREIGN:
        (target / name).unlink(missing_ok=True)
        (target / name).touch()
    allow_pip(target)
    # Debian only has `python3`; images made for Python have both names.
    (target / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def allow_pip(target: Path) -> None:
    """Let pip install into the system's Python, which Debian forbids; a container has nothing else
    to protect.
    """
    for marker in target.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (target / "etc/pip.conf").touch()
