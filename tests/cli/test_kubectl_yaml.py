"""The real kubectl, in its own process, reads from YAML what we read and what we meant to write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.yaml_words import PLAIN, VALUES, WORDS, same

from opstrand.core.values.safe import unstore
from opstrand.errors import SpecError
from opstrand.spec.document import parse_documents
from opstrand.spec.yaml_writer import write_yaml

KUBECTL = Path(sys.executable).parent / "kubectl"
HEAD = "apiVersion: opstrand.dev/v1\nkind: Operation\nmetadata: {name: a}\nspec:\n"


def kubectl_sends(text: str) -> Any:
    """Return the object that kubectl would send for a file; None if it refuses the file.

    No server is involved.
    """
    done = subprocess.run(
        [KUBECTL, "annotate", "--local", "-f", "-", "x=y", "-o", "json"],
        input=text.encode("utf-8", "surrogatepass"),
        capture_output=True,
        env={"KUBECONFIG": "/dev/null", "HOME": "/nonexistent"},
        timeout=120,
        check=False,
    )
    # Go prints a float of 1e20 with all its digits; the API server reads it as a float again.
    return unstore(json.loads(done.stdout)["spec"]) if done.returncode == 0 else None


def we_read(text: str) -> Any:
    try:
        return parse_documents(text)[0].data["spec"]
    except SpecError:
        return None


def equal(one: Any, other: Any) -> bool:
    """Return whether both are the same JSON; numbers and booleans differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("quoted", [False, True])
def test_what_a_file_for_kubectl_says_is_what_kubectl_sends(quoted: bool) -> None:
    """All scalars are in one file, so that kubectl runs once."""
    readable = [word for word in WORDS if we_read(f"{HEAD}  a: {word}\n") is not None]
    assert len(readable) > len(WORDS) * 0.8
    text = HEAD + "".join(
        f"  k{index}: {json.dumps(word) if quoted else word}\n"
        for index, word in enumerate(readable)
    )
    assert we_read(text) == kubectl_sends(text)
    assert equal(we_read(text), kubectl_sends(text))


def test_keys_of_a_file_for_kubectl_are_what_kubectl_makes_of_them() -> None:
    text = HEAD + "".join(
        f"  a{i}: {{{word}: 1}}\n"
        for i, word in enumerate(["n", "y", "on", "010", "0x1F", "12", "a", "2026-01-01", "'n'"])
    )
    assert we_read(text) == kubectl_sends(text)
    for word in ("2e-5", "~", ".5"):
        with pytest.raises(SpecError, match="quote it"):
            parse_documents(f"{HEAD}  {word}: 1\n")


@settings(max_examples=examples(30))
@given(st.lists(st.one_of(PLAIN, st.sampled_from(WORDS)), min_size=40, max_size=80))
def test_scalars_of_a_file_for_kubectl(words: list[str]) -> None:
    """Where we refuse a scalar (beyond 64 bits, not finite), kubectl may read anything."""
    kept = [word for word in words if we_read(f"{HEAD}  a: {word}\n") is not None]
    text = HEAD + "  a:\n" + "".join(f"  - {word}\n" for word in kept)
    assert equal(we_read(text), kubectl_sends(text)), text


@pytest.mark.parametrize(
    "spec",
    [
        "  a: &x {b: 1, c: [1, 2]}\n  d: *x\n  e: {<<: *x, b: 2}\n",
        "  e:\n    <<: [{a: 1}, {a: 2, b: 3}]\n    c: 4\n",
        "  a: |\n    x\n     y\n\n  b: >-\n    x\n    y\n\n    z\n  c: |+\n    x\n\n",
        "  a: x\n    y\n    z\n  b: 'it''s\n    two'\n",
        "  a: {x: y, 'n': 1, \"y\": 2, n: 3}\n  ? b\n  : c\n",
        "  a: !!str 1\n  b: !!int '5'\n  c: !!float 1\n  d: !!bool 'yes'\n  e: !!null ''\n  f: ! "
        "5\n",
        "  a: &n n\n  b: *n\n  c: 2001-12-14t21:59:43.10-05:00\n",
        "  true: a\n  1: b\n  2026-01-01: c\n  !!str n: d\n",
        "  a: 0777\n  b: 0o777\n  c: 0999\n  d: +0x10\n  e: -010\n  f: 1_2.3_4e5\n",
        "  a: # comment\n    b\n  c: d#e\n  f: http://x:y\n",
        "  a: {? b}\n  c: [d: e]\n",
    ],
)
def test_the_rest_of_yaml_is_what_it_is_to_kubectl(spec: str) -> None:
    assert equal(we_read(HEAD + spec), kubectl_sends(HEAD + spec))
    assert we_read(HEAD + spec) is not None


@settings(max_examples=examples(40))
@given(st.lists(VALUES, min_size=10, max_size=30))
@example([{"a": "\n x\n", "b": " x\n y", "c": "x\n\n", "d": "\n", "e": "x\n \ny", "f": "\tx\ny"}])
def test_kubectl_reads_what_was_written(values: list[Any]) -> None:
    text = write_yaml(
        {
            "apiVersion": "opstrand.dev/v1",
            "kind": "Operation",
            "metadata": {"name": "a"},
            "spec": {"a": values},
        }
    )
    found = kubectl_sends(text)
    assert found is not None, text
    assert same(_sorted(found["a"]), _sorted(values)), text


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
