"""Files of runs in a bucket: the real API over a real S3 server, also while that fails."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from opstrand.artifacts import bucket as bucket_module
from opstrand.artifacts.bucket import Bucket, MissingObject, open_bucket
from opstrand.errors import PlatformError
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import make_token, operation, run_kubectl
from tests.support.operator_process import OperatorProcess
from tests.support.s3_server import BUCKET, FailingProxy, S3Server, variables

DATA = os.urandom(20_000_000)
PART = 4 * 1024 * 1024
PATIENCE = 60
#: How the files of the bucket begin: the prefix of the catalog.
PREFIX = "team/files"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxy(s3: S3Server) -> Iterator[FailingProxy]:
    found = FailingProxy(s3.url)
    yield found
    found.stop()


@dataclass
class Api:
    """The API, and one run of it as a person with the role edit sees it."""

    url: str
    headers: dict[str, str]
    process: OperatorProcess
    data: Path
    s3: S3Server

    async def ask(
        self, method: str, part: str, query: dict[str, Any] | None = None, **rest: Any
    ) -> tuple[int, bytes]:
        headers = {**self.headers, **rest.pop("headers", {})}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.url + part, params=query, **rest) as answer,
        ):
            return answer.status, await answer.read()

    async def put(self, path: str, data: bytes) -> tuple[int, dict[str, Any]]:
        """Send a file in parts, as a collector does; return the last answer."""
        query = {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        offset, status, answer = 0, 0, dict[str, Any]()
        while not answer.get("isComplete"):
            part = io.BytesIO(data[offset : offset + PART])
            asked = {**query, "offset": offset}
            status, raw = await self.ask("PUT", "/artifact", asked, data=part)
            answer = json.loads(raw)
            if status != 200:
                break
            offset = answer["offset"]
        return status, answer

    async def read(self, path: str, **headers: str) -> tuple[int, bytes]:
        return await self.ask("GET", "/artifact", {"path": path}, headers=headers)

    def objects(self) -> list[str]:
        """List the files of the run that are in the bucket."""
        return sorted(name.split("/", 4)[4] for name in self.s3.list_objects())


@pytest_asyncio.fixture(loop_scope="session")
async def api(
    api_kubeconfig: str,
    control_plane: ControlPlane,
    kube: KubeApi,
    namespace: str,
    tmp_path: Path,
    s3: S3Server,
    proxy: FailingProxy,
) -> AsyncIterator[Api]:
    run_kubectl(control_plane.kubeconfig, "-n", namespace, "create", "serviceaccount", "person")
    role = ("create", "rolebinding", "person", "--clusterrole=edit")
    subject = f"--serviceaccount={namespace}:person"
    run_kubectl(control_plane.kubeconfig, "-n", namespace, *role, subject)
    token = await make_token(kube, namespace, "person")
    body = await kube.create(OPERATIONS, namespace, operation("train"))
    uuid = str(body["metadata"]["uid"]).replace("-", "")
    status = {"uuid": uuid, "kind": "job", "phase": "Running", "reason": "Running"}
    ops = [{"op": "add", "path": "/status", "value": status}]
    await kube.json_patch(OPERATIONS, namespace, "train", ops, subresource="status")
    catalog = {
        "name": "files",
        "kind": "s3",
        "schema": {"bucket": f"s3://{BUCKET}/{PREFIX}"},
        "env": [{"name": "AWS_ENDPOINT_URL", "value": proxy.url}],
    }
    (tmp_path / "connections.yaml").write_text(json.dumps({"artifactsStore": catalog}))
    port = free_port("127.0.0.1")
    process = OperatorProcess(
        Path(api_kubeconfig),
        tmp_path / "api.log",
        module="opstrand.api",
        api_listen_port=port,
        connections=tmp_path / "connections.yaml",
        data=tmp_path / "data",
    )
    process.environment = {k: v for k, v in variables(proxy.url).items() if "ENDPOINT" not in k}
    process.start()
    await asyncio.to_thread(process.wait_until_started, PATIENCE)
    stream = f"/streams/v1/{namespace}/default/{namespace}/runs/{uuid}"
    headers = {"Authorization": f"Bearer {token}"}
    found = Api(f"http://127.0.0.1:{port}{stream}", headers, process, tmp_path / "data", s3)
    yield found
    assert process.stop(30) == 0
    assert "Traceback" not in process.read_log(), process.read_log()
    await found_nothing(s3)


async def found_nothing(s3: S3Server) -> None:
    """Empty the bucket for the next test."""
    bucket = open_s3(s3.url)
    await asyncio.to_thread(lambda: bucket.delete([one.key for one in bucket.walk("")]))


def open_s3(url: str, name: str = BUCKET, **env: str) -> Bucket:
    return open_bucket("s3", f"s3://{name}", {**variables(url), **env})


async def test_files_of_a_run_are_in_the_bucket_and_read_back_equal(api: Api) -> None:
    files = {"outputs/model": DATA, "outputs/a %2f ü#?": b"1", "empty": b""}
    for path, data in files.items():
        assert (await api.put(path, data))[0] == 200
    assert api.objects() == sorted(files)
    api.process.stop(30)
    await asyncio.to_thread(api.process.start)
    await asyncio.to_thread(api.process.wait_until_started, PATIENCE)
    for path, data in files.items():
        assert await api.read(path) == (200, data)
    for asked, status, part in (
        ("bytes=5000000-9999999", 206, DATA[5_000_000:10_000_000]),
        ("bytes=-7", 206, DATA[-7:]),
        (f"bytes={len(DATA)}-", 416, b""),
    ):
        assert await api.read("outputs/model", Range=asked) == (status, part)
    tree = json.loads((await api.ask("GET", "/artifacts/tree", {"path": "outputs"}))[1])
    assert tree == {"files": {"a %2f ü#?": 1, "model": len(DATA)}, "dirs": []}
    packed = (await api.ask("GET", "/artifacts", {"path": "outputs"}))[1]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert found == {"model": DATA, "a %2f ü#?": b"1"}
    assert (await api.ask("DELETE", "/artifacts", {"path": "outputs"}))[0] == 204
    assert api.objects() == ["empty"]
    assert (await api.read("outputs/model"))[0] == 404


async def test_many_small_files_together_and_a_series(api: Api) -> None:
    files = {f"outputs/{number:04}": os.urandom(100) for number in range(1200)}
    names = list(files)
    for start in range(0, len(names), 400):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in names[start : start + 400]:
                member = tarfile.TarInfo(name)
                member.size = 100
                archive.addfile(member, io.BytesIO(files[name]))
        body = packed.getvalue()
        query = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        status, answer = await api.ask("PUT", "/artifacts", query, data=io.BytesIO(body))
        assert (status, json.loads(answer)) == (200, {"files": 400})
    assert len(api.objects()) == 1200
    tree = json.loads((await api.ask("GET", "/artifacts/tree", {"path": "outputs"}))[1])
    assert {f"outputs/{name}": size for name, size in tree["files"].items()} == dict.fromkeys(
        names, 100
    )
    series = b"step|timestamp|metric\n0|2026-01-02T03:04:05Z|0.5\n"
    assert (await api.put("events/metric/loss.plx", series))[0] == 200
    status, answer = await api.ask("GET", "/events/metric", {"names": "loss"})
    assert (status, json.loads(answer)["data"][0]["data"]["metric"]) == (200, [0.5])
    whole = json.loads((await api.ask("GET", "/artifacts/tree"))[1])
    assert whole == {"files": {}, "dirs": ["events", "outputs"]}
    assert (await api.ask("DELETE", "/artifacts"))[0] == 204
    assert api.objects() == []


async def test_while_the_bucket_answers_500_and_503_nothing_is_half_there(
    api: Api, proxy: FailingProxy
) -> None:
    assert (await api.put("model", b"before"))[0] == 200
    # A few are tried again at once.
    proxy.failures = [503, 500, 503]
    assert (await api.put("other", DATA[:100]))[0] == 200
    assert await api.read("other") == (200, DATA[:100])
    proxy.is_away = True
    try:
        status, answer = await api.put("model", DATA)
        assert status == 503, answer
        assert f"in the bucket s3://{BUCKET}/{PREFIX}" in answer["detail"]
        status, read = await api.read("other")
        assert (status, "s3://" in json.loads(read)["detail"]) == (503, True)
    finally:
        proxy.is_away = False
    assert await api.read("model") == (200, b"before")
    assert api.objects() == ["model", "other"]
    # Nothing is sent again: an empty part is enough.
    query = {"path": "model", "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    status, raw = await api.ask("PUT", "/artifact", {**query, "offset": 0}, data=io.BytesIO())
    assert (status, json.loads(raw)) == (200, {"offset": len(DATA), "isComplete": True})
    assert await api.read("model") == (200, DATA)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_RETRIED", 1)


CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "no such key": ({"AWS_ACCESS_KEY_ID": "other"}, BUCKET, "XAdminUserNotFound"),
    "a wrong secret": ({"AWS_SECRET_ACCESS_KEY": "other"}, BUCKET, "SignatureDoesNotMatch"),
    "no such bucket": ({}, "no-such-bucket", "NoSuchBucket"),
    "nothing listens": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, BUCKET, "could not"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bucket_that_cannot_be_used_is_said_so(
    s3: S3Server, tmp_path: Path, soon: None, case: str
) -> None:
    env, name, why = CASES[case]
    bucket = open_s3(s3.url, name, **env)
    (tmp_path / "file").write_bytes(DATA[:10])
    for work in (
        lambda: bucket.has_any(""),
        lambda: bucket.write("a", tmp_path / "file"),
        lambda: bucket.list_folder(""),
    ):
        with pytest.raises(PlatformError) as raised:
            work()
        assert why in raised.value.message
        assert f"s3://{name}" in raised.value.message
        assert raised.value.retry_after


def test_an_object_that_changed_is_not_read_on(s3: S3Server, tmp_path: Path) -> None:
    bucket, place = open_s3(s3.url), tmp_path / "file"
    place.write_bytes(DATA)
    bucket.write("x/changing", place)
    found = bucket.find("x/changing")
    assert found is not None
    assert bucket.read(found, 0, 10) == DATA[:10]
    place.write_bytes(DATA[::-1])
    bucket.write("x/changing", place)
    with pytest.raises(MissingObject):
        bucket.read(found, 10, 20)
    bucket.delete(["x/changing", "x/never-there"])
    assert bucket.find("x/changing") is None
