"""`$(VAR)` in a real Pod, by the same table with which the pure functions and `run --local` are
tested.
"""

from __future__ import annotations

import json

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.e2e.conftest import main_log, operation, succeed
from tests.support import expansion_vectors as vectors


async def test_a_real_kubelet_expands_as_the_table_says(kube: KubeApi, namespace: str) -> None:
    await kube.create(
        OPERATIONS, namespace, operation("expansion", {"component": vectors.component()})
    )
    body = await succeed(kube, namespace, "expansion")
    assert json.loads(main_log(namespace, body)) == vectors.expected()
