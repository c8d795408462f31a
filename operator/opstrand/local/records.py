"""The folder that all local processes share: a folder for each run, with its Operation, its plan,
its logs and its files.

Owns that layout, how several processes read and write a run at once, and how many are kept. A
rename replaces a run as a whole, so a crash at any moment leaves every run readable. Must not know
what a run is beyond its name, its project, its version, and whether it has ended.

    FOLDER/.changes                 grows by a byte with every write, for `runs.Watch`
    FOLDER/PROJECT/NAME/run.json    the Operation; a run exists as long as this does
                        .lock       locked while run.json is written
                        .claim      locked by the process that executes the run, while it lives
                        plan.json   the plan of its newest attempt
                        logs/N      the output of attempt N
                        files/      the root that the program sees
    FOLDER/PROJECT/.store/UUID      the run's artifacts, in place of a cluster's artifacts store
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from opstrand.artifacts.folder import RunFiles
from opstrand.core.identity import LOCAL_FILES
from opstrand.core.names import maker_uid, run_uuid
from opstrand.core.normalize import as_stored
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.types import Body, Key, Manifest, key_of

#: The number of runs kept in a project, so that refs can name them; the oldest that have ended are
#: removed first.
KEPT_RUNS = 200
_RUN, _LOCK, _PLAN, _LOGS, _STORE, _CHANGES = (
    "run.json",
    ".lock",
    "plan.json",
    "logs",
    ".store",
    ".changes",
)
#: The tries to open the lock of a run after another process removed that run.
_TRIES = 100


class RunGone(LookupError):
    """There is no run of this name, or it was removed."""


class RunExists(Exception):
    """A run of this name exists already, or another process is about to create one."""


def default_folder() -> Path:
    """Return the folder of local runs: $OPSTRAND_LOCAL, else one in the user's data folder.

    The path is absolute, because programs run in folders of their own.
    """
    if given := os.environ.get("OPSTRAND_LOCAL"):
        return _check_name(Path(given).absolute())
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    if base.startswith("~"):
        raise FileNotFoundError(
            "this user has no home: name a folder for local runs by OPSTRAND_LOCAL"
        )
    return _check_name(Path(base).absolute() / "opstrand" / "runs")


def _check_name(folder: Path) -> Path:
    """Return the folder, whose path becomes text in runs. Raises OSError if it is not UTF-8."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        found = os.fsencode(folder)
        raise OSError(
            f"expected a folder for local runs with a name in UTF-8, found {found!r}; name another "
            "by OPSTRAND_LOCAL"
        ) from None
    return folder


