"""`exec`, `cp` and `top` against an API server that speaks their protocols: the tier with real
containers is slow, and this one sees every byte.
"""

from __future__ import annotations

import asyncio
import io
import json
import select
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from tests.support.command_line import OPSTRAND, Ran, environment, run_opstrand

Run = Callable[..., Ran]

UID = "0f3c1a2b-0000-0000-0000-000000000001"
UUID = UID.replace("-", "")


def operation(name: str, phase: str, pod: str = "") -> dict:
    status = {"phase": phase, "uuid": UUID, **({"pod": {"name": pod}} if pod else {})}
    uid = UID if name == "live" else UID[:-1] + name[0].encode().hex()[-1]
    metadata = {"name": name, "namespace": "default", "uid": uid, "resourceVersion": "1"}
    return {"kind": "Operation", "metadata": metadata, "spec": {}, "status": status}


RUNS = {
    one["metadata"]["name"]: one
    for one in (
        operation("live", "Running", "live-0"),
        operation("over", "Succeeded", "over-0"),
        operation("early", "Waiting"),
    )
}
METRICS = [
    {
        "metadata": {"name": "live-0", "labels": {"opstrand.dev/uuid": UUID}},
        "containers": [
            {"name": "main", "usage": {"cpu": "250m", "memory": "65536Ki"}},
            {"name": "side", "usage": {"cpu": "1000000n", "memory": "1Mi"}},
        ],
    },
    {"metadata": {"name": "other"}, "containers": []},
]


def archive(*members: tarfile.TarInfo) -> bytes:
    """Return a tar archive of these, each file with three bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for member in members:
            member.size = 3 if member.isfile() else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    return packed.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.linkname, found.type = target, kind
    return found


#: What the container has, by its path: a folder, and archives of a program that means harm.
ARCHIVES = {
    "outputs": archive(
        tarfile.TarInfo("outputs/model"), link("outputs/same", "outputs/model", tarfile.LNKTYPE)
    ),
    "evil": archive(
        tarfile.TarInfo("evil/../../escaped"),
        tarfile.TarInfo("/tmp/opstrand-escaped"),
        link("evil/passwd", "/etc/passwd", tarfile.SYMTYPE),
        link("evil/up", "..", tarfile.SYMTYPE),
        tarfile.TarInfo("evil/up/beside"),
        link("evil/device", "", tarfile.CHRTYPE),
        tarfile.TarInfo("evil/good"),
    ),
    "link": archive(link("link", ".", tarfile.SYMTYPE), tarfile.TarInfo("link/beside")),
}

#: What of the second is unpacked.
UNPACKED = ("", "/good", "/tmp", "/tmp/opstrand-escaped", "/up", "/up/beside")


def listed(items: list[dict], **metadata: str) -> dict:
    return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}


async def get_run(request: web.Request) -> web.Response:
    body = RUNS.get(request.match_info["name"])
    gone = {"kind": "Status", "code": 404, "details": {"kind": "operations"}}
    return web.json_response(body or gone, status=200 if body else 404)


async def list_runs(_: web.Request) -> web.Response:
    return web.json_response(listed([*RUNS.values()], resourceVersion="1"))


async def list_metrics(_: web.Request) -> web.Response:
    return web.json_response(listed(METRICS))


async def execute(request: web.Request) -> web.WebSocketResponse:
    """Do as a kubelet: `cat` returns stdin, `tar` an archive, `fail` ends with 7."""
    socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
    await socket.prepare(request)
    words = request.query.getall("command")
    assert request.query["container"] == "main"
    code = 0
    if words[0] == "cat":
        await send_back(socket)
    elif words[0] == "tar":
        assert words[1:5] == ["cf", "-", "-C", f"/plx-context/artifacts/{UUID}"]
        if words[-1] in ARCHIVES:
            await socket.send_bytes(b"\x01" + ARCHIVES[words[-1]])
        else:
            await socket.send_bytes(b"\x02tar: no such file\n")
            code = 2
    else:
        await socket.send_bytes(b"\x01" + " ".join(words).encode() + b"\n")
        await socket.send_bytes(b"\x02and an error\n")
        code = 7 if words[0] == "fail" else 0
    status = {"status": "Success"} if not code else failure(code)
    await socket.send_bytes(b"\x03" + json.dumps(status).encode())
    await socket.close()
    return socket


def failure(code: int) -> dict:
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"status": "Failure", "message": "command terminated", "details": {"causes": causes}}


async def send_back(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        assert message.type is WSMsgType.BINARY
        if message.data[0] == 255:  # stdin is closed
            return
        await socket.send_bytes(b"\x01" + message.data[1:])


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the API in a thread, and yield a kubeconfig that leads there."""
    app = web.Application()
    root = "/apis/opstrand.dev/v1/namespaces/default/operations"
    app.router.add_get(f"{root}/{{name}}", get_run)
    app.router.add_get(root, list_runs)
    app.router.add_get("/api/v1/namespaces/default/pods/live-0/exec", execute)
    app.router.add_get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", list_metrics)
    loop, started, port = asyncio.new_event_loop(), threading.Event(), []

    async def start() -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(runner.addresses[0][1])
        started.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(60)
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{port[0]}"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    file = tmp_path_factory.mktemp("kube") / "config"
    file.write_text(json.dumps(config))
    yield file
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


