"""On which file system a path lies: SQLite loses data where locks and mmap do not work.

Owns which file systems are refused. Source: "How To Corrupt An SQLite Database File", section 2.
"""

from __future__ import annotations

import re
from pathlib import Path

from opstrand.errors import PlatformError

_MOUNTS = Path("/proc/self/mountinfo")
_REFUSED = re.compile(r"nfs\d*|cifs|smb\d*|smbfs|9p|afs|ceph|glusterfs|lustre|fuse(\..*)?|fuseblk")
_OCTAL = re.compile(r"\\([0-7]{3})")


def check_filesystem(path: Path, mounts: str | None = None) -> None:
    """Raise PlatformError if the file system of this folder is one on which SQLite is not safe.

    `mounts` is the text of /proc/self/mountinfo; by default it is read.
    """
    if mounts is None:
        mounts = _MOUNTS.read_text(errors="replace") if _MOUNTS.exists() else ""
    kind = find_filesystem(path.resolve(), mounts)
    if _REFUSED.fullmatch(kind):
        raise PlatformError(
            f"the store cannot be kept at {path}: it is on {kind}, and SQLite loses data on "
            "network and FUSE file systems. Use a volume of block storage or of the node, or a "
            "PostgreSQL server: OPSTRAND_STORE_URL=postgresql://..."
        )


def find_filesystem(path: Path, mounts: str) -> str:
    """The type of the file system that this absolute path is on; "" if it is not known."""
    found, kind = Path(), ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        mounted = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # The last mount at a place covers those before it.
        if path.is_relative_to(mounted) and len(mounted.parts) >= len(found.parts):
            found, kind = mounted, after.split()[0]
    return kind
