"""Series that tracking clients wrote, as the published client reads them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files
from tests.support.running_run import RUN, UUID

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.published import events as published_events
from opstrand.artifacts import events, summaries
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]
STREAM = RUN.replace("/api/v1/", "/streams/v1/quick-start/")
MULTI = STREAM.replace(UUID, "multi") + "/events/metric"
OTHER = "0" * 32
LOSS = "step|timestamp|metric\n1|2026-01-01 00:00:01+00:00|0.5\n2|2026-01-01 00:00:02+00:00|nan"
FILES = {
    "events/metric/loss.plx": LOSS,
    "events/metric/acc.plx": "step|timestamp|metric\n|2026-01-01|1\n|2026-01-02|inf\nbroken",
    "events/text/note.plx": '\n{"timestamp": "t", "step": 1, "text": "a|b\\nc"}\nno json',
    "events/image/cat.plx": 'step|timestamp|image\n0|t|{"path": "assets/image/cat|0.png"}',
    "resources/metric/memory.plx": "step|timestamp|metric\n|t|7",
}


@pytest.fixture
async def api(runs: MemoryRuns, tmp_path: Path) -> AsyncIterator[Api]:
    for path, text in FILES.items():
        place = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    server = TestServer(create_app(runs, StaticToken("secret"), files=keep_files(tmp_path)))
    async with TestClient(server, headers={"Authorization": "Token secret"}) as client:
        yield client


async def read(api: Api, path: str, **query: str) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status == 200, await answer.text()
    return (await answer.json())["data"]


async def test_columns_of_a_metric(api: Api) -> None:
    expected = {
        "step": [1, 2],
        "timestamp": ["2026-01-01 00:00:01+00:00", "2026-01-01 00:00:02+00:00"],
        "metric": [0.5, None],
    }
    found = await read(api, STREAM + "/events/metric", names="loss,nowhere")
    assert found == [{"name": "loss", "kind": "metric", "data": expected}]


async def test_no_name_means_all_of_the_kind(api: Api) -> None:
    acc, loss = await read(api, STREAM + "/events/metric")
    assert (acc["name"], loss["name"]) == ("acc", "loss")
    assert acc["data"]["metric"] == [1, None, None]
    assert acc["data"]["step"] == [None, None, None]
    assert await read(api, STREAM + "/events/video") == []


async def test_the_text_of_the_file(api: Api) -> None:
    (found,) = await read(api, STREAM + "/events/metric", names="loss", orient="csv")
    assert found["data"] == LOSS


async def test_other_kinds(api: Api) -> None:
    (text,) = await read(api, STREAM + "/events/text", names="note")
    assert text["data"] == {"timestamp": ["t"], "step": [1], "text": ["a|b\nc"]}
    (image,) = await read(api, STREAM + "/events/image", names="cat")
    assert image["data"]["image"] == ['{"path": "assets/image/cat|0.png"}']
    (memory,) = await read(api, STREAM + "/resources")
    assert memory["data"]["metric"] == [7]


async def test_the_lineage_table_has_the_series(api: Api, runs: MemoryRuns) -> None:
    await api.post(RUN + "/lineage/artifacts", json=[{"name": "acc", "kind": "file"}])
    answer = await api.get(RUN + "/lineage/artifacts", params={"limit": "100"})
    found = {one["name"]: one for one in (await answer.json())["results"]}
    kinds = {"acc": "file", "loss": "metric", "note": "text", "cat": "image", "memory": "system"}
    assert {name: one["kind"] for name, one in found.items()} == kinds
    assert found["loss"]["summary"]["step"] == {"count": 2, "min": 1, "max": 2}
    assert set(found["loss"]) == {"run", "name", "kind", "path", "summary", "is_input"}
    answer = await api.get(RUN + "/lineage/artifacts", params={"query": "kind: metric"})
    assert [one["name"] for one in (await answer.json())["results"]] == ["loss"]
    answer = await api.get(RUN + "/lineage/artifacts/loss")
    assert (await answer.json())["path"] == "events/metric/loss.plx"
    answer = await api.get(RUN + "/lineage/artifacts/names", params={"limit": "100"})
    assert {one["name"] for one in (await answer.json())["results"]} == set(kinds)


async def test_a_reported_artifact_is_answered_without_reading_a_series(api: Api) -> None:
    await api.post(RUN + "/lineage/artifacts", json=[{"name": "acc", "kind": "file"}])
    before = summaries._summarize.cache_info().misses
    answer = await api.get(RUN + "/lineage/artifacts/acc")
    assert (await answer.json())["kind"] == "file"
    assert summaries._summarize.cache_info().misses == before
    assert (await api.get(RUN + "/lineage/artifacts/none")).status == 404


async def test_of_several_runs(api: Api) -> None:
    found = await read(api, MULTI, runs=f"{UUID},{OTHER}", names="loss")
    assert (found[UUID][0]["name"], found[OTHER]) == ("loss", [])


async def test_what_one_answer_may_have_is_shared_by_its_series_and_runs(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/metric"
    for name in ("a", "b"):
        lines = [f"{step}|t|{step}" for step in range(100)]
        (folder / f"{name}.plx").write_text("\n".join(["step|timestamp|metric", *lines]))

    async def count(runs: str) -> list[int]:
        found = await read(api, MULTI, runs=runs, names="a,b")
        return [len(one["data"]["step"]) for one in found[UUID]]

    assert await count(f"{UUID},{OTHER}") == [100, 100]
    monkeypatch.setattr(events, "_MOST_TOGETHER", 80)
    assert await count(UUID) == [40, 40]
    assert await count(f"{UUID},{OTHER}") == [20, 20]
    monkeypatch.setattr(events, "_MOST_TOGETHER", 500_000)
    monkeypatch.setattr(events, "_MOST_BYTES", 800)
    alone, shared = await count(UUID), await count(f"{UUID},{OTHER}")
    assert alone[0] > shared[0] > 0


async def test_more_series_than_an_answer_has_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_events, "_MOST_SERIES", 3)
    answer = await api.get(MULTI, params={"runs": f"{UUID},{OTHER}"})
    assert answer.status == 400
    assert "expected at most 1 series of each run, found 2" in (await answer.json())["detail"]


async def test_a_long_series_is_thinned_out(api: Api, tmp_path: Path) -> None:
    lines = [f"{step}|t|{step}.5" for step in range(250_000)]
    place = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/metric/long.plx"
    place.write_text("\n".join(["step|timestamp|metric", *lines]))
    (found,) = await read(api, STREAM + "/events/metric", names="long", sample="1000")
    steps = found["data"]["step"]
    assert 990 <= len(steps) <= 1000
    assert (steps[0], steps[-1], steps == sorted(set(steps))) == (0, 249_999, True)
    assert found["data"]["metric"][-1] == 249_999.5
    (found,) = await read(api, STREAM + "/events/metric", names="long", sample="9", orient="csv")
    assert [line.partition("|")[0] for line in found["data"].splitlines()[::9]] == [
        "step",
        "249999",
    ]


async def test_a_later_attempt_replaces_from_its_first_step_on(api: Api, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "uid-of-quick-start", UUID)
    path, received = "events/metric/loss.plx", tmp_path / "received"
    for attempt, steps in ((1, range(5)), (2, range(3, 6)), (2, range(3, 7)), (3, range(5, 6))):
        lines = [f"{step}|2026-01-0{attempt}|{attempt}.0" for step in steps]
        received.write_text("\n".join(["step|timestamp|metric", *lines]))
        if attempt == 1:
            files.delete(path)
        files.keep(received, path)
    (found,) = await read(api, STREAM + "/events/metric", names="loss")
    assert found["data"]["step"] == [0, 1, 2, 3, 4, 5]
    assert found["data"]["metric"] == [1, 1, 1, 2, 2, 3]
    (found,) = await read(api, STREAM + "/events/metric", names="loss", orient="csv", sample="2")
    assert found["data"].splitlines()[1:] == ["0|2026-01-01|1.0", "5|2026-01-03|3.0"]
    files.delete(path)
    assert await read(api, STREAM + "/events/metric", names="loss") == []


async def test_a_resumed_run_replaces_from_its_first_step_on(
    api: Api, runs: MemoryRuns, tmp_path: Path
) -> None:
    """Its folder was restored, so it continues the file."""
    body = runs.bodies["quick-start", "echo"]
    history = [{"status": "resuming", "reason": "Resumed", "at": "2026-01-01T00:00:10Z"}]
    await runs.put({**body, "status": {**body["status"], "history": history}})
    points = ((0, 1), (1, 2), (2, 3), (1, 11), (2, 12), (3, 13))
    lines = [f"{step}|2026-01-01 00:00:{second:02}+00:00|{second}" for step, second in points]
    place = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/metric/loss.plx"
    place.write_text("\n".join(["step|timestamp|metric", *lines]))
    (found,) = await read(api, STREAM + "/events/metric", names="loss")
    assert (found["data"]["step"], found["data"]["metric"]) == ([0, 1, 2, 3], [1, 11, 12, 13])
    (found,) = await read(api, STREAM + "/events/metric", names="loss", sample="2")
    assert found["data"]["step"] == [0, 3]


async def test_an_answer_is_not_longer_than_memory_allows(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/text"
    lines = [
        json.dumps({"timestamp": "t", "step": step, "text": "x" * 1000}) for step in range(200)
    ]
    (folder / "many.plx").write_text("\n".join(["", *lines]))
    monkeypatch.setattr(events, "_MOST_BYTES", 20_000)
    monkeypatch.setattr(events, "LONGEST", 5000)
    (found,) = await read(api, STREAM + "/events/text", names="many")
    assert 10 <= len(found["data"]["step"]) <= 20
    assert found["data"]["step"][-1] == 199
    (folder / "one.plx").write_text("\n".join(["", *lines[:2], "x" * 6000, *lines[2:4]]))
    (found,) = await read(api, STREAM + "/events/text", names="one")
    assert found["data"]["step"] == [0, 1, 2, 3]


@pytest.mark.alone
async def test_a_million_points_are_read_in_time(api: Api, tmp_path: Path) -> None:
    place = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/metric/million.plx"
    lines = (
        f"{step}|2026-01-01 00:00:00.{step % 1000:06}+00:00|{step / 7}" for step in range(10**6)
    )
    place.write_text("\n".join(["step|timestamp|metric", *lines]))
    taken = []
    for _ in range(5):
        began = time.process_time()
        (found,) = await read(api, STREAM + "/events/metric", names="million", sample="1000")
        taken.append(time.process_time() - began)
    assert len(found["data"]["step"]) == 1000
    assert min(taken) < 0.3


@pytest.mark.parametrize(
    ("path", "query", "why"),
    [
        ("/events/metric", {"names": "../../x"}, "has the part '..'"),
        ("/events/..", {"names": "x"}, ""),
        ("/events/metric", {"names": "x" * 300}, "has a name of 304 bytes, expected at most 255"),
        ("/events/metric", {"names": "x" * 5000}, "bytes, expected at most 1024"),
        ("/events/metric", {"names": "loss", "orient": "xml"}, "expected dict or csv"),
        ("/events/metric", {"sample": "-1"}, "not a number from 0"),
    ],
)
async def test_what_cannot_be_read(api: Api, path: str, query: dict[str, str], why: str) -> None:
    answer = await api.get(STREAM + path, params=query)
    assert answer.status in (400, 404)
    assert why in (await answer.json())["detail"]
