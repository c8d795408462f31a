"""The operation of a run as YAML: as it was given, and what it compiles to.

Must not compile: `api.contents` does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import yaml
from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.contents import Content
from opstrand.api.published.request import CONTENTS
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import RunContent
from opstrand.api.v1.request import find_run

#: What the API and the operator add to a spec.
_ADDED = ("control", "inherited")
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


async def read_content(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    content = await request.app[CONTENTS].read(body)
    return answer_json(request, await asyncio.to_thread(_write, content))


def _write(content: Content) -> dict[str, Any]:
    sent = {key: value for key, value in json.loads(content.sent).items() if key not in _ADDED}
    written = _as_yaml(sent)
    is_compiled = content.compiled != content.sent
    compiled = _as_yaml(json.loads(content.compiled)) if is_compiled else written
    return RunContent(written=written, compiled=compiled).as_json()


def _as_yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))
