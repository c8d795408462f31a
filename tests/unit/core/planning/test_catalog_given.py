"""Templates over connections, with a catalog and without one: what is not known is neither an error
nor guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import ME, operation, values

from opstrand.controller.template_worker import Sandbox
from opstrand.core.planning.connections import Catalog, read_catalog
from opstrand.core.planning.plan import compile_plan
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.spec.connections import parse_catalog_file

TEXTS = [
    "{{ connections['quay'].url + '/x' }}",
    "{{ connections.quay.url | upper }}",
    "{% for name in connections %}{{ name }}{% endfor %}",
    "{{ init['quay'].url if init else '' }}",
    "{{ connections.quay.url }}",
    "{{ connections }}",
]
QUAY = read_catalog(
    parse_catalog_file(
        {"connections": [{"name": "quay", "kind": "registry", "schema": {"url": "quay.io"}}]}
    )
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def validate_one(sandbox: Sandbox, text: str, catalog: Catalog | None) -> list[Any]:
    compiled = operation(run={"connections": ["quay"], "container": {"image": "b", "args": [text]}})
    return validate_compiled(compiled, evaluate=sandbox.evaluate, complete=True, catalog=catalog)[0]


@pytest.mark.parametrize("text", TEXTS)
def test_what_only_a_catalog_could_tell_is_not_wrong(sandbox: Sandbox, text: str) -> None:
    assert validate_one(sandbox, text, None) == []
    assert validate_one(sandbox, text, QUAY) == []


def test_with_a_catalog_a_part_that_is_not_there_is_wrong(sandbox: Sandbox) -> None:
    assert [
        one.path for one in validate_one(sandbox, "{{ connections['quay'].host + 1 }}", QUAY)
    ] == ["run.container.args[0]"]
    assert [one.path for one in validate_one(sandbox, "a", Catalog())] == ["run.connections[0]"]


@pytest.mark.parametrize("text", TEXTS)
def test_without_a_catalog_it_is_said_that_none_is_given(sandbox: Sandbox, text: str) -> None:
    compiled = operation(container={"image": "b", "args": [text]})
    with pytest.raises(SpecError) as caught:
        compile_plan(compiled, values(compiled), ME, None, evaluate=sandbox.evaluate)
    assert [(one.reason, one.path) for one in caught.value.problems] == [
        ("CatalogNotGiven", "run.container.args[0]")
    ]
