"""What user code sees of the client, against the real application."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import MESSAGE, UUID, Api

from opstrand.client import ApiError, NotManaged, NotSupported, RunClient, Unreachable, tracking
from opstrand.client.batch import Report
from opstrand.client.connection import Connection
from opstrand.client.environment import Credentials
from opstrand.client.spool import Spool
from opstrand.client.values import to_json, to_name

RUN = f"/api/v1/default/quick-start/runs/{UUID}"


def test_the_inputs_are_what_the_user_gave(api: Api) -> None:
    client = RunClient()
    client.refresh_data()
    assert client.get_inputs() == {"message": MESSAGE}
    assert api.requests == [f"GET {RUN}"]


def test_inputs_are_read_without_a_refresh(api: Api) -> None:
    assert RunClient().get_inputs() == {"message": MESSAGE}


def test_outside_of_a_run_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYAXON_RUN_INSTANCE", raising=False)
    with pytest.raises(NotManaged, match="Could not get run info"):
        RunClient()


def test_no_op_and_offline_send_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYAXON_HOST", "http://127.0.0.1:9")
    idle = RunClient(no_op=True)
    idle.log_outputs(a=1)
    assert idle.get_inputs() is None
    offline = RunClient(is_offline=True)
    offline.log_outputs(a=1)
    assert offline.get_inputs() == {}


def test_reports_are_stored_in_the_background(api: Api) -> None:
    client = RunClient()
    client.log_outputs(acc=0.9, nothing=None)
    client.log_tags("a, b")
    client.log_meta(stage="train")
    client.log_progress(0.5)
    client.log_artifact_ref(
        f"/plx-context/artifacts/{client.run_uuid}/outputs/model.pt", "model", is_input=False
    )
    assert client.flush(60)
    status = api.status
    assert status["outputs"] == {"acc": 0.9, "nothing": None}
    assert (status["tags"], status["meta"], status["progress"]) == (
        ["a", "b"],
        {"stage": "train", "progress": 0.5},
        0.5,
    )
    assert [(item["name"], item["path"]) for item in status["artifacts"]] == [
        ("model", "outputs/model.pt")
    ]


def test_thousands_of_reports_are_few_requests_and_the_last_wins(api: Api) -> None:
    client = RunClient()
    for step in range(3000):
        client.log_outputs(step=step, **{f"k{step % 7}": step})
    assert client.flush(60)
    assert api.status["outputs"]["step"] == 2999
    assert len(api.requests) < 300


def test_what_is_no_file_or_too_large_is_not_read_for_its_hash(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("opstrand.client.guard._noted", set())
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows").write_bytes(b"x" * 100)
    client = RunClient()
    client.log_data_ref("whole", str(folder))
    os.mkfifo(folder / "pipe")
    # It would wait for ever for who writes to the pipe.
    asking = threading.Thread(target=client.log_data_ref, args=("data", str(folder)), daemon=True)
    asking.start()
    asking.join(30)
    assert not asking.is_alive()
    monkeypatch.setattr("opstrand.client.lineage._MOST_HASHED", 99)
    client.log_data_ref("large", str(folder))
    assert "has more than 99 bytes and gets no hash" in capfd.readouterr().err
    assert client.flush(30)
    hashes = {item["name"]: item["summary"].get("hash") for item in api.status["artifacts"]}
    assert hashes == {"whole": hashes["data"], "data": hashes["whole"], "large": None}
    assert hashes["data"]


def test_reset_forgets_what_was_there(api: Api) -> None:
    client = RunClient()
    client.log_outputs(a=1, b=2, async_req=False)
    client.log_outputs(reset=True, c=3, async_req=False)
    assert api.status["outputs"] == {"c": 3}
    assert client.get_outputs() == {"c": 3}


def test_the_last_value_of_a_metric_is_an_output(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opstrand.client.metrics.METRICS_WITHIN", 600.0)
    client = RunClient()
    for step in range(100):
        client.log_metrics(step=step, loss=1 / (step + 1))
    assert api.requests == []
    assert client.flush(60)
    assert api.status["outputs"] == {"loss": 0.01}
    assert api.requests == [f"PATCH {RUN}"]


def test_a_refusal_reaches_its_caller_and_no_other(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    client = RunClient()
    with pytest.raises(ApiError, match="262,144"):
        client.log_outputs(blob="x" * 300_000, async_req=False)
    client.log_outputs(blob="x" * 300_000)
    assert client.flush(60)
    assert "the API refused outputs" in capsys.readouterr().err


@pytest.mark.alone
def test_training_goes_on_while_the_api_is_away(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opstrand.client.spool._PAUSE", 0.05)
    client = RunClient()
    client._connection.patience = 0.1
    client._spool._send = lambda report, _: client._send(report, 0.1)
    api.stop()
    started = time.monotonic()
    for step in range(100):
        client.log_outputs(step=step)
    assert time.monotonic() - started < 8  # one that waited would take a hundred times 0.1 s
    assert not client.flush(0.5)
    api.start()
    assert client.flush(60)
    assert api.status["outputs"] == {"step": 99}
    assert capsys.readouterr().err.count("the API is away") == 1


def test_reading_waits_for_an_api_that_restarts(api: Api) -> None:
    client = RunClient()
    client.refresh_data()
    api.stop()
    api.start()
    client.refresh_data()  # the kept connection was closed by then
    api.stop()
    client._connection.patience = 0.2
    with pytest.raises(Unreachable, match=r"GET http://127.0.0.1"):
        client.refresh_data()
    api.start()


def test_a_new_token_is_used_as_soon_as_its_file_changes(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYAXON_AUTH_TOKEN")
    file = tmp_path / ".configs" / ".auth"
    file.parent.mkdir()
    file.write_text(json.dumps({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": "stale"}))
    client = RunClient()
    client._connection.patience = 0.2
    with pytest.raises(ApiError, match="401"):
        client.refresh_data()
    file.write_text(json.dumps({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": "secret"}))
    client.refresh_data()
    (tmp_path / ".token").mkdir()
    (tmp_path / ".token" / "token").write_text("the mounted one goes first\n")
    assert Credentials().header() == "Token the mounted one goes first"


def test_statuses_lineage_and_logs_are_read(api: Api) -> None:
    client = RunClient()
    assert client.get_statuses()[0] == "running"
    client.log_artifact_lineage({"name": "env", "kind": "env"}, async_req=False)
    assert [item["name"] for item in client.get_artifacts_lineage()] == ["env"]
    api.do(api.runs.write_log(client.run_uuid, "hello"))
    done = api.do(api.runs.get("quick-start", client.run_uuid))
    api.do(api.runs.put({**done, "status": {**done["status"], "phase": "Succeeded"}}))
    assert list(client.watch_logs()) == ["hello"]
    assert client.list(query="status: succeeded")["count"] == 1


def test_tracking_knows_its_run(api: Api, tmp_path: Path) -> None:
    assert tracking.init() is tracking.TRACKING_RUN
    assert tracking.get_inputs() == {"message": MESSAGE}
    tracking.log_outputs(a=1)
    tracking.end()
    assert api.status["outputs"] == {"a": 1}
    assert [item["name"] for item in api.status["artifacts"]] == ["env"]
    assert Path(tracking.get_outputs_path("env.json")).is_relative_to(tmp_path)
    with pytest.raises(NotSupported, match="install `polyaxon`"):
        tracking.get_connections_catalog()


def test_a_fork_does_not_send_its_parents_reports() -> None:
    sent: list[Any] = []
    spool = Spool(lambda report, _: sent.append(report.requests()), last_chance=0)
    spool.add(Report().values("outputs", {"a": 1}), within=600)
    child = os.fork()
    if child == 0:
        os._exit(0 if spool.flush(0) and not spool._pending else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert spool.flush(60)
    assert sent == [[("PATCH", "", {"outputs": {"a": 1}, "merge": True})]]


def test_a_fork_speaks_for_itself(api: Api) -> None:
    """It uses neither its parent's connection, nor a lock that its parent held at the fork."""
    client = RunClient()
    client.refresh_data()
    with client._connection._lock:
        child = os.fork()
        if child == 0:
            client.log_outputs(child=1)
            os._exit(0 if client.flush(60) else 1)
    client.log_outputs(parent=1)
    assert client.flush(60)
    assert os.waitpid(child, 0)[1] == 0
    assert api.status["outputs"] == {"child": 1, "parent": 1}


