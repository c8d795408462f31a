"""The paths by which files of a run are named, which of them are refused, and which name nothing.

Owns the rules; pure. Must not touch a file.
"""

from __future__ import annotations

import unicodedata

#: Bytes in UTF-8: a whole path, and one name in it, which is what common file systems can keep.
MOST_PATH = 1024
MOST_NAME = 255


class BadPath(ValueError):
    """A path that no file of a run may have. The text says which, and why."""


class MissingFile(LookupError):
    """The run has no file or folder of that path. The text may be shown."""


def check_path(path: str) -> str:
    """Return the path of a file or folder of a run, relative to the run's folder.

    A slash at the end is dropped, and empty means the whole folder. Raises BadPath.
    """
    if not path or path == "/":
        return ""
    shown = repr(path if len(path) <= 80 else path[:77] + "...")
    if path.startswith("/"):
        raise BadPath(f"path: {shown} is absolute; expected one inside the run's folder")
    path = path[:-1] if path.endswith("/") else path
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise BadPath(f"path: {shown} is not UTF-8") from None
    if size > MOST_PATH:
        raise BadPath(f"path: {shown} has {size} bytes, expected at most {MOST_PATH}")
    for part in path.split("/"):
        _check_part(part, shown)
    return path


def check_file(path: str) -> str:
    """Return the path of a file, which cannot be the whole folder. Raises BadPath."""
    checked = check_path(path)
    if not checked or path.endswith("/"):
        raise BadPath(f"path: expected the path of a file, found {path[:80]!r}")
    return checked


def _check_part(part: str, shown: str) -> None:
    if part in ("", ".", ".."):
        raise BadPath(f"path: {shown} has the part {part!r}; expected names between the slashes")
    size = len(part.encode())
    if size > MOST_NAME:
        raise BadPath(f"path: {shown} has a name of {size} bytes, expected at most {MOST_NAME}")
    odd = next((one for one in part if unicodedata.category(one) in ("Cc", "Zl", "Zp")), None)
    if odd is not None:
        raise BadPath(f"path: {shown} has the control character {odd!r}")
