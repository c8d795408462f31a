"""What a bucket costs the API's memory, against an HTTP server that sees each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from opstrand.artifacts.bucket import Bucket, open_bucket
from opstrand.artifacts.receiving import MOST_LARGE, SMALL

#: Seconds that the server takes for an object, so that those that are sent together overlap.
_SLOW = 0.2


class SlowServer(ThreadingHTTPServer):
    """Takes every object. `most`: how many arrived at the same time."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock, self.count, self.most, self.sizes = threading.Lock(), 0, 0, list[int]()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowServer

    def do_PUT(self) -> None:
        with self.server.lock:
            self.server.count += 1
            self.server.most = max(self.server.most, self.server.count)
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(_SLOW)
        with self.server.lock:
            self.server.count -= 1
            self.server.sizes.append(size)
        self.send_response(200)
        self.send_header("ETag", '"tag"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with SlowServer() as found:
        serving = threading.Thread(target=found.serve_forever)
        serving.start()
        yield found
        found.shutdown()
        serving.join()


@pytest.fixture
def bucket(server: SlowServer) -> Bucket:
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_REGION": "here",
    }
    return open_bucket("s3", "s3://files", env)


def test_few_objects_are_in_memory_at_the_same_time(
    server: SlowServer, bucket: Bucket, tmp_path: Path
) -> None:
    """One that is sent as a whole is in memory as a whole."""
    place, count = tmp_path / "received", 3 * MOST_LARGE
    place.write_bytes(bytes(SMALL + 1))
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda n: bucket.write(f"f{n}", place), range(count)))
    assert server.sizes == [SMALL + 1] * count
    assert server.most <= MOST_LARGE
