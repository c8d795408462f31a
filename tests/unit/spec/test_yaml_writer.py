"""What we print as YAML is read back the same by readers of YAML 1.1 and 1.2; by the real kubectl: `tests/cli/test_kubectl_yaml.py`."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.unit.spec.test_yaml_scalars import ODD, PLAIN, WORDS

from opstrand.spec.crd import write
from opstrand.spec.document import parse_document
from opstrand.spec.yaml_writer import write_documents, write_yaml
from opstrand.text import CONTROLS

OF_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINES = st.lists(st.sampled_from(["", " ", "a", " b", "c ", "\td", "- e", "# f", "g: h", "---", "...", "\x85", "\u2028x"]), max_size=5).map(
    "\n".join
)
TEXTS = st.one_of(
    OF_TEXT,
    LINES,
    PLAIN,
    st.sampled_from(WORDS),
    st.sampled_from([one for one in ODD if one != "\ud800"]),
    st.text("\x1b[31m\u202e\u2066\u2029\x9b\x07\r\t \n", max_size=8),
)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)), max_leaves=8
)


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+0123456789.")),
):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value, 0 if node.value[1:2] in "ox" else 10))
Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def same(one: Any, other: Any) -> bool:
    """Equal, with types: a whole float and an integer are one number to JSON."""
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        return type(one) is type(other) and (_same_inside(one, other) if isinstance(one, list | dict) else one == other)
    return isinstance(other, int | float) and float(one) == float(other)


def _same_inside(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(same, one, other))


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
