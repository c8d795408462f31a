"""A run as others see it: its values in the order of their declarations, which a cluster does not keep."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.resolving.upstream import read_upstream
from opstrand.settings import Settings

DECLARED = {"inputs": [{"name": "zed"}, {"name": "abe"}, {"name": "unset"}], "outputs": [{"name": "score"}, {"name": "loss"}]}
STATUS = {
    "phase": "Succeeded",
    "inputs": {"abe": 1, "lr": 2, "bias": 3, "zed": None},
    "outputs": {"epoch": 1, "auc": 2, "loss": 3, "score": None},
}


@pytest.mark.parametrize(
    ("spec", "status"),
    [({"component": DECLARED}, {}), ({"hubRef": "a"}, {"component": DECLARED})],
    ids=["its own component", "the hub's, frozen"],
)
def test_whole_maps_come_in_the_order_of_the_declarations(spec: dict[str, Any], status: dict[str, Any]) -> None:
    metadata = {"name": "a", "namespace": "n", "uid": "0" * 32}
    found = read_upstream({"metadata": metadata, "spec": spec, "status": {**STATUS, **status}}, Settings())
    assert found.inputs is not None
    assert list(found.inputs.items()) == [("bias", 3), ("lr", 2), ("zed", None), ("abe", 1)]
    assert found.outputs is not None
    assert list(found.outputs.items()) == [("score", None), ("loss", 3), ("auc", 2), ("epoch", 1)]
