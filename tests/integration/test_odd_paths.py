"""A real API server never takes one of our names for a path: an object with an odd name is not
found, and no other object is found instead.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError
from opstrand.kube.resources import CONFIG_MAPS, PODS

#: Paths that would lead from a Pod's name to a ConfigMap, and to parents of the path.
ODD = (
    "../configmaps/here",
    "..%2Fconfigmaps%2Fhere",
    "x/../../configmaps/here",
    "../../../namespaces/NS/configmaps/here",
    "here?x=../configmaps/here",
    "here#",
    "..",
    ".",
    "%2e%2e/configmaps/here",
)


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_name_finds_and_deletes_nothing(
    kube: KubeApi, namespace: str, odd: str
) -> None:
    name = odd.replace("NS", namespace)
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "here"}}
    await kube.create(CONFIG_MAPS, namespace, made)
    pod = {"metadata": {"name": "here"}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
    await kube.create(PODS, namespace, pod)
    with pytest.raises(ApiError):
        await kube.get(PODS, namespace, name)
    with pytest.raises(ApiError):
        async for _ in kube.read_log_lines(namespace, name):
            pass
    with pytest.raises(ApiError):
        await kube.json_patch(
            PODS, namespace, name, [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
        )
    with suppress(ApiError):
        await kube.delete(PODS, namespace, name)
    for resource in (CONFIG_MAPS, PODS):
        found = await kube.get(resource, namespace, "here")
        assert "deletionTimestamp" not in found["metadata"]
        assert "labels" not in found["metadata"]
