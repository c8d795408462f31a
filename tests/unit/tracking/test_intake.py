"""What becomes of a file that is sent to be run."""

from __future__ import annotations

import pytest

from opstrand.errors import SpecError
from opstrand.tracking.intake import parse_submission


def test_what_is_wrong_beside_a_hubs_component_is_refused_before_anything_is_created() -> None:
    content = "kind: operation\nhubRef: echo\nparams: {p: {ref: op.a, value: outputs.x}}\nmatrix: {kind: mapping, values: [{p: 1}]}\n"
    with pytest.raises(SpecError) as caught:
        parse_submission(content)
    assert [(problem.path, problem.reason) for problem in caught.value.problems] == [
        ("params.p.ref", "RefInvalid"),
        ("matrix", "NotSupported"),
    ]
    assert parse_submission("kind: operation\nhubRef: echo\n")["spec"]["hubRef"] == "echo"
