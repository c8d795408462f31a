"""The folder of local runs under several writers: nothing is lost, and every reader reads a whole
run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstrand.core.phase import parse_phase
from opstrand.kube.resources import OPERATIONS
from opstrand.local.cache import NamedCache
from opstrand.local.claims import Claims
from opstrand.local.log_files import LogReader, LogWriter
from opstrand.local.lost import end_lost_runs, is_lost
from opstrand.local.named import find_newest
from opstrand.local.records import KEPT_RUNS, Records, RunExists, RunGone

KEY = ("p", "a")


def body(name: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "kind": "Operation",
        "metadata": {"namespace": "p", "name": name, "uid": f"uid-{name}"},
        "spec": {},
        **more,
    }


def never(_: object) -> bool:
    return False


def create(records: Records, claims: Claims, name: str = "a", **more: Any) -> dict[str, Any]:
    return records.create(body(name, **more), claim=claims.claim, is_void=never)


#: Increases a shared counter and adds its own keys, in competition with other processes.
WRITER = """
import sys
from pathlib import Path
from opstrand.local.records import Records
folder, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
records = Records(Path(folder))
for number in range(times):
    def add(body):
        status = body.get("status") or {}
        return {**body, "status": {**status, "count": status.get("count", 0) + 1, f"{name}-{number}": number}}
    records.change(("p", "a"), add)
"""


def begin_writer(folder: Path, name: str, times: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name, str(times)])


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shares=st.lists(st.integers(1, 30), min_size=2, max_size=3))
def test_no_update_of_several_processes_is_lost(
    tmp_path_factory: pytest.TempPathFactory, shares: list[int]
) -> None:
    records = Records(tmp_path_factory.mktemp("runs"))
    claims = Claims(records)
    create(records, claims)
    writers = [
        begin_writer(records.folder, f"w{index}", times) for index, times in enumerate(shares)
    ]
    versions = []
    while any(writer.poll() is None for writer in writers):
        versions.append(int(records.read(KEY)["metadata"]["resourceVersion"]))
    assert [writer.returncode for writer in writers] == [0] * len(shares)
    assert versions == sorted(versions)
    status = records.read(KEY)["status"]
    assert status.pop("count") == sum(shares)
    assert status == {
        f"w{index}-{number}": number
        for index, times in enumerate(shares)
        for number in range(times)
    }


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05])
def test_a_writer_that_is_killed_at_any_moment_leaves_a_run_that_can_be_read_and_written(
    tmp_path: Path, moment: float
) -> None:
    records = Records(tmp_path)
    create(records, Claims(records))
    writer = begin_writer(tmp_path, "w", 1_000_000)
    while "count" not in (records.read(KEY).get("status") or {}):
        time.sleep(0.005)
    time.sleep(moment)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = records.read(KEY)["status"]
    assert before["count"] == len(before) - 1
    after = records.change(KEY, lambda now: {**now, "status": {**now["status"], "mine": 1}})
    assert after["status"] == {**before, "mine": 1}


def test_a_name_is_had_once(tmp_path: Path) -> None:
    records = Records(tmp_path)
    first, second = Claims(records), Claims(Records(tmp_path))
    create(records, first)
    with pytest.raises(RunExists):
        create(records, second)
    with pytest.raises(RunExists):
        create(records, first)
    first.close()
    with pytest.raises(RunExists):
        create(records, second)
    records.remove(KEY)
    newer = create(records, second)
    assert newer["metadata"]["generation"] == 1


#: Waits for a file, so that several start at once, and holds its claim until its input ends.
CREATOR = """
import os, sys, time
from pathlib import Path
from opstrand.local.claims import Claims
from opstrand.local.records import Records, RunExists
records = Records(Path(sys.argv[1]))
claims = Claims(records)
body = {"metadata": {"namespace": "p", "name": "a", "uid": "uid"}, "spec": {}}
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    pass
try:
    records.create(body, claim=claims.claim, is_void=lambda known: False)
    print("made", flush=True)
except RunExists:
    print("taken", flush=True)
