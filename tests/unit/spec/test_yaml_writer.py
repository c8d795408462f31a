"""Readers of YAML 1.1 and 1.2 read back what we print as YAML.

`tests/cli/test_kubectl_yaml.py` does the same with the real kubectl.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from tests.support.examples import examples
from tests.support.yaml_words import VALUES, same

from opstrand.spec.crd import write
from opstrand.spec.document import parse_document
from opstrand.spec.yaml_writer import write_documents, write_yaml
from opstrand.text import CONTROLS


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    Core.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first
    )
Core.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(node.value, 0 if node.value[1:2] in "ox" else 10),
)
Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


@settings(max_examples=examples(500))
@given(VALUES)
@example({"y": "n", "12:30": ["2e-5", "08", "0o10", "on", "=", "<<", "1e3", "2026-01-01"]})
@example(["\u202ex", "a\n\u2066b", "\x9b31m"])
@example({"a": "\n x\n", "b": " x\n y", "c": "x\n\n", "d": "\n"})
def test_every_reader_of_yaml_reads_what_was_written(value: Any) -> None:
    text = write_yaml(value)
    assert same(yaml.safe_load(text), value), text
    assert same(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), value), text
    assert same(yaml.load(text, Loader=Core), value), text
    assert not CONTROLS.search(text)


@given(VALUES)
def test_our_own_reader_reads_what_was_written(value: Any) -> None:
    assert same(parse_document(write_yaml({"a": value})).data, {"a": value})


def test_a_text_of_several_lines_is_a_block() -> None:
    assert write_yaml({"a": "print(1)\nprint(2)\n"}) == "a: |\n  print(1)\n  print(2)\n"


def test_plain_texts_stay_plain() -> None:
    plain = ["python:3.12", "1Gi", "10.0.0.1", "a b", "yesterday", "/x"]
    assert write_yaml(plain) == "".join(f"- {one}\n" for one in plain)


def test_documents_of_a_stream() -> None:
    assert list(yaml.safe_load_all(write_documents([{"a": "y"}, ["n"]]))) == [{"a": "y"}, ["n"]]


@pytest.mark.parametrize("name", ["operation.yaml", "component.yaml"])
def test_the_crds_mean_the_same_to_every_reader(name: str) -> None:
    text = write.render()[name]
    wanted = write.operation_crd() if name == "operation.yaml" else write.component_crd()
    assert yaml.safe_load(text) == yaml.load(text, Loader=Core) == wanted
