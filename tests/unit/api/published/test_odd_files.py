"""A submitted file that cannot be run is answered by 400 with the reason, never by a bug of
ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

ODD = ["", "\0", "a\0b", "\ud800", "\x1b[2J", "../x", "x" * 5000, "\u202e"]
CONTENTS = [
    'x: !!int ""',
    "!!set {a}",
    "!!omap [a: 1]",
    "a: *x",
    "<<: 1",
    "0b_: 0b_",
    "[" * 5000,
    "a: &a [1]\nb: " + "[*a]" * 3,
    'kind: operation\npathRef: "a\\0b"',
    'kind: operation\nurlRef: "http://["',
    'kind: operation\nhubRef: "a\\0b"',
    "\0",
    "\ud800",
    "\ufeff",
    "a: " + "9" * 5000,
]
JOB = {
    "kind": "component",
    "run": {"kind": "job", "container": {"image": "i", "command": ["true"]}},
}


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: repr(content[:30]))
async def test_a_content_that_is_none(api: TestClient[Any, Any], content: str) -> None:
    answer = await api.post("/api/v1/default/quick-start/runs", json={"content": content})
    assert (answer.status, bool((await answer.json())["detail"])) == (400, True)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:10]))
@pytest.mark.parametrize(
    "key", ["name", "description", "tags", "meta_info", "in name", "in command", "in init"]
)
async def test_a_name_that_is_none(api: TestClient[Any, Any], key: str, odd: str) -> None:
    job = json.loads(json.dumps(JOB))
    new: dict[str, Any] = {
        key: [odd] if key == "tags" else {odd: odd} if key == "meta_info" else odd
    }
    if key.startswith("in "):
        new = {}
        job |= {"name": odd} if key == "in name" else {}
        job["run"] |= (
            {"init": [{"file": {"content": "", "filename": odd}}]} if key == "in init" else {}
        )
        job["run"]["container"] |= {"command": [odd]} if key == "in command" else {}
    answer = await api.post(
        "/api/v1/default/quick-start/runs", json={"content": json.dumps(job), **new}
    )
    assert answer.status in (201, 400), await answer.text()
    if odd in ("\0", "a\0b") and key in ("in command", "in init"):
        assert answer.status == 400


async def test_a_file_of_another_tool_is_answered_by_its_component(
    api: TestClient[Any, Any],
) -> None:
    pod = {"containers": [{"name": "a", "image": "perl", "command": ["perl"]}]}
    content = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": pod})
    answer = await api.post("/api/v1/default/quick-start/runs", json={"content": content})
    detail = (await answer.json())["detail"]
    assert answer.status == 400
    assert "this is a Kubernetes Pod, not a polyaxonfile" in detail
    assert "As a component it is:\nversion: 1.1\nkind: component\nrun:\n" in detail
