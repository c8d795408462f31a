"""The files of one run in a bucket.

Series, to which the API adds what earlier attempts wrote, stay in the folder of the run, and so do
files that were there before the bucket. Owns the keys (`NAMESPACE-UID/RUN-UUID/PATH`), and that a
path is never a file in the one and a folder in the other. Must not know HTTP. All methods block.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from opstrand.artifacts.attempts import is_series
from opstrand.artifacts.bucket import READ, Bucket, MissingObject, Object
from opstrand.artifacts.folder import RunFiles, Tree
from opstrand.artifacts.names import BadPath, MissingFile, check_file, check_path
from opstrand.artifacts.stored_object import StoredObject

#: Objects that are deleted together.
_TOGETHER = 1000


class BucketObject:
    """A file of a run that is in the bucket."""

    def __init__(self, bucket: Bucket, found: Object) -> None:
        self._bucket, self._found = bucket, found
        self.name = found.key.rpartition("/")[2]
        self.size, self.tag, self.modified = found.size, found.tag, found.modified

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`. Raises MissingFile if it is another by now."""
        try:
            return self._bucket.read(self._found, start, end)
        except MissingObject:
            raise MissingFile(f"{self.name!r} changed while it was read") from None

    def open(self) -> io.BufferedReader:
        """The content as a file, of which a block at a time is in memory."""
        return io.BufferedReader(_Reader(self), READ)


class _Reader(io.RawIOBase):
    def __init__(self, stored: BucketObject) -> None:
        self._stored, self._at = stored, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._stored.size)
        if end <= self._at:
            return 0
        data = self._stored.read(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class BucketFiles(RunFiles):
    """The files of one run: in a bucket, and for series in a folder."""

    #: Files that are kept at the same time: each costs the time of a few requests.
    at_a_time = 16

    def __init__(self, base: Path, project_uid: str, uuid: str, bucket: Bucket) -> None:
        super().__init__(base, project_uid, uuid)
        self._bucket, self._root = bucket, f"{project_uid}/{uuid}"
        self._folders: set[str] = set()

    def exists(self) -> bool:
        return super().exists() or self._bucket.has_any(self._root)

    def find_stored(self, path: str) -> Path | StoredObject:
        try:
            return super().find_stored(path)
        except MissingFile:
            found = self._bucket.find(self._key(check_file(path)))
            if found is not None:
                return BucketObject(self._bucket, found)
            if self._bucket.has_any(self._key(path)):
                raise MissingFile(
                    f"{path!r} is a folder; ask for its archive or its tree"
                ) from None
            raise _missing(path) from None

    def check_folder(self, path: str) -> None:
        try:
            super().check_folder(path)
        except MissingFile:
            path = check_path(path)
            if self._bucket.has_any(self._key(path)):
                return
            if path and self._bucket.find(self._key(path)):
                raise MissingFile(f"{path!r} is a file, not a folder") from None
            raise _missing(path) from None

    def is_file(self, path: str) -> bool:
        try:
            return super().is_file(path)
        except MissingFile:
            if path and self._bucket.find(self._key(check_path(path))):
                return True
            if self._bucket.has_any(self._key(check_path(path))):
                return False
            raise _missing(path) from None

    def list_tree(self, path: str) -> Tree:
        path = check_path(path)
        if path:
            self.check_folder(path)
        here = super().list_tree(path) if self._is_here(path) else Tree()
        objects, prefixes = self._bucket.list_folder(self._key(path))
        files = {one.key.rpartition("/")[2]: one.size for one in objects} | here.files
        folders = {one.rstrip("/").rpartition("/")[2] for one in prefixes} | {*here.folders}
        return Tree(dict(sorted(files.items())), sorted(folders))

    def walk(self, path: str) -> Iterator[tuple[str, Path | StoredObject]]:
        self.check_folder(path)
        path, seen = check_path(path), set[str]()
        if self._is_here(path):
            for name, place in super().walk(path):
                seen.add(name)
                yield name, place
        start = len(self._key(path)) + 1
        for found in self._bucket.walk(self._key(path)):
            if found.key[start:] not in seen:
                yield found.key[start:], BucketObject(self._bucket, found)

    def keep(self, received: Path, path: str) -> None:
        if is_series(check_file(path)):
            super().keep(received, path)
            return
        self._check_place(path)
        self._bucket.write(self._key(path), received)
        received.unlink(missing_ok=True)
        # Of the time before the bucket.
        (self.folder / path).unlink(missing_ok=True)

    def _check_place(self, path: str) -> None:
        """Raises BadPath where a folder is in the file's place, or a file in that of a folder."""
        if self._bucket.has_any(self._key(path)) or (self.folder / path).is_dir():
            raise BadPath(f"path: {path!r} is a folder of the run")
        above = path.rpartition("/")[0]
        while above and above not in self._folders:
            if (self.folder / above).is_file() or self._bucket.find(self._key(above)):
                raise BadPath(f"path: a folder above {path!r} is a file of the run")
            self._folders.add(above)
            above = above.rpartition("/")[0]

    def delete(self, path: str) -> None:
        path = check_path(path)
        # Raises MissingFile for what is in neither.
        is_file = self.is_file(path)
        if self._is_here(path):
            super().delete(path)
        if is_file:
            self._bucket.delete([self._key(path)])
        else:
            self._delete_below(path)

    def delete_all(self) -> None:
        super().delete_all()
        self._delete_below("")

    def _delete_below(self, path: str) -> None:
        keys: list[str] = []
        for found in self._bucket.walk(self._key(path)):
            keys.append(found.key)
            if len(keys) == _TOGETHER:
                self._bucket.delete(keys)
                keys.clear()
        self._bucket.delete(keys)

    def sync(self) -> None:
        if self.folder.is_dir():
            super().sync()

    def _is_here(self, path: str) -> bool:
        """Whether the folder of the run has something of this path."""
        try:
            super().is_file(path)
        except MissingFile:
            return False
        return True

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _missing(path: str) -> MissingFile:
    return MissingFile(
        f"the run has no {path!r} among its files" if path else "the run has no files"
    )
