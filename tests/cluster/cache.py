"""Keeps slow work outside the checkout: one folder per content key, complete or absent.

Owns the cache's place, its keys and the promise that an interrupted build leaves no half entry.
Must not know what is in an entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """Return OPSTRAND_CACHE, or `opstrand` in the user's cache folder."""
    if chosen := os.environ.get("OPSTRAND_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "opstrand"


def content_key(words: Iterable[str] = (), files: Iterable[tuple[str, Path]] = ()) -> str:
    """Return a short hash of some words and of files under the given names: the same content has
    the same key on every machine.
    """
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"word {len(word)} {word}\n".encode())
    for name, path in sorted(files):
        content = path.read_bytes()
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"file {name} {executable} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def folder_files(folder: Path) -> list[tuple[str, Path]]:
    """Return every file below a folder with its path inside it, without Python's caches."""
    found = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return [(str(path.relative_to(folder)), path) for path in found]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock: one process at a time. The kernel releases it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def entry(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder `kind/key`. Build it in a temporary folder beside it and rename it when
    complete.
    """
    target = cache_folder() / kind / key
    if target.is_dir():
        return target
    with locked(cache_folder() / f"{kind}.lock"):
        if target.is_dir():  # another process built it while we waited
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        discard_unfinished(target.parent)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
        try:
            build(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def discard_unfinished(folder: Path) -> None:
    """Remove what a killed build left. Call it only under the lock, so that no build is still
    running.
    """
    for left in folder.glob(".unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
