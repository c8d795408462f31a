"""Steps that write and copy files: `init.file`, a Dockerfile, and files of a store's volume.

Owns the modes of these files, which the user that main runs as must be able to write. Must not use
the network.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

from opstrand.initializer.failure import InitError
from opstrand.initializer.modes import apply_mode

Document = dict[str, Any]


def describe(error: OSError, root: str) -> str:
    """Return the system's error message, and which path of the container it is about."""
    path = str(error.filename or "")
    return f"{error.strerror or error}" + (
        f": {path[len(root) :] if path.startswith(root) else path}" if path else ""
    )


def make_directory(path: str) -> None:
    try:
        os.makedirs(path, mode=0o777, exist_ok=True)
    except OSError as error:
        raise InitError(f"could not make the folder {path}: {error.strerror}") from error


def write_file(step: Document, root: str) -> None:
    """Execute `init.file`: write the content byte for byte, set its mode, copy it if asked to."""
    target = root + step["target"]
    try:
        write(target, step["content"].encode())
        if step.get("chmod"):
            os.chmod(target, apply_mode(str(step["chmod"]), stat.S_IMODE(os.stat(target).st_mode)))
        if step.get("copy"):
            os.makedirs(os.path.dirname(root + step["copy"]), mode=0o777, exist_ok=True)
            _remove(root + step["copy"])
            shutil.copy(target, root + step["copy"])
    except IsADirectoryError as error:
        raise InitError(
            f"init file {step['target']}: a folder of that name is there already"
        ) from error
    except ValueError as error:
        raise InitError(f"init file {step['target']}: {error}") from error
    except OSError as error:
        raise InitError(
            f"could not write the init file {step['target']}: {error.strerror}"
        ) from error


def write(path: str, content: bytes) -> None:
    """Write the file with exactly this content; create the folders above it."""
    os.makedirs(os.path.dirname(path), mode=0o777, exist_ok=True)
    _remove(path)
    with open(path, "wb") as file:
        file.write(content)


def _remove(path: str) -> None:
    """Remove the old file before a new one is written.

    An earlier step, start of the container or attempt may have left it, and it may be read-only.
    """
    if os.path.isfile(path) or os.path.islink(path):
        os.remove(path)


def copy_from_store(step: Document, root: str) -> None:
    """Copy files and folders of a store.

    A missing path is an error: a run that lacks its data must not start silently.
    """
    source, target = root + step["source"], root + step["target"]
    for kind in ("files", "dirs", "paths"):
        for from_path, to_path in step[kind]:
            found = _find(step["store"], source, from_path, kind)
            try:
                _copy(found, os.path.join(target, to_path) if to_path else target)
            except OSError as error:
                what = f"{from_path or 'everything'!r} of the store {step['store']!r}"
                raise InitError(f"could not copy {what}: {describe(error, root)}") from error


def _find(store: str, source: str, path: str, kind: str) -> str:
    found = os.path.realpath(os.path.join(source, path))
    if found != os.path.realpath(source) and not found.startswith(
        os.path.realpath(source) + os.sep
    ):
        raise InitError(f"the store {store!r}: {path!r} leads out of it")
    if not os.path.exists(found):
        raise InitError(f"the store {store!r} has no {path!r}{_offer(source, path)}")
    if kind == "files" and os.path.isdir(found):
        raise InitError(
            f"the store {store!r}: {path!r} is a folder, expected a file; ask for it under dirs"
        )
    if kind == "dirs" and not os.path.isdir(found):
        raise InitError(
            f"the store {store!r}: {path!r} is a file, expected a folder; ask for it under files"
        )
    return found


def _offer(source: str, path: str) -> str:
    """List what is in the folder of the missing path, if that folder exists."""
    folder = os.path.dirname(path)
    try:
        names = sorted(os.listdir(os.path.join(source, folder)))
    except OSError:
        return f" (there is no folder {folder!r} either)" if folder else ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f" (there is: {shown})" if names else " (that folder is empty)"


def _copy(source: str, target: str) -> None:
    if not os.path.isdir(source):
        os.makedirs(os.path.dirname(target), mode=0o777, exist_ok=True)
        _copy_file(source, target)
        return
    for folder, folders, files in os.walk(source, onerror=_fail):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        # Do not copy the folder's times and mode: this user may not own the root of a volume.
        os.makedirs(place, mode=0o777, exist_ok=True)
        for name in (*folders, *files):
            found, copy = os.path.join(folder, name), os.path.join(place, name)
            if os.path.islink(found):
                # Keep links as links, as `cp -R` does, so that a data set that links within itself
                # keeps its shape.
                _remove(copy)
                os.symlink(os.readlink(found), copy)
            elif name in files:
                _copy_file(found, copy)


def _fail(error: OSError) -> None:
    raise error


def _copy_file(source: str, target: str) -> None:
    _remove(target)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
    _open_up(target)


def _open_up(path: str) -> None:
    """Let every user write the file, because main may run as another user and must be able to."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    wanted = mode | (0o777 if mode & 0o100 else 0o666)
    if wanted != mode:
        os.chmod(path, wanted)