@pytest.fixture
def run(kubeconfig: Path, tmp_path: Path) -> Run:
    def call(*words: str, stdin: bytes = b"") -> Ran:
        env = {"KUBECONFIG": str(kubeconfig)}
        return run_opstrand(*words, env=env, cwd=tmp_path, stdin=stdin)

    return call


def test_exec_passes_output_and_the_exit_code(run: Run) -> None:
    ran = run("exec", "live", "--", "echo", "two words", "-l")
    assert (ran.code, ran.out, ran.stderr) == (0, "echo two words -l\n", "and an error\n")
    assert run("exec", "live", "--", "fail").code == 7


def test_exec_passes_stdin_byte_for_byte_to_its_end(run: Run) -> None:
    sent = bytes(range(256)) * 1000
    ran = run("exec", "-i", "live", "--", "cat", stdin=sent)
    assert (ran.code, ran.stdout) == (0, sent)


def test_exec_passes_each_piece_of_stdin_when_it_comes(kubeconfig: Path) -> None:
    with subprocess.Popen(
        [OPSTRAND, "exec", "-i", "live", "--", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(KUBECONFIG=str(kubeconfig)),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for piece in (b"one\n", b"two\n", b"three\n"):
            process.stdin.write(piece)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "it did not come back"
            assert process.stdout.readline() == piece
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["exec", "over", "--", "ls"], 3, "over has ended (Succeeded)"),
        (["exec", "early", "--", "ls"], 4, "early has no Pod yet (Waiting)"),
        (["exec", "-t", "live", "--", "ls"], 2, "-t: this is no terminal"),
        (["cp", "over:outputs", "."], 3, "over has ended (Succeeded)"),
        (["cp", "live:nothing", "."], 4, "live: 'nothing' cannot be copied: tar: no such file"),
    ],
)
def test_what_cannot_be_done_in_a_container(
    run: Run, words: list[str], code: int, error: str
) -> None:
    ran = run(*words)
    assert ran.code == code
    assert error in ran.errors[0]


def test_cp_unpacks_what_tar_packs_there(run: Run, tmp_path: Path) -> None:
    ran = run("cp", "live:outputs", ".")
    assert (ran.code, ran.stderr) == (0, "copied live:outputs to .\n")
    assert (tmp_path / "outputs" / "model").read_bytes() == b"abc"
    assert run("cp", "live:outputs", "renamed").code == 0
    assert (tmp_path / "renamed" / "same").read_bytes() == b"abc"


def test_nothing_lands_outside_of_a_copy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ran = run("cp", "live:evil", "in/here")
    assert ran.code == 0
    left_out = [line for line in ran.stderr.splitlines() if line.startswith("left out ")]
    assert len(left_out) == 4, ran.stderr
    found = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))
    assert found == [f"in{one}" for one in ("", *(f"/here{one}" for one in UNPACKED))]
    ran = run("cp", "live:link", "in")
    assert (ran.code, "it is below a link" in ran.errors[0]) == (2, True)
    assert not (tmp_path / "in" / "beside").exists()


def test_top_adds_the_containers_of_a_run(run: Run) -> None:
    expected = [["NAME", "POD", "CPU", "MEMORY"], ["live", "live-0", "251m", "65Mi"]]
    for words in (["top"], ["top", "live"]):
        ran = run(*words)
        assert [line.split() for line in ran.out.splitlines()] == expected, ran


def test_verbose_shows_each_request(run: Run) -> None:
    ran = run("get", "live", "-o", "name", "-v")
    assert ran.out == "operation.opstrand.dev/live\n"
    (line,) = [one for one in ran.stderr.splitlines() if one.startswith("GET ")]
    assert line.partition("/apis")[2].startswith(
        "/opstrand.dev/v1/namespaces/default/operations/live 200 "
    )
