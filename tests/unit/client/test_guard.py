"""No call of a tracking client ends the program that makes it."""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.unit.client.conftest import UUID, Api

from opstrand.client import ApiError, RunClient, guard, tracking
from opstrand.client.connection import Connection
from opstrand.client.guard import REPORTS, guarded


class Hostile:
    """A value of user code whose every question raises."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError("hostile")

    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __bool__ = __len__ = __iter__ = __float__ = __fspath__ = __str__  # type: ignore[assignment]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=20)
    | st.complex_numbers()
    | st.datetimes()
    | st.builds(Hostile)
    | st.builds(object)
    | st.just(len)
    | st.just(10_000 * "x"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
#: Waits for the API, which is not what is tried here.
SLOW = {"log_status", "log_succeeded", "log_failed", "log_stopped"}
METHODS = sorted(
    name
    for name in dir(tracking.Run)
    if name.startswith(REPORTS) and name not in {*SLOW, "set_artifacts_path", "set_run_uuid"}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("root") / "artifacts" / UUID
    found.mkdir(parents=True)
    return found


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tracking.Run:
    """A run whose API is not there, and whose reports nothing sends."""
    monkeypatch.setenv("POLYAXON_NO_OP", "true")
    found = tracking.Run(run_uuid=UUID, artifacts_path=str(folder))
    monkeypatch.setattr(tracking.Run, "_is_idle", False)
    found._spool = Silent()  # type: ignore[assignment]
    monkeypatch.setattr(guard, "_noted", set())
    # "." and ".." are folders of the run then, and nothing large is copied.
    monkeypatch.chdir(folder)
    return found


class Silent:
    """Accepts reports, and makes the requests that would be sent."""

    def add(self, report: Any, within: float = 0.0) -> None:
        report.requests()


def arguments_of(method: Callable[..., Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = [
        name
        for name, one in inspect.signature(method).parameters.items()
        if name not in ("self", "async_req") and one.kind is not one.VAR_POSITIONAL
    ]
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


@settings(
    max_examples=examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(METHODS), data=st.data())
def test_any_argument_of_any_type_raises_nothing(
    run: tracking.Run, name: str, data: st.DataObject
) -> None:
    method = getattr(run, name)
    assert method(**data.draw(arguments_of(method))) is None


def test_a_problem_is_said_once(run: tracking.Run, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        run.log_metric("loss", "no number")  # type: ignore[arg-type]
        run.log_image([[["x"]]])
        run.log_metric("x" * 10_000, 1)
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "log_metric",
        "log_image",
        "log_metric",
    ]
    assert lines[0] == (
        "opstrand: log_metric: expected a number, found 'no number'; the program goes on"
    )
    assert "has 10000" in lines[2]
    assert all(len(line) < 500 for line in lines)


class Bare:
    """What programs put in the place of stderr: it has no `flush`."""

    def write(self, text: str) -> None:
        pass


class Full(Bare):
    def flush(self) -> None:
        raise RuntimeError("hostile")


@pytest.mark.parametrize("replaced", [Bare(), Full(), Hostile(), None])
def test_a_replaced_stderr_ends_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, replaced: Any
) -> None:
    client = RunClient()
    monkeypatch.setattr(guard, "_noted", set())
    monkeypatch.setattr("sys.stderr", replaced)
    client.log_metric("loss", "no number")  # type: ignore[arg-type]
    client.log_outputs(blob="x" * 300_000)
    assert client.flush(30)
    client.log_outputs(after=1)
    assert client.flush(30)
    assert api.status["outputs"] == {"after": 1}


def test_the_other_metrics_of_a_call_are_kept(run: tracking.Run, folder: Path) -> None:
    run.log_metrics(step=1, good=1, bad=[], also="x", fine=2)
    events = folder / "events" / "metric"
    assert {
        name for name in ("good", "bad", "also", "fine") if (events / f"{name}.plx").exists()
    } == {
        "good",
        "fine",
    }


def test_functions_without_a_run_say_so_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POLYAXON_RUN_INSTANCE", raising=False)
    monkeypatch.setattr(guard, "_noted", set())
    monkeypatch.setattr(tracking, "TRACKING_RUN", None)
    monkeypatch.setattr(tracking, "_asks_from", 0.0)
    module: Any = tracking
    for _ in range(2):
        module.log_metric("loss", 1)
        module.log_text("a", "b")
    printed = capfd.readouterr().err
    assert printed.startswith("opstrand: log_metric: Could not get run info")
    assert printed.count("Could not get run info") == 1
    assert tracking._asks_from == math.inf


def test_functions_find_the_run_once_the_api_is_back(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    impatient = functools.partial(Connection, patience=0.1)
    monkeypatch.setattr("opstrand.client.run.Connection", impatient)
    monkeypatch.setattr(guard, "_noted", set())
    monkeypatch.setattr(tracking, "TRACKING_RUN", None)
    monkeypatch.setattr(tracking, "_asks_from", 0.0)
    api.stop()
    tracking.log_metric("loss", 1)
    assert capfd.readouterr().err.startswith("opstrand: log_metric: ")
    api.start()
    tracking.log_metric("loss", 2)
    assert api.requests == []
    # The time of the next question has come.
    assert 0 < tracking._asks_from < math.inf
    monkeypatch.setattr(tracking, "_asks_from", time.monotonic())
    monkeypatch.setattr("opstrand.client.run.Connection", Connection)
    tracking.log_metric("loss", 3)
    tracking.end()
    assert api.status["outputs"] == {"loss": 3.0}


def test_a_refusal_is_raised_where_the_caller_waits_for_it(api: Api) -> None:
    client = RunClient()
    with pytest.raises(ApiError, match="262,144"):
        client.log_outputs(blob="x" * 300_000, async_req=False)


def test_the_end_of_the_program_is_not_held_back() -> None:
    @guarded
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_a_function_of_the_module_has_every_option_of_its_method(
    run: tracking.Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "TRACKING_RUN", run)
    tracking.log_metric(name="loss", value="no number")
    assert "log_metric: expected a number" in capfd.readouterr().err
