"""The OpenAPI document and the answers agree: schemathesis draws requests from the document, wrong
ones too, and finds no 500 and no answer that is not described.

Its plugin for pytest is off (pyproject.toml): it would take each process of the tests a second.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import APIOperation
from tests.support.loopback_api import TOKEN, LoopbackApi
from tests.support.running_run import UUID, operation

from opstrand.api.v1.openapi import write_document
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.memory import MemoryRuns

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)
#: A run that there is; others are drawn.
KNOWN = {
    "namespace": "quick-start",
    "name": UUID,
    "path": "a-file",
    "kind": "metric",
    # It refuses: the run is over.
    "action": "stop",
}
schema = schemathesis.openapi.from_dict(write_document())
OPERATIONS = [one.ok() for one in schema.get_all_operations()]
bounded = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackApi]:
    """Yield the API over a run that is over, and has a log and a file."""
    folder = tmp_path_factory.mktemp("files")
    serving = LoopbackApi(MemoryRuns(), folder)
    serving.do(serving.runs.write_log(UUID, "a line"))
    serving.start()
    yield serving
    serving.close()


def put_back(api: LoopbackApi) -> None:
    """Store the run and its file, which another test may have deleted."""
    owner = {"apiVersion": "a/v1", "kind": "B", "name": "c", "uid": "d", "controller": True}
    ended = operation(phase="Succeeded", reason="Succeeded", progress=None, attempt=0)
    ended["metadata"] |= {"labels": {"a": "b"}, "ownerReferences": [owner]}
    api.do(api.runs.put(ended))
    assert api.files is not None
    kept = RunFiles(api.files, "uid-of-quick-start", UUID).folder
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "a-file").write_text("content")
    (kept / "events/metric").mkdir(parents=True, exist_ok=True)
    (kept / "events/metric/loss.plx").write_text("step|timestamp|metric\n1|2026-01-01|0.5\n")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_answer_is_a_500_or_not_described(
    api: LoopbackApi, operation: APIOperation, mode: GenerationMode
) -> None:
    put_back(api)

    @bounded
    @given(
        case=operation.as_strategy(generation_mode=mode),
        is_known=strategies.booleans(),
        has_token=strategies.sampled_from([True, True, True, False]),
    )
    def check(case: schemathesis.Case, is_known: bool, has_token: bool) -> None:
        if is_known:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
        headers = {"Authorization": f"Bearer {TOKEN}"} if has_token else {}
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{api.port}", headers=headers, checks=CHECKED
        )

    check()


def test_every_path_of_the_document_was_reached_with_a_run_that_there_is(
    api: LoopbackApi,
) -> None:
    """The answers that count most are those with content."""
    root = "/apis/runs.opstrand.dev/v1alpha1"
    runs = f"{root}/namespaces/{KNOWN['namespace']}/runs"
    parts = ("", "/log", "/artifacts", "/artifacts/a-file", "/events/metric", "/content")
    more = ("/lineage", "/members", "/actions")
    paths = (f"{root}/runs", runs, *(f"{runs}/{UUID}{part}" for part in (*parts, *more)))
    wanted = {*(f"GET {path}" for path in paths), f"POST {runs}/{UUID}/actions/stop"}
    changed = {f"{method} {runs}/{UUID}/artifacts/a-file" for method in ("PUT", "DELETE")}
    assert changed | {f"DELETE {runs}/{UUID}"} <= set(api.requests)
    assert wanted <= set(api.requests)
    assert len(wanted) == len(write_document()["paths"])
