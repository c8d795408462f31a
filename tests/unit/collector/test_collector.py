"""The collector as a process beside a folder, against the real API: every byte arrives, whatever
happens to the API on the way, and what does not is named.
"""

from __future__ import annotations

import ast
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.loopback_api import LoopbackApi
from tests.support.running_run import UUID, operation
from tests.support.slow_bucket import SlowBucket

from opstrand import collector
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.receiving import Announced, Receiver
from opstrand.runs.memory import MemoryRuns

#: Seconds, for a busy machine.
PATIENCE = 60.0
OPERATOR = Path(collector.__file__).parents[2]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[LoopbackApi]:
    server = LoopbackApi(MemoryRuns(), tmp_path / "store")
    server.do(server.runs.put(operation()))
    server.start()
    yield server
    server.close()


@pytest.fixture
def bucket(api: LoopbackApi) -> Iterator[SlowBucket]:
    """The bucket of the API from now on."""
    api.stop()
    api.bucket = found = SlowBucket()
    api.start()
    yield found
    found.released.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the run's folder in the context root."""
    made = tmp_path / "context" / "artifacts" / UUID
    made.mkdir(parents=True)
    return made


class Collecting:
    """A collector in its own process."""

    def __init__(self, api: LoopbackApi, folder: Path, *, interval: int, seconds: int) -> None:
        environment = {
            **api.environment(UUID, folder.parents[1]),
            "OPSTRAND_COLLECT_INTERVAL": str(interval),
            "OPSTRAND_COLLECT_SECONDS": str(seconds),
            "PYTHONPATH": str(OPERATOR),
            "PATH": os.environ["PATH"],
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "opstrand.collector"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        # It handles the signal once its process has replaced the default.
        wait_until(lambda: _handles_termination(self.process.pid))

    def end(self) -> tuple[int, str]:
        """End it as the kubelet does; return the exit code and what it printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> tuple[int, str]:
        _, printed = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, printed


def _handles_termination(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def collect(api: LoopbackApi, folder: Path) -> Iterator[Callable[..., Collecting]]:
    started: list[Collecting] = []

    def start(*, interval: int = 600, seconds: int = 30) -> Collecting:
        started.append(Collecting(api, folder, interval=interval, seconds=seconds))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def stored(api: LoopbackApi) -> dict[str, bytes]:
    assert api.files is not None
    base = api.files / "artifacts" / "uid-of-quick-start" / UUID
    return {
        str(one.relative_to(base)): one.read_bytes() for one in base.rglob("*") if one.is_file()
    }


Collect = Callable[..., Collecting]
FILES = {
    "outputs/model.bin": bytes(range(251)) * 40_000,
    "outputs/deep/er/ünï çode #1 & 'x'.txt": b"text",
    "-dash": b"1",
    "a..b": b"2",
    "empty": b"",
}


def test_a_program_that_ended_before_the_signal_could_be_noticed_has_its_files_sent(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    write(folder, FILES)
    collecting = collect(interval=1)
    api.do(api.runs.put(operation(phase="Processing")))
    code, printed = collecting.finish()
    assert (code, stored(api)) == (0, FILES), printed


def test_the_signal_is_handled_before_anything_slow_is_imported() -> None:
    """The first process of a container does not notice a signal that it does not handle."""
    main = ast.parse((Path(collector.__file__).parent / "__main__.py").read_text())
    imported = {
        one.module if isinstance(one, ast.ImportFrom) else alias.name
        for one in main.body
        if isinstance(one, (ast.Import, ast.ImportFrom))
        for alias in one.names
    }
    assert imported == {"__future__", "contextlib", "os", "select", "signal", "sys", "time"}


def test_every_file_arrives_at_the_end(api: LoopbackApi, folder: Path, collect: Collect) -> None:
    collecting = collect()
    write(folder, FILES)
    (folder / "latest").symlink_to("outputs/deep/er")
    (folder / "best").symlink_to("a..b")
    assert collecting.end() == (0, "")
    assert stored(api) == {**FILES, "best": b"2"}


def test_many_small_files_arrive_in_few_requests(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    files = {f"outputs/{n % 7}/ünï {n}": b"%d" % n for n in range(1200)}
    write(folder, {**files, **FILES})
    collecting = collect()
    assert collecting.end() == (0, "")
    assert stored(api) == {**files, **FILES}
    assert len(api.requests) < 10


def test_a_folder_in_the_way_of_one_of_many_files_is_named(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    files = {f"f{n}": b"1" for n in range(30)}
    write(folder, files)
    assert api.files is not None
    in_the_way = api.files / "artifacts" / "uid-of-quick-start" / UUID / "f7" / "x"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"earlier")
    code, printed = collect().end()
    assert (code, printed) == (1, "f7: path: 'f7' is a folder of the run\n")
    del files["f7"]
    assert stored(api) == {**files, "f7/x": b"earlier"}


def test_a_folder_without_files_costs_no_request(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    (folder / "outputs").mkdir()
    assert collect().end() == (0, "")
    assert api.requests == []


def test_what_changes_is_sent_while_the_run_lives(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    collecting = collect(interval=1)
    for content in (b"first", b"second and longer"):
        write(folder, {"events/metric/loss.plx": content, "same": b"1"})
        wait_until(lambda expected=content: stored(api).get("events/metric/loss.plx") == expected)
    (folder / "events/metric/loss.plx").unlink()
    os.utime(folder / "same")
    assert collecting.end() == (0, "")
    assert stored(api)["events/metric/loss.plx"] == b"second and longer"
    assert len([one for one in api.requests if one.startswith("PUT")]) == 3


def test_an_api_that_comes_back_in_time_gets_everything(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    api.stop()
    write(folder, FILES)
    collecting = collect(interval=1)
    assert collecting.process.stderr is not None
    assert "the API does not keep files now" in collecting.process.stderr.readline()
    collecting.process.send_signal(signal.SIGTERM)
    api.start()
    assert collecting.finish()[0] == 0
    assert stored(api) == FILES


@pytest.mark.parametrize("size", [1_000, 9_000_000], ids=["small", "in parts"])
def test_a_file_of_which_the_api_has_a_part_is_completed(
    api: LoopbackApi, folder: Path, collect: Collect, size: int
) -> None:
    """A request was cut, or the volume was full for a while."""
    data = bytes(range(250)) * (size // 250)
    write(folder, {"model": data})
    assert api.files is not None
    announced = Announced("model", len(data), hashlib.sha256(data).hexdigest())
    Receiver(RunFiles(api.files, "uid-of-quick-start", UUID), announced).append(data[:700])
    assert collect().end() == (0, "")
    assert stored(api) == {"model": data}


def test_a_file_that_takes_long_to_be_stored_is_sent_once(
    api: LoopbackApi, folder: Path, collect: Collect, bucket: SlowBucket
) -> None:
    """The request that sends it is over before that, and a later one learns that it is stored."""
    write(folder, {"model": b"1" * 1000})
    collecting = collect(seconds=50)
    collecting.process.send_signal(signal.SIGTERM)
    # The first answer is to the second request: that the file is still being stored.
    wait_until(lambda: len(api.requests) > 0)
    assert len(bucket.writes) == 1
    bucket.released.set()
    code, printed = collecting.finish()
    assert code == 0, printed
    assert len(bucket.writes) == 1
    assert [one.size for one in bucket.walk("")] == [1000]


def test_what_an_absent_api_did_not_get_is_named(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    write(folder, {f"outputs/{number}": b"1" for number in range(8)})
    collecting = collect(seconds=2)
    api.stop()
    code, printed = collecting.end()
    api.start()
    assert code == 1
    lines = printed.splitlines()[-6:]
    assert [line.split(":")[0] for line in lines[:5]] == [f"outputs/{n}" for n in range(5)]
    assert lines[5] == "and 3 more files"


def test_a_run_that_is_gone_ends_it_at_once(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    write(folder, {"a": b"1"})
    api.do(api.runs.delete("quick-start", UUID))
    code, printed = collect(seconds=600).end()
    assert (code, printed.splitlines()[-1]) == (1, "a: Not found.")


def test_what_cannot_be_stored_is_named_and_the_rest_is_stored(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    write(folder, {"good": b"1", "new\nline": b"2", "\x1b[31mred": b"3"})
    (folder / "out").symlink_to("/etc/passwd")
    with open(os.fsencode(folder) + b"/\xff", "wb"):
        pass
    os.mkfifo(folder / "pipe")
    code, printed = collect().end()
    assert code == 1
    assert sorted(printed.splitlines()) == sorted(
        [
            "'out' is a link out of the run's folder, and is not collected",
            r"'\udcff': its name is not UTF-8",
            r"'\x1b[31mred': its name has a control character",
            r"'new\nline': its name has a control character",
        ]
    )
    assert stored(api) == {"good": b"1"}


def test_a_file_that_grows_is_stored_as_it_is_at_the_end(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    collecting = collect(interval=1)
    with (folder / "log").open("wb") as file:
        for number in range(200_000):
            file.write(b"%d\n" % number)
            if number % 1000 == 0:
                file.flush()
    assert collecting.end()[0] == 0
    assert stored(api)["log"] == (folder / "log").read_bytes()


def test_the_last_values_of_metrics_become_outputs(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    head = "step|timestamp|metric"
    series = {
        "loss": f"{head}\n1|t|0.5\n2|t|0.25",
        "steps": f"{head}\n|t|3\n",
        "odd": f"{head}\n1|t|nan",
        "none": head,
        "known": f"{head}\n1|t|1",
        "broken": "no series",
    }
    write(folder, {f"events/metric/{name}.plx": text.encode() for name, text in series.items()})
    write(folder, {"events/text/note.plx": b'{"text": "x"}'})
    api.do(api.runs.put(operation(outputs={"known": 1, "acc": 2})))
    assert collect().end() == (0, "")
    outputs = api.do(api.runs.get("quick-start", UUID))["status"]["outputs"]
    assert outputs == {"known": 1, "acc": 2, "loss": 0.25, "steps": 3, "odd": "nan"}
    # What is reported already costs no write.
    assert collect().end() == (0, "")
    assert len([one for one in api.requests if one.startswith("PATCH")]) == 1


@pytest.mark.parametrize(
    "path", sorted(Path(collector.__file__).parent.glob("*.py")), ids=lambda path: path.name
)
def test_the_collector_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.alone
def test_a_hundred_thousand_points_are_stored_in_time(
    api: LoopbackApi, folder: Path, collect: Collect
) -> None:
    """Both the API and the collector count: 100,000 points within 5 s of one processor."""
    points = [f"{step}|2026-01-01 00:00:00.{step:06}+00:00|{step / 7}" for step in range(5000)]
    content = "\n".join(["step|timestamp|metric", *points]).encode()
    write(folder, {f"events/metric/m{number}.plx": content for number in range(20)})
    began = time.process_time() + sum(os.times()[2:4])
    assert collect().end() == (0, "")
    assert time.process_time() + sum(os.times()[2:4]) - began < 5
    assert len(stored(api)) == 20
