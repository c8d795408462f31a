"""The files of one run in a folder: which there are, how they are replaced and deleted.

A file appears whole or not at all, and nothing here follows a link. Owns the layout
(`artifacts/NAMESPACE-UID/RUN-UUID/PATH`; beside it `incoming/` for what is being received, and
`earlier/` for what earlier attempts wrote to a series).
Must not know HTTP. All methods block.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opstrand.artifacts.attempts import is_series, set_aside
from opstrand.artifacts.names import BadPath, MissingFile, check_file, check_path
from opstrand.artifacts.stored_object import StoredObject


@dataclass(frozen=True)
class Tree:
    """What is directly in a folder: the sizes of its files in bytes, and the names of folders."""

    files: dict[str, int] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


class RunFiles:
    """The files of one run, in a folder; `bucket_files` has them in a bucket.

    `base` is the folder of all files, `project_uid` the uid of the run's namespace, `uuid` the
    run's.
    """

    #: Files that are kept at the same time, of many that arrived together.
    at_a_time = 1
    #: When attempts began that may continue the series of an earlier one.
    restarts: tuple[str, ...] = ()

    def __init__(self, base: Path, project_uid: str, uuid: str) -> None:
        if not project_uid or any(
            "/" in part or part.startswith(".") for part in (project_uid, uuid)
        ):
            raise BadPath(f"no folder is named by {project_uid!r} and {uuid!r}")
        self.folder = base / "artifacts" / project_uid / uuid
        self.incoming = base / "incoming" / project_uid / uuid
        self.earlier = base / "earlier" / project_uid / uuid

    @classmethod
    def at(cls, folder: Path) -> RunFiles:
        """The files of a run that is in this folder, as that of a local run.

        What is being received, and what earlier attempts wrote, are beside it.
        """
        files = cls.__new__(cls)
        files.folder = folder
        files.incoming = folder.with_name(f".incoming-{folder.name}")
        files.earlier = folder.with_name(f".incoming-{folder.name}-earlier")
        return files

    def exists(self) -> bool:
        return self.folder.is_dir()

    def find_file(self, path: str) -> Path:
        """Return where a file is. Raises BadPath and MissingFile."""
        place = self._find(check_file(path))
        if not stat.S_ISREG(place.lstat().st_mode):
            raise MissingFile(f"{path!r} is a folder; ask for its archive or its tree")
        return place

    def find_stored(self, path: str) -> Path | StoredObject:
        """Return a file, wherever it is. Raises BadPath and MissingFile."""
        return self.find_file(path)

    def check_folder(self, path: str) -> None:
        """Raise MissingFile where there is no folder of this path."""
        self.find_folder(path)

    def find_folder(self, path: str) -> Path:
        """Return where a folder is; empty means the run's own. Raises BadPath and MissingFile."""
        place = self._find(check_path(path))
        if not stat.S_ISDIR(place.lstat().st_mode):
            raise MissingFile(f"{path!r} is a file, not a folder")
        return place

    def is_file(self, path: str) -> bool:
        """Whether the path is that of a file. Raises BadPath and MissingFile."""
        return stat.S_ISREG(self._find(check_path(path)).lstat().st_mode)

    def _find(self, path: str) -> Path:
        place, missing = self.folder, "the run has no files"
        try:
            place.lstat()
            for name in path.split("/") if path else ():
                place, missing = place / name, f"the run has no {path!r} among its files"
                if stat.S_ISLNK(place.lstat().st_mode):
                    # It may lead out of the folder.
                    raise MissingFile(missing)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(missing) from None
        return place

    def list_tree(self, path: str) -> Tree:
        """List what is directly in a folder. The folder of a run without files is empty."""
        if not check_path(path) and not self.exists():
            return Tree()
        files, folders = {}, []
        with os.scandir(self.find_folder(path)) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files[entry.name] = entry.stat(follow_symlinks=False).st_size
        return Tree(files, folders)

    def walk(self, path: str) -> Iterator[tuple[str, Path | StoredObject]]:
        """Yield every file below a folder: its path in that folder, and where it is."""
        base = self.find_folder(path)
        for folder, folders, names in os.walk(base):
            folders.sort()
            for name in sorted(names):
                place = Path(folder, name)
                if stat.S_ISREG(place.lstat().st_mode):
                    yield str(place.relative_to(base)), place

    def keep(self, received: Path, path: str) -> None:
        """Make a received file the one of this path. Raises BadPath where a folder is there."""
        place = self.folder / check_file(path)
        try:
            self._make_folders(place.parent)
            if is_series(path):
                set_aside(place, received, self.earlier / path)
            os.replace(received, place)
        except (NotADirectoryError, FileExistsError):
            raise BadPath(f"path: a folder above {path!r} is a file of the run") from None
        except IsADirectoryError:
            raise BadPath(f"path: {path!r} is a folder of the run") from None

    def _make_folders(self, folder: Path) -> None:
        """Make a folder of the run. Raises NotADirectoryError where a link or file is above it."""
        if folder != self.folder:
            self._make_folders(folder.parent)
        folder.mkdir(parents=folder == self.folder, exist_ok=True)
        if folder != self.folder and folder.is_symlink():
            raise NotADirectoryError

    def sync(self) -> None:
        """Put on the disk what was kept."""
        import ctypes

        file = os.open(self.folder, os.O_RDONLY)
        try:
            # `os.sync` would wait for every file system of the node.
            if ctypes.CDLL(None).syncfs(file):
                os.sync()
        finally:
            os.close(file)

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it. Raises BadPath and MissingFile."""
        place = self._find(check_path(path))
        if stat.S_ISDIR(place.lstat().st_mode):
            shutil.rmtree(place)
            shutil.rmtree(self.earlier / path, ignore_errors=True)
        else:
            place.unlink()
            (self.earlier / path).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Delete every file of the run, and what is being received."""
        for folder in (self.folder, self.incoming, self.earlier):
            shutil.rmtree(folder, ignore_errors=True)