class Records:
    """The runs under one folder.

    Every method may block for as long as another process writes the same run.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def files_of(self, project: str, name: str) -> Path:
        """Return the folder that the run sees as its root."""
        return self.folder_of((project, name)) / LOCAL_FILES

    def log_of(self, key: Key, attempt: int) -> Path:
        return self.folder_of(key) / _LOGS / str(attempt)

    def store_of(self, project: str) -> Path:
        """Return the folder that holds the artifacts of each run of a project by its uuid."""
        return self.folder / project / _STORE

    def folder_of(self, key: Key) -> Path:
        return self.folder / key[0] / key[1]

    @property
    def changes(self) -> Path:
        """The file that grows with every write."""
        return self.folder / _CHANGES

    def projects(self) -> list[str]:
        """List every project that has a run."""
        return sorted({key[0] for key in self.list_keys()})

    def list_keys(self) -> Iterator[Key]:
        """Yield the key of every run that exists."""
        for project in _list_folders(self.folder):
            for name in _list_folders(self.folder / project):
                if (self.folder / project / name / _RUN).exists():
                    yield project, name

    def read(self, key: Key) -> Manifest:
        """Read the run. Raises RunGone if there is none, or if the file holds another run."""
        try:
            body = json.loads(self.run_file(key).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunGone("/".join(key)) from error
        metadata = body.get("metadata") if isinstance(body, dict) else None
        if (
            not isinstance(metadata, dict)
            or (metadata.get("namespace"), metadata.get("name")) != key
            or not metadata.get("uid")
        ):
            raise RunGone("/".join(key))
        return dict(body)

    def _find(self, key: Key) -> Manifest | None:
        try:
            return self.read(key)
        except RunGone:
            return None

    def run_file(self, key: Key) -> Path:
        return self.folder_of(key) / _RUN

    def load(self, project: str | None = None) -> Iterator[Manifest]:
        """Yield every run. One that cannot be read is skipped: it is not ours."""
        for key in self.list_keys():
            if project in (None, key[0]):
                with suppress(RunGone):
                    yield self.read(key)

    def create(
        self,
        body: Mapping[str, Any],
        *,
        claim: Callable[[Key], bool],
        is_void: Callable[[Manifest], bool],
    ) -> Manifest:
        """Store a new run, once `claim` has claimed it for this process.

        Raises RunExists if the name is taken; a run for which `is_void` is true is replaced.
        """
        key = key_of(body)
        # Only the user may read the folder, because it holds a token.
        with self._locked(key, make=True):
            known = self._find(key)
            if (known is not None and not is_void(known)) or not claim(key):
                raise RunExists("/".join(key))
            if known is not None:
                self._remove_parts(key, known, keep=(_LOCK, ".claim"))
            metadata = {**body["metadata"], "generation": 1}
            return self._write(key, {**body, "metadata": metadata}, 0)

    def change(self, key: Key, change: Callable[[Manifest], Mapping[str, Any]]) -> Manifest:
        """Replace the run by the result of `change`, with no other write in between.

        `change` is called under the lock of the run: it must neither wait nor write another run. If
        it raises, the run stays as it was. Raises RunGone if there is none.
        """
        with self._locked(key):
            body = self.read(key)
            changed = {**change(body)}
            metadata = body["metadata"]
            generation = int(metadata.get("generation") or 1) + (
                changed.get("spec") != body.get("spec")
            )
            changed["metadata"] = {**changed["metadata"], "generation": generation}
            return self._write(key, changed, int(metadata.get("resourceVersion") or 0))

    def _write(self, key: Key, body: Manifest, version: int) -> Manifest:
        # Larger than any version before, also of an earlier run of this name, because versions of
        # one name are compared.
        metadata = {
            **body["metadata"],
            "resourceVersion": str(max(version + 1, time.time_ns() // 1000)),
        }
        # Plain JSON only, as a cluster would return it.
        stored: Manifest = as_stored(json.loads(json.dumps({**body, "metadata": metadata})))
        part = self.folder_of(key) / f".{_RUN}.part"
        part.write_text(
            json.dumps(stored, ensure_ascii=False), encoding="utf-8", errors="backslashreplace"
        )
        part.rename(self.run_file(key))
        self._announce()
        return stored

    def _announce(self) -> None:
        # Use a size rather than a time, because two writes may have the same time.
        with self.changes.open("ab") as file:
            file.write(b".")

    def remove(self, key: Key, uid: str | None = None) -> None:
        """Remove the run and all that it left. Does nothing if it is gone or has another uid."""
        with suppress(RunGone), self._locked(key):
            body = self.read(key)
            if uid in (None, body["metadata"]["uid"]):
                self._remove_parts(key, body)
                self._announce()

    def _remove_parts(self, key: Key, body: Manifest, *, keep: tuple[str, ...] = ()) -> None:
        """Remove run.json first: then the run is gone even if this process dies here."""
        folder = self.folder_of(key)
        self.run_file(key).unlink(missing_ok=True)
        RunFiles.at(self.store_of(key[0]) / run_uuid(body["metadata"]["uid"])).delete_all()
        for part in folder.iterdir():
            if part.name in keep:
                continue
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
        if not keep:
            with suppress(OSError):
                folder.rmdir()

    @contextmanager
    def _locked(self, key: Key, *, make: bool = False) -> Iterator[None]:
        """Hold the lock of a run.

        The lock's file may be removed with its run while this process waits for it. Such a lock
        protects nothing, so try again.
        """
        path = self.folder_of(key) / _LOCK
        for _ in range(_TRIES):
            file = _open_lock(path, make=make)
            try:
                if _lock(file) and not _is_same(file, path):
                    continue
                yield
                return
            finally:
                os.close(file)
        raise RunGone("/".join(key))

    def save_plan(self, key: Key, plan: bytes) -> None:
        """Store the plan of an attempt. Does nothing if the run was removed."""
        with suppress(FileNotFoundError):
            (self.folder_of(key) / _PLAN).write_bytes(plan)

    def prune(self, project: str) -> None:
        """Remove the oldest ended runs until at most KEPT_RUNS ended ones are left.

        The runs of a pipeline go with it.
        """
        bodies = list(self.load(project))
        known = {body["metadata"]["uid"] for body in bodies}
        ended = [
            body
            for body in bodies
            if parse_phase(read_status(body)).is_final and maker_uid(body) not in known
        ]
        ended.sort(key=lambda body: str(read_status(body).get("finishedAt") or ""))
        for body in ended[:-KEPT_RUNS]:
            self.remove_tree(body, bodies)

    def remove_tree(self, body: Body, bodies: Iterable[Body] | None = None) -> None:
        """Remove a run and the runs that it made, as a cluster's garbage collector does.

        `bodies`: the runs of its project, if they are known.
        """
        others = list(self.load(key_of(body)[0]) if bodies is None else bodies)
        self.remove(key_of(body), body["metadata"]["uid"])
        for one in others:
            if maker_uid(one) == body["metadata"]["uid"]:
                self.remove_tree(one, others)


def _list_folders(folder: Path) -> list[str]:
    try:
        return sorted(
            entry.name
            for entry in os.scandir(folder)
            if entry.is_dir() and not entry.name.startswith(".")
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _refuse_folder("read", folder, error) from error


def _refuse_folder(verb: str, folder: Path, error: OSError) -> OSError:
    return OSError(
        f"the folder for local runs cannot be {verb}: {folder}: {error.strerror}; name a folder "
        "that you may write by OPSTRAND_LOCAL"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _refuse_folder("made", folder, error) from error


def _open_lock(path: Path, *, make: bool) -> int:
    if make:
        _make_folder(path.parent)
    try:
        return os.open(
            path, os.O_RDWR | (os.O_CREAT if make or path.with_name(_RUN).exists() else 0), 0o600
        )
    except FileNotFoundError:
        if make:
            # The folder was removed between the two calls, so the next call creates it again.
            return _open_lock(path, make=True)
        raise RunGone(str(path.parent)) from None


def _lock(file: int) -> bool:
    """Wait for the lock.

    Returns False on a file system without locks, where two processes may write at once.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
