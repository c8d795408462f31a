"""What the API makes of a file that is submitted to be run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from opstrand.api.published.warnings import warn
from opstrand.api.submission import parse_submission
from opstrand.errors import SpecError


def test_what_is_wrong_beside_a_hubs_component_is_refused_before_anything_is_created() -> None:
    content = (
        "kind: operation\nhubRef: echo\nparams: {p: {ref: op.a, value: outputs.x}}\nmatrix: {kind: "
        "iterative, maxIterations: 2}\n"
    )
    with pytest.raises(SpecError) as caught:
        parse_submission(content)
    assert [(problem.path, problem.reason) for problem in caught.value.problems] == [
        ("params.p.ref", "RefInvalid"),
        ("matrix.kind", "NotSupported"),
    ]
    assert parse_submission("kind: operation\nhubRef: echo\n").body["spec"]["hubRef"] == "echo"


async def test_notes_of_a_file_come_beside_the_answer(api: TestClient[Any, Any]) -> None:
    job = {
        "kind": "component",
        "run": {"kind": "job", "container": {"image": "i", "command": ["true"]}},
        "cache": {"ttl": 60},
    }
    answer = await api.post("/api/v1/default/quick-start/runs", json={"content": json.dumps(job)})
    assert answer.status == 201
    assert [
        text.startswith('299 opstrand "cache.ttl: only a run of a pipeline takes an earlier result')
        for text in answer.headers.getall("Warning")
    ] == [True]


def test_a_note_is_one_header_whatever_is_in_it() -> None:
    response = warn(web.Response(), ['é\r\nX: 1 "quoted" \\', "x" * 5000])
    first, second = response.headers.getall("Warning")
    assert first == '299 opstrand "\\\\xe9\\\\x0d\\\\nX: 1 \\"quoted\\" \\\\"'
    assert len(second) < 600
