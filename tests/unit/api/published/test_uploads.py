"""Files that are sent to a slow bucket, or twice: others go on, and nothing is stored twice."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files
from tests.support.running_run import RUN
from tests.support.slow_bucket import SlowBucket

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.artifacts.receiving import MOST_LARGE, SMALL
from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]
STREAM = RUN.replace("/api/v1/", "/streams/v1/quick-start/")
FILE, FOLDER = STREAM + "/artifact", STREAM + "/artifacts"
#: Seconds for what is to happen.
PATIENCE = 30


@pytest.fixture
def bucket() -> SlowBucket:
    return SlowBucket()


@pytest.fixture
async def api(runs: MemoryRuns, tmp_path: Path, bucket: SlowBucket) -> AsyncIterator[Api]:
    app = create_app(runs, StaticToken("secret"), files=keep_files(tmp_path, bucket))
    async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as client:
        yield client
        bucket.released.set()


async def put(api: Api, path: str, data: bytes, *, sent: bytes | None = None) -> dict[str, Any]:
    """Announce a file, and send it unless other bytes are to be `sent`."""
    query = {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    body = io.BytesIO(data if sent is None else sent)
    answer = await api.put(FILE, params={**query, "offset": 0}, data=body)
    found: dict[str, Any] = await answer.json()
    return found


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.05)


async def test_files_that_wait_for_the_bucket_leave_threads_to_others(
    api: Api, bucket: SlowBucket, tmp_path: Path
) -> None:
    # More than there are threads.
    count, data = 40, bytes(SMALL + 1)

    def has_received_all() -> bool:
        found = [one.stat().st_size for one in (tmp_path / "incoming").glob("*/*/*")]
        return found == [len(data)] * count

    sending = [asyncio.create_task(put(api, f"f{n}", data)) for n in range(count)]
    await wait_until(has_received_all)
    await wait_until(lambda: len(bucket.writes) >= MOST_LARGE)
    async with asyncio.timeout(PATIENCE):
        assert (await api.get(FOLDER + "/tree")).status == 200
    assert len(bucket.writes) == MOST_LARGE
    bucket.released.set()
    answers = await asyncio.gather(*sending)
    assert answers == [{"offset": len(data), "isComplete": True}] * count
    assert len(list(bucket.walk(""))) == count


async def test_a_stored_file_is_not_sent_again(api: Api, bucket: SlowBucket) -> None:
    """Its client got no answer."""
    bucket.released.set()
    data, other = b"a" * 5000, b"b" * 5000
    stored, unknown = {"offset": 5000, "isComplete": True}, {"offset": 0, "isComplete": False}
    assert await put(api, "f", data) == stored
    assert await put(api, "f", data, sent=b"") == stored
    assert len(bucket.writes) == 1
    # Not after another content came, by any way.
    assert await put(api, "f", other) == stored
    assert await put(api, "f", data, sent=b"") == unknown
    assert (await send_batch(api, "f", data)).status == 200
    assert await put(api, "f", other, sent=b"") == unknown
    assert await put(api, "f", data) == stored
    assert (await api.delete(FILE, params={"path": "f"})).ok
    assert await put(api, "f", data, sent=b"") == unknown


async def send_batch(api: Api, path: str, data: bytes) -> Any:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(path)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    body = packed.getvalue()
    query = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return await api.put(FOLDER, params=query, data=io.BytesIO(body))
