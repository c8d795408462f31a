"""What an API server asks of an aggregated API about itself."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

GROUP, VERSION = "runs.opstrand.dev", "v1alpha1"
ROOT = f"/apis/{GROUP}/{VERSION}"
Client = TestClient[Any, Any]


async def get(api: Client, path: str, accept: str = "application/json") -> tuple[Any, str]:
    async with api.get(path, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        return await answer.json(), answer.headers["Content-Type"]


async def test_both_kinds_of_discovery_say_the_same(api: Client) -> None:
    resources, _ = await get(api, ROOT)
    old = {one["name"]: one["verbs"] for one in resources["resources"]}
    found, _ = await get(
        api, "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    (group,) = found["items"]
    (version,) = group["versions"]
    new = {}
    for one in version["resources"]:
        new[one["resource"]] = one["verbs"]
        for sub in one["subresources"]:
            new[f"{one['resource']}/{sub['subresource']}"] = sub["verbs"]
    assert (
        old
        == new
        == {
            "runs": ["get", "list"],
            "runs/log": ["get"],
            "runs/artifacts": ["get"],
            "runs/events": ["get"],
            "runs/content": ["get"],
            "runs/lineage": ["get"],
            "runs/members": ["get"],
            "runs/actions": ["get"],
        }
    )
    assert resources["groupVersion"] == f"{group['metadata']['name']}/{version['version']}"


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_the_newer_list_is_given_in_the_version_that_is_asked_for(
    api: Client, version: str
) -> None:
    wanted = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    found, content = await get(api, "/apis", f"{wanted},application/json")
    assert found["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    assert content == wanted


async def test_controllers_find_no_verb_by_which_they_would_act(api: Client) -> None:
    """A namespace is emptied, and garbage collected, of what can be deleted or watched."""
    resources, _ = await get(api, ROOT)
    verbs = {verb for one in resources["resources"] for verb in one["verbs"]}
    assert verbs <= {"get", "list"}


async def test_the_index_leads_to_the_document(api: Client) -> None:
    index, _ = await get(api, "/openapi/v3")
    document, _ = await get(api, index["paths"][ROOT.lstrip("/")]["serverRelativeURL"])
    assert f"{ROOT}/namespaces/{{namespace}}/runs/{{name}}/log" in document["paths"]
    old, _ = await get(api, "/openapi/v2")
    assert old["swagger"] == "2.0"
