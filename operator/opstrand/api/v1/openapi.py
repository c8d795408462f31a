"""The OpenAPI document of this API, made of its models and of the table of its paths."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from opstrand import __version__
from opstrand.api.v1.endpoints import ENDPOINTS, ROOT, Endpoint
from opstrand.api.v1.models import Failure, Model, Run
from opstrand.kube.resources import RUNS

DOCUMENT_PATH = "/openapi/v3" + ROOT
_INFO = {"title": "opstrand", "version": __version__}
_REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")
#: By these `kubectl explain` finds the schema of a resource.
_KIND = "x-kubernetes-group-version-kind"
_RUN = {"group": RUNS.group, "version": RUNS.version, "kind": RUNS.kind}
#: What every path may answer besides: no token, no right, more than one client's share, and a
#: cluster that does not answer.
_COMMON = (401, 403, 429, 503)
#: Answers that say nothing beyond their status, or send a part of what 200 sends.
_WITHOUT_CONTENT = frozenset((206, 304, 412, 416))
_BYTES = "application/octet-stream"
_DESCRIBED = {
    "path": "The path of a file in the run's folder; it may have slashes.",
    "namespace": "The project.",
    "name": "The run: its uuid, or a name, which is the newest run of that name.",
    "kind": "What was logged: metric, text, image, ...",
    "action": "One of those that the list of actions has.",
}


@cache
def write_document() -> dict[str, Any]:
    """The document; made when it is first asked for, which takes longer than a start may."""
    models: set[type[Model]] = {Failure}
    models.update(one.answer for one in ENDPOINTS if not isinstance(one.answer, str))
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "serialization") for model in ordered], ref_template=_REFERENCE
    )
    schemas["$defs"][Run.__name__][_KIND] = [_RUN]
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": {
            path: {
                one.method.lower(): _write_operation(one) for one in ENDPOINTS if one.path == path
            }
            for path in dict.fromkeys(one.path for one in ENDPOINTS)
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _write_operation(one: Endpoint) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": _write_answer(one.answer)}
    unchanged = (304,) if one.method == "GET" and not isinstance(one.answer, str) else ()
    for status in sorted({*_COMMON, *unchanged, *one.errors}):
        words = HTTPStatus(status).phrase
        answers[str(status)] = (
            {"description": words}
            if status in _WITHOUT_CONTENT
            else {**_json(Failure), "description": words}
        )
    content = {_BYTES: {"schema": {"type": "string", "format": "binary"}}}
    return {
        **({"requestBody": {"content": content}} if one.has_content else {}),
        "summary": one.summary,
        "operationId": one.handler.__name__,
        _KIND: _RUN,
        "parameters": [*_iter_path_parameters(one.path), *_iter_query_parameters(one.query)],
        "responses": answers,
    }


def _write_answer(answer: type[Model] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"description": "The content.", "content": {answer: {"schema": {"type": "string"}}}}
    return {"description": answer.__name__, **_json(answer)}


def _json(model: type[Model]) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"content": {"application/json": {"schema": schema}}}


def _iter_path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _DESCRIBED[name],
            "schema": {"type": "string", "minLength": 1},
        }


def _iter_query_parameters(model: type[Model]) -> Iterator[dict[str, Any]]:
    described_model = model.model_json_schema()
    required = described_model.get("required", ())
    for name, schema in described_model.get("properties", {}).items():
        kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
        described = {"description": schema.get("description", "")}
        is_required = name in required
        yield {"name": name, "in": "query", "required": is_required, "schema": kept, **described}


def write_index() -> dict[str, Any]:
    """Where the document is: API servers ask here for the documents of a group."""
    digest = hashlib.sha256(json.dumps(write_document()).encode()).hexdigest()[:32]
    url = f"{DOCUMENT_PATH}?hash={digest}"
    return {"paths": {ROOT.lstrip("/"): {"serverRelativeURL": url}}}


#: API servers still ask for this older form; without paths it describes nothing.
OLD_DOCUMENT = {"swagger": "2.0", "info": _INFO, "paths": {}}
