"""The log of a real container through the command line: byte for byte, across its start and across
broken connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.support.command_line import OPSTRAND, Ran, run_command, run_opstrand

IMAGE = "polyaxon/polyaxon-quick-start"
#: Prints more lines a second than a log's timestamps distinguish, pauses so that a connection can
#: break, takes more than a second for one line, which the node keeps in pieces, and ends without a
#: newline.
COUNT = """
import sys, time
out = sys.stdout.buffer
for number in range(4000):
    out.write(b"%d\\n" % number)
    if number % 500 == 0:
        out.flush()
        time.sleep(0.5)
out.write(b"\\xff" + b"x" * 50000)
out.flush()
time.sleep(1.1)
out.write(b"x" * 50000 + b"\\nthe end")
"""
EXPECTED = (
    b"".join(b"%d\n" % number for number in range(4000)) + b"\xff" + b"x" * 100000 + b"\nthe end"
)


@pytest.fixture
def direct(cluster: Cluster) -> str:
    """Return the text of the cluster's own kubeconfig."""
    return Path(cluster.kubeconfig).read_text()


def write_job(folder: Path, code: str) -> Path:
    container = {"image": IMAGE, "command": ["python3", "-c"], "args": [code]}
    path = folder / "job.yaml"
    path.write_text(
        yaml.safe_dump({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    return path


async def run(namespace: str, kubeconfig: str, *arguments: str | Path) -> Ran:
    return await asyncio.to_thread(
        run_opstrand, *arguments, env={"KUBECONFIG": kubeconfig, "OPSTRAND_PROJECT": namespace}
    )


async def test_every_byte_of_a_log_arrives_once(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    ran = await run(
        namespace,
        cluster.kubeconfig,
        "run",
        "-f",
        write_job(tmp_path, COUNT),
        "--name",
        "count",
        "-l",
    )
    assert (ran.code, ran.stdout) == (0, EXPECTED), ran.stderr
    assert (await run(namespace, cluster.kubeconfig, "logs", "count")).stdout == EXPECTED
    assert (await run(namespace, cluster.kubeconfig, "logs", "-f", "count")).stdout == EXPECTED


async def test_every_attempt_is_shown_and_can_be_asked_for(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    code = (
        "import socket\nn = int(socket.gethostname().rpartition('-')[2])\nprint('attempt', "
        "n)\nraise SystemExit(n < 1)"
    )
    file = write_job(tmp_path, code)
    component = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**component, "termination": {"maxRetries": 1}}))
    both = b"attempt 0\nattempt 1\n"
    ran = await run(namespace, cluster.kubeconfig, "run", "-f", file, "--name", "again", "-l")
    assert (ran.code, ran.stdout) == (0, both), ran.stderr
    for words, expected in (
        (("-f",), both),
        ((), b"attempt 1\n"),
        (("--previous",), b"attempt 0\n"),
        (("--attempt", "0"), b"attempt 0\n"),
    ):
        assert (
            await run(namespace, cluster.kubeconfig, "logs", "again", *words)
        ).stdout == expected, words
    assert (await run(namespace, cluster.kubeconfig, "logs", "again", "--attempt", "2")).code == 4


async def test_a_reader_that_goes_away_ends_the_following_and_not_the_run(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """`opstrand run -l | head -1`."""
    file = write_job(
        tmp_path, "import time\nfor i in range(60):\n    print(i, flush=True); time.sleep(1)"
    )
    words = (
        "bash",
        "-c",
        '"$@" | head -1; exit ${PIPESTATUS[0]}',
        "-",
        OPSTRAND,
        "run",
        "-f",
        file,
        "--name",
        "count",
        "-l",
    )
    ran = await asyncio.to_thread(
        run_command,
        [*map(str, words)],
        env={"KUBECONFIG": cluster.kubeconfig, "OPSTRAND_PROJECT": namespace},
    )
    assert (ran.code, ran.stdout) == (141, b"0\n"), ran.stderr
    assert b"Running" in (await run(namespace, cluster.kubeconfig, "ls")).stdout


async def test_a_log_survives_connections_that_break(
    direct: str, namespace: str, tmp_path: Path
) -> None:
    """A proxy between the command line and the API server cuts every connection after 0.7 s."""
    kubeconfig = tmp_path / "kubeconfig"
    async with cutting_proxy(direct, seconds=0.7) as (config, cut):
        await asyncio.to_thread(kubeconfig.write_text, config)
        ran = await run(namespace, str(kubeconfig), "run", "-f", write_job(tmp_path, COUNT), "-l")
    assert (ran.code, ran.stdout) == (0, EXPECTED), ran.stderr
    assert len(cut) > 3


@asynccontextmanager
async def cutting_proxy(
    kubeconfig: str, *, seconds: float
) -> AsyncIterator[tuple[str, list[float]]]:
    """Yield a proxy on the loopback: the text of a kubeconfig that goes through it, and the times
    of its cuts.
    """
    config = yaml.safe_load(kubeconfig)
    upstream = urlsplit(config["clusters"][0]["cluster"]["server"])
    cut: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, back = await asyncio.open_connection(upstream.hostname, upstream.port)
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(_pump(reader, back), _pump(beyond, writer))
        cut.append(asyncio.get_running_loop().time())
        for one in (writer, back):
            one.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    config["clusters"][0]["cluster"]["server"] = (
        f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    )
    async with server:
        yield yaml.safe_dump(config), cut


async def _pump(reader: asyncio.StreamReader, writer: Any) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
