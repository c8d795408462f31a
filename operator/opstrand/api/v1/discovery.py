"""What Kubernetes asks an aggregated API about itself: its groups, resources and documents.

Every kind of discovery that an API server or kubectl uses is answered, since a client may stop at
one that fails. The resources show only the verbs `get` and `list`: the controllers of the cluster,
which delete what a namespace holds and collect garbage, act on what shows more. What else
`endpoints` has is not shown here, and works all the same.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from opstrand.api.v1 import endpoints
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.endpoints import ROOT
from opstrand.api.v1.openapi import DOCUMENT_PATH, OLD_DOCUMENT, write_document, write_index
from opstrand.kube.resources import RUNS

_VERBS = ["get", "list"]
#: The parts of a run that have rights of their own.
_PARTS = ("log", "artifacts", "events", "content", "lineage", "members", "actions")
_PART_VERBS = ["get"]
_VERSION = {"groupVersion": RUNS.api_version, "version": RUNS.version}
_GROUP = {"name": RUNS.group, "versions": [_VERSION], "preferredVersion": _VERSION}
_RESPONSE = {"group": RUNS.group, "version": RUNS.version, "kind": RUNS.kind}
#: The one list in which newer API servers ask for everything; two versions of it are in use.
_AGGREGATED = re.compile(r"g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList")


def _group_list() -> dict[str, Any]:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP]}


def _group() -> dict[str, Any]:
    return {"kind": "APIGroup", "apiVersion": "v1", **_GROUP}


def _resources() -> dict[str, Any]:
    run = {"namespaced": True, "kind": RUNS.kind}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": RUNS.api_version,
        "resources": [
            {"name": RUNS.plural, "singularName": "run", "verbs": _VERBS, **run},
            *(
                {"name": f"{RUNS.plural}/{part}", "singularName": "", "verbs": _PART_VERBS, **run}
                for part in _PARTS
            ),
        ],
    }


def _aggregated(version: str) -> dict[str, Any]:
    parts = [
        {"subresource": part, "responseKind": _RESPONSE, "verbs": _PART_VERBS} for part in _PARTS
    ]
    runs = {
        "resource": RUNS.plural,
        "responseKind": _RESPONSE,
        "scope": "Namespaced",
        "singularResource": "run",
        "verbs": _VERBS,
        "subresources": parts,
    }
    served = {"version": RUNS.version, "resources": [runs], "freshness": "Current"}
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [{"metadata": {"name": RUNS.group}, "versions": [served]}],
    }


async def list_groups(request: web.Request) -> web.Response:
    found = _AGGREGATED.search(request.headers.get("Accept", "").replace(" ", ""))
    if found is None:
        return answer_json(request, _group_list())
    made = answer_json(request, _aggregated(found[1]))
    # Without these parameters an API server takes the answer for one of the older kind.
    made.headers["Content-Type"] = f"application/json;{found[0]}"
    return made


async def read_group(request: web.Request) -> web.Response:
    return answer_json(request, _group())


async def list_resources(request: web.Request) -> web.Response:
    return answer_json(request, _resources())


async def list_documents(request: web.Request) -> web.Response:
    return answer_json(request, write_index())


async def read_document(request: web.Request) -> web.Response:
    return answer_json(request, write_document())


async def read_old_document(request: web.Request) -> web.Response:
    return answer_json(request, OLD_DOCUMENT)


#: All routes of this API.
ROUTES = [
    *endpoints.ROUTES,
    web.get("/apis", list_groups),
    web.get(f"/apis/{RUNS.group}", read_group),
    web.get(ROOT, list_resources),
    web.get("/openapi/v3", list_documents),
    web.get(DOCUMENT_PATH, read_document),
    web.get("/openapi/v2", read_old_document),
]