def test_what_does_not_fit_takes_nothing_else_with_it(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    client = RunClient()
    api.stop()
    client.log_outputs(acc=0.9, **{f"k{number}": number for number in range(500)})
    client.log_tags(["a"])
    client.log_outputs(blob="x" * 300_000)
    client.log_outputs(loss=0.1, reset=False)
    client.log_artifact_ref("outputs/model.pt", "model")
    client.log_outputs(endless=10**5000)  # more digits than json can write
    api.start()
    assert client.flush(60)
    status = api.status
    assert status["outputs"] == {
        "acc": 0.9,
        "loss": 0.1,
        **{f"k{number}": number for number in range(500)},
    }
    assert (status["tags"], [item["name"] for item in status["artifacts"]]) == (["a"], ["model"])
    assert "outputs.blob" in capsys.readouterr().err
    assert len(api.requests) < 60


def test_a_replacement_that_does_not_fit_still_replaces(api: Api) -> None:
    client = RunClient()
    client.log_outputs(old=1, async_req=False)
    client.log_outputs(reset=True, new=2, blob="x" * 300_000)
    assert client.flush(60)
    assert api.status["outputs"] == {"new": 2}


def test_where_no_thread_can_be_started_reports_are_sent_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python (3.12) refuses a new thread at the end of a process, and a container may have reached
    its limit of threads.
    """

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client = RunClient()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        client.log_outputs(a=1)
    assert api.status["outputs"] == {"a": 1}
    client.log_outputs(b=2)
    assert client.flush(60)
    assert api.status["outputs"] == {"a": 1, "b": 2}


def test_another_server_at_the_address_is_reported_in_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path.endswith("0") else 200)
            self.end_headers()
            self.wfile.write(b"<html>Log in</html>")

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("POLYAXON_HOST", f"http://127.0.0.1:{server.server_port}")
        for uuid, status in (("a" * 32, 200), ("0" * 32, 302)):
            with pytest.raises(
                ApiError, match=f"{status}: expected JSON of the API at http://127.0.0.1.*Log in"
            ):
                RunClient(project="quick-start", run_uuid=uuid).refresh_data()
        server.shutdown()
    monkeypatch.setenv("POLYAXON_HOST", "opstrand-api:8000")
    with pytest.raises(NotManaged, match="'opstrand-api:8000'; expected http://HOST:PORT"):
        RunClient(project="quick-start", run_uuid="a" * 32)


def test_names_and_values_are_what_the_published_client_would_send() -> None:
    class Scalar:
        def item(self) -> float:
            return 0.5

    assert [to_name(name) for name in ("loss", "val/loss", "val loss", "a.b", "é")] == [
        "loss",
        "val__loss",
        "val-loss",
        "a-b",
        "e",
    ]
    assert to_json({"a": (1, Scalar()), "n": float("nan"), 1: {2.5}}) == {
        "a": [1, 0.5],
        "n": "nan",
        "1": [2.5],
    }


def test_a_base_path_in_the_host_is_kept() -> None:
    connection = Connection("http://127.0.0.1:9/behind/", Credentials(), patience=0.0)
    with pytest.raises(Unreachable, match="/behind/api"):
        connection.request("GET", "/api")


def test_an_import_is_cheap_and_imports_nothing_else() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import opstrand.client; "
        "print(time.perf_counter() - t, *sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "operator"},
    )
    seconds, *modules = answer.stdout.split()
    assert float(seconds) < 0.5  # 50 ms on an idle machine; this one may be busy
    assert not {"http.client", "ssl", "aiohttp", "pydantic", "logging"} & set(modules)
