"""Steps that write and copy files: `init.file`, a Dockerfile, and what comes from a store's volume.

Owns modes and who may write what they leave: whoever main runs as. Must not reach for a network.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

from opstrand.initializer.failure import InitError
from opstrand.initializer.modes import apply_mode

Document = dict[str, Any]


def make_directory(path: str) -> None:
    try:
        os.makedirs(path, mode=0o777, exist_ok=True)
    except OSError as error:
        raise InitError(f"could not make the folder {path}: {error.strerror}") from error


def write_file(step: Document, root: str) -> None:
    """`init.file`: the content byte for byte, its mode, and a copy among the run's outputs."""
    target = root + step["target"]
    try:
        write(target, step["content"].encode())
        if step.get("chmod"):
            os.chmod(target, apply_mode(str(step["chmod"]), stat.S_IMODE(os.stat(target).st_mode)))
        if step.get("copy"):
            os.makedirs(os.path.dirname(root + step["copy"]), mode=0o777, exist_ok=True)
            shutil.copy(target, root + step["copy"])
    except IsADirectoryError as error:
        raise InitError(f"init file {step['target']}: a folder of that name is there already") from error
    except ValueError as error:
        raise InitError(f"init file {step['target']}: {error}") from error
    except OSError as error:
        raise InitError(f"could not write the init file {step['target']}: {error.strerror}") from error


def write(path: str, content: bytes) -> None:
    """The file with this content and no other; folders above it are made."""
    os.makedirs(os.path.dirname(path), mode=0o777, exist_ok=True)
    if os.path.isfile(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.write(content)


def copy_from_store(step: Document, root: str) -> None:
    """Files and folders of a store. What is not there is an error: a run that misses its data must not start without a word."""
    source, target = root + step["source"], root + step["target"]
    for kind in ("files", "dirs", "paths"):
        for from_path, to_path in step[kind]:
            found = _find(step["store"], source, from_path, kind)
            try:
                _copy(found, os.path.join(target, to_path) if to_path else target)
            except shutil.Error as error:
                problems = ", ".join(str(one[-1]) for one in error.args[0][:3])
                raise InitError(f"could not copy {from_path or 'everything'!r} of the store {step['store']!r}: {problems}") from error
            except OSError as error:
                raise InitError(f"could not copy {from_path!r} of the store {step['store']!r}: {error.strerror or error}") from error


def _find(store: str, source: str, path: str, kind: str) -> str:
    found = os.path.realpath(os.path.join(source, path))
    if found != os.path.realpath(source) and not found.startswith(os.path.realpath(source) + os.sep):
        raise InitError(f"the store {store!r}: {path!r} leads out of it")
    if not os.path.exists(found):
        raise InitError(f"the store {store!r} has no {path!r}{_offer(source, path)}")
    if kind == "files" and os.path.isdir(found):
        raise InitError(f"the store {store!r}: {path!r} is a folder, expected a file; ask for it under dirs")
    if kind == "dirs" and not os.path.isdir(found):
        raise InitError(f"the store {store!r}: {path!r} is a file, expected a folder; ask for it under files")
    return found


def _offer(source: str, path: str) -> str:
    """What there is instead, where the folder above is there."""
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
    # Links stay links, as with `cp -R`: a data set that links within itself keeps its shape.
    shutil.copytree(source, target, symlinks=True, copy_function=_copy_file, dirs_exist_ok=True)
    for folder, _, _ in os.walk(target):
        _open_up(folder)


def _copy_file(source: str, target: str, **_: Any) -> None:
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
    _open_up(target)


def _open_up(path: str) -> None:
    """Main may run as another user than we do: what it was given is its own to change."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    wanted = mode | (0o777 if mode & 0o100 else 0o666)
    if wanted != mode:
        os.chmod(path, wanted)
