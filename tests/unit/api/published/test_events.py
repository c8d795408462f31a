"""Series that tracking clients wrote, as the published client reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files
from tests.support.running_run import RUN, UUID

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
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


async def test_of_several_runs(api: Api) -> None:
    found = await read(api, MULTI, runs=f"{UUID},{OTHER}", names="loss")
    assert (found[UUID][0]["name"], found[OTHER]) == ("loss", [])


async def test_a_long_series_is_thinned_out(api: Api, tmp_path: Path) -> None:
    lines = [f"{step}|t|{step}.5" for step in range(250_000)]
    place = tmp_path / "artifacts" / "uid-of-quick-start" / UUID / "events/metric/long.plx"
    place.write_text("\n".join(["step|timestamp|metric", *lines]))
    (found,) = await read(api, STREAM + "/events/metric", names="long", sample="1000")
    steps = found["data"]["step"]
    assert 990 <= len(steps) <= 1001
    assert (steps[-1], steps == sorted(steps)) == (249_999, True)
    assert found["data"]["metric"][-1] == 249_999.5


@pytest.mark.parametrize(
    ("path", "query", "why"),
    [
        ("/events/metric", {"names": "../../x"}, "has the part '..'"),
        ("/events/..", {"names": "x"}, ""),
        ("/events/metric", {"names": "loss", "orient": "xml"}, "expected dict or csv"),
        ("/events/metric", {"sample": "-1"}, "not a number from 0"),
    ],
)
async def test_what_cannot_be_read(api: Api, path: str, query: dict[str, str], why: str) -> None:
    answer = await api.get(STREAM + path, params=query)
    assert answer.status in (400, 404)
    assert why in (await answer.json())["detail"]
