"""A file that arrives in parts: it goes on where it stopped, or is forgotten after a day."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.receiving import Announced, Mismatch, Receiver, Scratch, forget_stale

DATA = bytes(range(200)) * 10


def receiver(base: Path, data: bytes = DATA) -> Receiver:
    announced = Announced("outputs/a", len(data), hashlib.sha256(data).hexdigest())
    return Receiver(RunFiles(base, "uid", "0" * 32), announced)


def test_another_process_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    first = receiver(tmp_path)
    first.append(DATA[:700])
    assert not first.finish()
    second = receiver(tmp_path)
    second.append(DATA[second.find_offset() :])
    assert second.finish()
    assert RunFiles(tmp_path, "uid", "0" * 32).find_file("outputs/a").read_bytes() == DATA
    assert list((tmp_path / "incoming").glob("*/*/*")) == []


def test_other_bytes_of_the_same_length_are_not_kept(tmp_path: Path) -> None:
    one = receiver(tmp_path)
    one.append(DATA[::-1])
    with pytest.raises(Mismatch, match="changed while it was sent"):
        one.finish()
    assert not RunFiles(tmp_path, "uid", "0" * 32).exists()
    assert one.find_offset() == 0


def test_a_folder_that_others_remove_while_it_is_empty_is_made_again(tmp_path: Path) -> None:
    """As `opstrand artifacts put --local` does, which stores several files at a time."""
    files, done = RunFiles(tmp_path, "uid", "0" * 32), threading.Event()

    def remove() -> None:
        while not done.is_set():
            with suppress(OSError):
                files.incoming.rmdir()
            time.sleep(0.0001)

    other = threading.Thread(target=remove)
    other.start()
    try:
        for _ in range(300):
            one = receiver(tmp_path)
            one.append(DATA)
            assert one.finish()
            with Scratch(files) as scratch:
                scratch.close(is_synced=False)
    finally:
        done.set()
        other.join()


def test_what_has_not_grown_for_a_day_is_forgotten(tmp_path: Path) -> None:
    old, new = receiver(tmp_path), receiver(tmp_path, DATA * 2)
    for one in (old, new):
        one.append(b"x")
    now = time.time()
    os.utime(old.place, (now, now - 25 * 3600))
    forget_stale(tmp_path, now)
    assert (old.find_offset(), new.find_offset()) == (0, 1)
    forget_stale(tmp_path / "nowhere", now)


def test_the_empty_folders_of_runs_are_deleted(tmp_path: Path) -> None:
    old, new = (
        receiver(tmp_path),
        Receiver(RunFiles(tmp_path, "uid", "1" * 32), Announced("b", 9, "0" * 64)),
    )
    for one in (old, new):
        one.append(b"x")
    now = time.time()
    os.utime(old.place, (now, now - 25 * 3600))
    forget_stale(tmp_path, now)
    assert not old.place.parent.exists()
    assert new.find_offset() == 1
    # A client that goes on finds its folder made again.
    old.append(DATA)
    assert old.finish()
