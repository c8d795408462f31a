"""Find the files of a folder that are to be sent, and what about them prevents it.

Owns how a change is noticed (size and time of the last change). Must not open a connection.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

#: Bytes of a path and of a name in it, as `artifacts.names` has them for the API.
_MOST_PATH = 1024
_MOST_NAME = 255
#: Bytes: a larger file is sent only when it has not changed for a while, or at the end.
_LARGE = 8 * 1024 * 1024


class Found(NamedTuple):
    """A file: its path in the folder, where it is, and what changes with its content."""

    path: str
    place: str
    size: int
    changed: int


class Problem(NamedTuple):
    """A file that cannot be sent, and why."""

    path: str
    why: str


class Scan(NamedTuple):
    """What is in a folder. `links`: the paths of links that lead out of it, which are left out."""

    files: list[Found]
    problems: list[Problem]
    links: list[str]


def scan(folder: str) -> Scan:
    """Look at every file below the folder.

    A link to a file in the folder counts as that file; one to a folder in it as nothing, since the
    folder is looked at anyway.
    """
    base = os.path.realpath(folder)
    found = Scan([], [], [])

    def fail(error: OSError) -> None:
        found.problems.append(Problem(_relative(str(error.filename), base), _explain(error)))

    for parent, folders, names in os.walk(base, onerror=fail):
        folders.sort()
        for name in sorted(names) + [one for one in folders if _is_link(parent, one)]:
            _add(found, base, os.path.join(parent, name))
    return found


def _add(found: Scan, base: str, place: str) -> None:
    path = _relative(place, base)
    try:
        facts = os.lstat(place)
        if stat.S_ISLNK(facts.st_mode):
            place = os.path.realpath(place)
            if not place.startswith(base + os.sep):
                found.links.append(path)
                return
            facts = os.stat(place)
    except FileNotFoundError:
        return  # deleted since, or a link to nothing
    except OSError as error:
        found.problems.append(Problem(path, _explain(error)))
        return
    if not stat.S_ISREG(facts.st_mode):
        return
    why = refusal(path)
    if why:
        found.problems.append(Problem(path, why))
    else:
        found.files.append(Found(path, place, facts.st_size, facts.st_mtime_ns))


def is_settled(file: Found, now: float, seconds: float) -> bool:
    """Whether it is worth sending a file now: a large one is still being written if it changed
    within these seconds.
    """
    return file.size <= _LARGE or now - file.changed / 1e9 > seconds


def refusal(path: str) -> str:
    """Return why the API would refuse this path; empty if it would not."""
    if len(path) <= _MOST_NAME and path.isascii() and path.isprintable():
        return ""  # nearly every path, of which there may be many
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    longest = max(len(part.encode()) for part in path.split("/"))
    if size > _MOST_PATH or longest > _MOST_NAME:
        return f"its path is longer than {_MOST_PATH} bytes, or a name in it than {_MOST_NAME}"
    if any(unicodedata.category(one) in ("Cc", "Zl", "Zp") for one in path):
        return "its name has a control character"
    return ""


def _explain(error: OSError) -> str:
    text = str(error.strerror or error)
    try:
        owner = os.lstat(error.filename).st_uid
    except (OSError, TypeError):
        return text
    return f"{text}: it belongs to user {owner}, this is user {os.getuid()}"


def _relative(place: str, base: str) -> str:
    return place[len(base) + 1 :]


def _is_link(parent: str, name: str) -> bool:
    return os.path.islink(os.path.join(parent, name))


def shown(path: str) -> str:
    """Return a path that is safe to print."""
    return ascii(path) if refusal(path) else path


def names(problems: list[Problem], most: int = 5) -> Iterator[str]:
    """Yield a line for each problem, and one that counts those beyond the limit."""
    for problem in problems[:most]:
        yield f"{shown(problem.path)}: {problem.why}"
    if len(problems) > most:
        yield f"and {len(problems) - most} more files"
