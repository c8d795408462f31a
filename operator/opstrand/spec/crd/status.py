"""The schema of the status of an Operation.

Owns the types of its keys. Values that users' runs write (inputs, outputs, meta) are open and keep
their nulls. Must not know how a status is computed.
"""

from __future__ import annotations

from typing import Any

from opstrand.spec.crd.schema import OPEN, OPEN_OBJECT, Schema

PHASES = [
    "Created",
    "Waiting",
    "Queued",
    "Starting",
    "Running",
    "Retrying",
    "Resuming",
    "Processing",
    "Stopping",
]
FINAL_PHASES = ["Succeeded", "Failed", "Stopped", "Skipped", "UpstreamFailed"]
PHASES += FINAL_PHASES
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"type": "string", "format": "date-time"}


def _object(**properties: Any) -> Schema:
    return {**OPEN_OBJECT, "properties": properties}


def _list(items: Schema, at_most: int) -> Schema:
    return {"type": "array", "maxItems": at_most, "items": items}


def _values(description: str) -> Schema:
    return {"description": description, **OPEN_OBJECT}


def status_schema() -> Schema:
    condition = {
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {"type": "string", "maxLength": 316},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": {"type": "string", "maxLength": 1024},
            "message": {"type": "string", "maxLength": 32768},
            "lastTransitionTime": _MOMENT,
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        },
    }
    return {
        **OPEN_OBJECT,
        "description": "What became of the run.",
        # No client applies a status server-side, so the server need not track the owner of each
        # key: the tracking would be a third of every stored run.
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "uuid": {
                **_TEXT,
                "description": "The run's id: 32 hexadecimal digits.",
                "maxLength": 32,
            },
            "kind": {**_TEXT, "description": "The kind of what runs: job, service, dag, ..."},
            "phase": {**_TEXT, "description": "Where the run is.", "enum": PHASES},
            "reason": {**_TEXT, "description": "Why, as one stable word."},
            "message": {**_TEXT, "description": "Why, as a sentence.", "maxLength": 2048},
            "observedGeneration": {"type": "integer", "format": "int64"},
            "startedAt": _MOMENT,
            "finishedAt": _MOMENT,
            "duration": {"type": "number", "description": "Seconds from start to end."},
            "elapsed": {**_TEXT, "description": "The duration for people, such as 3m12s."},
            "resumedAt": _MOMENT,
            "resume": _COUNT,
            "round": _COUNT,
            "attempt": {"type": "integer", "minimum": 0},
            "platformRetries": {
                "type": "integer",
                "minimum": 0,
                "description": "Attempts that may follow lost or deleted Pods.",
            },
            "pod": _object(name=_TEXT, uid=_TEXT, node=_TEXT),
            "podDigest": {
                **_TEXT,
                "description": "SHA-256 of what the attempt's Pod was asked to be.",
            },
            "service": _object(
                name=_TEXT,
                host=_TEXT,
                ports=_list({"type": "integer"}, 1000),
                baseUrl=_TEXT,
                pods=_list(_object(name=_TEXT, uid=_TEXT), 100),
            ),
            "children": {
                "description": "A letter for each run of a pipeline, and counts.",
                **_object(
                    total=_COUNT,
                    concurrency=_COUNT,
                    summary=_TEXT,
                    at=_MOMENT,
                    # One letter each: . not created, w waits, r started, s f x k u ended, c reused.
                    states={**_TEXT, "maxLength": 20_000},
                    succeeded=_COUNT,
                    failed=_COUNT,
                    running=_COUNT,
                    failures=_list(_object(op=_TEXT, reason=_TEXT, message=_TEXT), 10),
                ),
            },
            "search": {
                "description": "What a matrix froze of its search, and the results so far.",
                **_object(
                    kind=_TEXT,
                    seed={"type": "integer", "format": "int64"},
                    metric=_TEXT,
                    minimize={"type": "boolean"},
                    results=_TEXT,
                    promotions=_TEXT,
                ),
            },
            "best": {
                "description": "The run of a matrix with the best metric.",
                **_object(name=_TEXT, uuid=_TEXT, value={"type": "number"}),
            },
            "cacheKey": {
                **_TEXT,
                "description": "SHA-256 of what decides the result, where results are reused.",
            },
            "cache": {
                "description": "What the key was made of, and why no earlier result was taken.",
                **_object(component=_TEXT, parts=OPEN_OBJECT, message=_TEXT, run=_TEXT),
            },
            "original": {
                "description": "The run whose result this one took.",
                **_object(uuid=_TEXT, name=_TEXT, kind=_TEXT),
            },
            "components": _values(
                "The Components that the operations of a pipeline name, each with its digest and "
                "its spec as it was when the pipeline started."
            ),
            "schedule": {
                "description": "When the runs of a schedule are due, and what became of them.",
                **_object(
                    written=OPEN_OBJECT,
                    generation={"type": "integer", "format": "int64"},
                    handled=_MOMENT,
                    next=_MOMENT,
                    runs=_COUNT,
                    succeeded=_COUNT,
                    failed=_COUNT,
                    missed=_COUNT,
                    gap=OPEN_OBJECT,
                    active=_list(_object(at=_MOMENT, name=_TEXT), 10_000),
                    results=_list(
                        _object(at=_MOMENT, name=_TEXT, phase=_TEXT, reason=_TEXT, message=_TEXT),
                        16,
                    ),
                ),
            },
            "hooks": {
                "description": "A letter for each hook of the run, which fires after its end.",
                **_object(
                    # . not decided, r its run was created, k not due, f it cannot run, ? not read.
                    states={**_TEXT, "maxLength": 100},
                    problems=_list(_object(hook=_COUNT, reason=_TEXT, message=_TEXT), 100),
                    round=_COUNT,
                ),
            },
            "inherited": _values("What the runs of a pipeline inherit, final before they start."),
            "inputs": _values(
                "The values that the run got, final before it starts. Every attempt is rendered "
                "from them."
            ),
            "reportedInputs": _values(
                "What the run's program says of its inputs; shown over `inputs`, and never "
                "rendered."
            ),
            "outputs": _values("The values that the run gave."),
            "frozenOutputs": _values(
                "The outputs that were given before it starts. Every attempt is rendered from them."
            ),
            "catalog": _values(
                "The connections that the run uses and the artifacts store, as they were when it "
                "started. Every attempt is rendered from them."
            ),
            "meta": _values("Facts that the run's program noted."),
            "tags": _list(_TEXT, 1000),
            "description": _TEXT,
            "name": _TEXT,
            "progress": {"type": "number", "nullable": True},
            "artifacts": _list(_object(name=_TEXT, kind=_TEXT, isInput={"type": "boolean"}), 5000),
            "upstream": _list(
                _object(uuid=_TEXT, name=_TEXT, kind=_TEXT, values=OPEN_OBJECT, original=_TEXT),
                5000,
            ),
            "history": _list(_object(status=_TEXT, reason=_TEXT, message=_TEXT, at=_MOMENT), 32),
            "conditions": {
                "type": "array",
                "maxItems": 16,
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "archived": dict(OPEN),
        },
    }
