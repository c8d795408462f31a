"""A run as others see it: shown in the order of its declarations, which a cluster does not keep; asked for as it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.resolving.run_values import order_inputs, order_outputs
from opstrand.core.resolving.upstream import read_upstream
from opstrand.settings import Settings

DECLARED = {"inputs": [{"name": "zed"}, {"name": "abe"}, {"name": "unset"}], "outputs": [{"name": "score"}, {"name": "loss"}]}
STATUS: dict[str, Any] = {
    "phase": "Succeeded",
    "inputs": {"abe": 1, "lr": 2, "bias": 3, "zed": None},
    "outputs": {"epoch": 1, "auc": 2, "loss": 3, "score": None},
}


@pytest.mark.parametrize(
    ("spec", "status"),
    [({"component": DECLARED}, {}), ({"hubRef": "a"}, {"component": DECLARED})],
    ids=["its own component", "the hub's, frozen"],
)
def test_values_are_shown_in_the_order_of_the_declarations(spec: dict[str, Any], status: dict[str, Any]) -> None:
    body = {"spec": spec, "status": {**STATUS, **status}}
    assert list(order_inputs(body).items()) == [("bias", 3), ("lr", 2), ("zed", None), ("abe", 1)]
    assert list(order_outputs(body).items()) == [("score", None), ("loss", 3), ("auc", 2), ("epoch", 1)]


def test_a_ref_takes_whole_maps_as_they_come_back_from_the_status() -> None:
    """A retry renders from what was frozen, in which a cluster has put the keys by the alphabet."""
    body = {"metadata": {"name": "a", "namespace": "n", "uid": "0" * 32}, "spec": {"component": DECLARED}, "status": STATUS}
    found = read_upstream(body, Settings())
    assert found.inputs is not None
    assert list(found.inputs) == list(STATUS["inputs"])


def test_who_ended_before_its_inputs_were_known_has_none() -> None:
    metadata = {"name": "a", "namespace": "n", "uid": "0" * 32}
    found = read_upstream({"metadata": metadata, "spec": {}, "status": {"phase": "Failed", "reason": "ParamInvalid"}}, Settings())
    assert (found.inputs, found.frozen, found.done) == (None, False, True)