sys.stdin.read()
"""


def test_of_many_that_create_a_name_at_once_one_has_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    command = [sys.executable, "-c", CREATOR, str(tmp_path / "runs"), str(gate)]
    creators = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for creator in creators:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "ready\n"
    gate.touch()
    told = sorted(creator.stdout.readline().strip() for creator in creators if creator.stdout)
    for creator in creators:
        creator.communicate(timeout=60)
    assert told == ["made", "taken", "taken"]


def test_the_generation_counts_changes_of_the_spec_alone(tmp_path: Path) -> None:
    records = Records(tmp_path)
    created = create(records, Claims(records))
    reported = records.change(KEY, lambda now: {**now, "status": {"phase": "Running"}})
    stopped = records.change(KEY, lambda now: {**now, "spec": {"control": {"stop": True}}})
    generations = [one["metadata"]["generation"] for one in (created, reported, stopped)]
    versions = [int(one["metadata"]["resourceVersion"]) for one in (created, reported, stopped)]
    assert generations == [1, 1, 2]
    assert versions == sorted(set(versions))


def test_a_change_that_fails_changes_nothing_and_holds_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path)
    create(records, Claims(records))

    def fail(_: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        records.change(KEY, fail)
    assert records.change(KEY, lambda now: now)["spec"] == {}
    with pytest.raises(RunGone):
        records.change(("p", "other"), lambda now: now)
    assert not (tmp_path / "p" / "other").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"metadata": {}}',
        '{"metadata": {"name": "b", "namespace": "p", "uid": "x"}}',
    ],
)
def test_what_is_no_run_of_ours_is_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / "run.json").write_text(content)
    assert list(Records(tmp_path).load()) == []


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    records = Records(tmp_path)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom opstrand.local.records import "
        "Records\nfrom opstrand.local.claims import Claims\n"
        "records = Records(Path(sys.argv[1])); claims = Claims(records)\n"
        "body = {'metadata': {'namespace': 'p', 'name': 'a', 'uid': 'x'}, 'spec': {}}\n"
        "records.create(body, claim=claims.claim, is_void=lambda known: False)\nprint('ready', "
        "flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    here = Claims(records)
    assert here.is_claimed(KEY)
    end_lost_runs(records, here, records.load())
    assert "status" not in records.read(KEY)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not here.is_claimed(KEY)
    end_lost_runs(records, here, records.load())
    lost = records.read(KEY)
    assert (parse_phase(lost["status"]).value, is_lost(lost)) == ("Failed", True)


def test_the_oldest_that_have_ended_go_first_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opstrand.local.records.KEPT_RUNS", 2)
    assert KEPT_RUNS > 2
    records = Records(tmp_path)
    claims = Claims(records)
    for number in range(4):
        create(
            records,
            claims,
            f"r{number}",
            status={"phase": "Succeeded", "finishedAt": f"2026-01-0{number + 1}T00:00:00Z"},
        )
    create(records, claims, "open")
    records.prune("p")
    assert [one["metadata"]["name"] for one in records.load("p")] == ["open", "r2", "r3"]


@given(
    st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")), max_size=8),
    st.booleans(),
)
def test_a_log_keeps_the_program_s_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], whole: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "logs" / "0"
    written = [line + b"\n" for line in lines]
    if written and not whole:
        written[-1] = written[-1].removesuffix(b"\n")
    writer, reader, read = LogWriter(path), LogReader(path), []
    for line in written:
        writer.write(line)
        read += list(reader.read())
    writer.close()
    assert [line.raw for line in read] == written
    assert [line.raw for line in LogReader(path).read()] == written
    assert sorted(line.at for line in read) == [line.at for line in read]


def test_half_a_line_is_left_for_the_next_reading(tmp_path: Path) -> None:
    path = tmp_path / "0"
    path.write_bytes(b"2026-01-01T00:00:00.000000000Z F one\n2026-01-01T00:00:01.000000000Z F tw")
    reader = LogReader(path)
    assert [line.text for line in reader.read()] == ["one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert [line.text for line in reader.read()] == ["two"]
    assert list(LogReader(tmp_path / "nothing").read()) == []


def named(object_name: str, created: str, **spec: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "p",
        "name": object_name,
        "uid": object_name,
        "creationTimestamp": created,
        "resourceVersion": "1",
    }
    return {"metadata": metadata, "spec": spec}


def test_a_name_means_an_object_and_else_the_newest_run_whose_file_has_it() -> None:
    cache = NamedCache()
    bodies = [
        named("up-1", "2026-01-02T00:00:00Z", component={"name": "up"}),
        named("up-2", "2026-01-01T00:00:00Z", name="up"),
        named("exact", "2026-01-03T00:00:00Z", name="other", component={"name": "up"}),
    ]
    for one in bodies:
        cache.put(OPERATIONS, one)
    ended = {
        **bodies[0],
        "metadata": {**bodies[0]["metadata"], "resourceVersion": "2"},
        "status": {"phase": "Succeeded"},
    }
    cache.put(OPERATIONS, ended)
    assert (found := cache.find_named("p", "up")) is not None
    assert found["metadata"]["name"] == "up-1"
    assert (found := cache.find_named("p", "exact")) is not None
    assert found["metadata"]["name"] == "exact"
    assert cache.find_named("q", "up") is None
    assert find_newest("nobody", bodies) is None
    assert json.dumps(bodies[1]) == json.dumps(find_newest("up", bodies[1:]))
