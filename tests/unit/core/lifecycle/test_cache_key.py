"""The key of a result, as laws: what it depends on, and what it never depends on."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import body, here, pipeline, see

from opstrand.core.decide import decide
from opstrand.core.lifecycle.cache_key import CacheKey

NAMES = ("lr", "seed", "text", "many")
VALUES = st.one_of(
    st.integers(-1000, 1000),
    st.booleans(),
    st.text("abc xyz", max_size=6),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3),
)
PARAMS = st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES))
SECRETS = st.text("abcdefgh0123456789", min_size=6, max_size=20)


def make_spec(params: Any = None, run: Any = None, **cache: Any) -> dict[str, Any]:
    made = {"kind": "job", "container": {"image": "busybox"}, **(run or {})}
    inputs = [{"name": name, "isOptional": True} for name in NAMES]
    component = {"inputs": inputs, "run": made}
    given = {name: {"value": value} for name, value in (params or {}).items()}
    return {"component": component, "params": given, "cache": {"disable": False, **cache}}


def make_key(spec: dict[str, Any], **metadata: Any) -> CacheKey:
    decision = decide(see(body(spec, **metadata)))
    assert decision.cache is not None, decision.status
    return decision.cache


def shuffle(value: Any) -> Any:
    """Return the same value with its keys in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffle(value[key]) for key in reversed(value)}
    return [shuffle(item) for item in value] if isinstance(value, list) else value


@given(PARAMS)
def test_the_order_of_keys_does_not_count(params: dict[str, Any]) -> None:
    spec = make_spec(params)
    assert make_key(spec) == make_key(shuffle(spec))


@given(PARAMS, PARAMS, st.one_of(st.none(), st.lists(st.sampled_from(NAMES), unique=True)))
def test_each_input_that_counts_changes_the_key(
    one: dict[str, Any], other: dict[str, Any], io: list[str] | None
) -> None:
    restricted = {} if io is None else {"io": io}
    keys = [make_key(make_spec(params, **restricted)).digest for params in (one, other)]
    counted = NAMES if io is None else io
    texts = [json.dumps([p[name] for name in counted], sort_keys=True) for p in (one, other)]
    assert (keys[0] == keys[1]) == (texts[0] == texts[1])


TEMPLATES = ("{{ text }}", "")
KEY_REF = {"valueFrom": {"secretKeyRef": {"name": "team", "key": "token"}}}


def with_env(**entry: Any) -> dict[str, Any]:
    return {"container": {"image": "busybox", "env": [{"name": "DB_PASSWORD", **entry}]}}


@given(SECRETS)
def test_a_text_that_looks_like_a_secret_leaves_no_key(secret: str) -> None:
    given: list[tuple[str, dict[str, Any]]] = [
        ("token", {"params": {"token": secret}}),
        ("auth", {"params": {"auth": {"user": [secret]}}}),
        ("api_key", {"params": {"many": [{"api_key": secret}]}}),
        ("DB_PASSWORD", {"run": with_env(value=secret)}),
    ]
    for name, parts in given:
        key = make_key(with_inputs(make_spec(**parts)))
        assert (key.digest, key.secrets, key.values) == ("", (name,), {})
        assert secret not in json.dumps(key.as_facts())


def with_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec with each of its params as an input."""
    inputs = [{"name": name, "isOptional": True} for name in {*NAMES, *spec["params"]}]
    inputs.sort(key=lambda one: str(one["name"]))
    return {**spec, "component": {**spec["component"], "inputs": inputs}}


COUNTED: list[tuple[str, Any, Any]] = [
    ("train_tokens", 1000, 2000),
    ("tokens", 0.5, 1.5),
    ("warmup_tokens", [1, 2], [1, 3]),
    ("pass", {"a": [1]}, {"a": [2]}),
    ("auth", True, False),
    ("many", {"tokens": 1}, {"tokens": 2}),
    ("text", "hf://bert@main", "hf://gpt2@main"),
    ("text", "token=abcdef", "token=abcdeg"),
]


@pytest.mark.parametrize(("name", "one", "other"), COUNTED)
def test_a_value_counts_whatever_its_name_and_its_text(name: str, one: Any, other: Any) -> None:
    keys = [make_key(with_inputs(make_spec({name: value}))) for value in (one, other)]
    assert all(key.digest for key in keys)
    assert keys[0].digest != keys[1].digest


def test_a_secret_that_is_written_in_a_text_of_the_component_counts_and_is_not_shown() -> None:
    args = [{"container": {"image": "b", "args": [f"--api-key={one}"]}} for one in ("abcd", "abce")]
    keys = [make_key(make_spec(run=one)) for one in args]
    assert keys[0].digest != keys[1].digest
    assert "abcd" not in json.dumps([keys[0].values, keys[0].as_facts()])


@pytest.mark.parametrize("entry", [KEY_REF, *({"value": one} for one in TEMPLATES)])
def test_a_reference_to_a_secret_has_a_key(entry: dict[str, Any]) -> None:
    assert make_key(make_spec({"text": "a"}, with_env(**entry))).digest


def test_a_secret_that_cache_io_leaves_out_does_not_count() -> None:
    specs = [with_inputs(make_spec({"token": one}, io=["lr"])) for one in ("abcdef", "abcdeg")]
    keys = [make_key(spec) for spec in specs]
    assert keys[0].digest
    assert keys[0].digest == keys[1].digest


def test_a_value_below_the_own_folder_is_the_same_for_every_run() -> None:
    spec = make_spec({"text": "{{ globals.run_outputs_path }}/model"})
    uids = ("d1410a91-4d18-4575-89b9-1926d8c23db4", "e1410a91-4d18-4575-89b9-1926d8c23db4")
    assert len({make_key(spec, uid=uid).digest for uid in uids}) == 1


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("image", {"container": {"image": "other"}}),
    ("command", {"container": {"image": "busybox", "command": ["a"]}}),
    ("args", {"container": {"image": "busybox", "args": ["a"]}}),
    ("env", {"container": {"image": "busybox", "env": [{"name": "A", "value": "1"}]}}),
    ("init", {"init": [{"file": {"filename": "a", "content": "b"}}]}),
    ("volumes", {"volumes": [{"name": "v", "emptyDir": {}}]}),
    ("environment", {"environment": {"nodeSelector": {"a": "b"}}}),
]


@pytest.mark.parametrize("sections", [None, [], ["init"]])
@pytest.mark.parametrize(("part", "run"), CHANGES, ids=[part for part, _ in CHANGES])
def test_every_part_of_the_component_counts(
    part: str, run: dict[str, Any], sections: list[str] | None
) -> None:
    restricted = {} if sections is None else {"sections": sections}
    keys = [make_key(make_spec(run=one, **restricted)) for one in (None, run)]
    assert keys[0].component != keys[1].component
    assert keys[0].digest != keys[1].digest


@pytest.mark.parametrize("place", ["namespace", "component", "kind of cache"])
def test_what_else_counts(place: str) -> None:
    spec, metadata = make_spec(), {}
    other = copy.deepcopy(spec)
    if place == "namespace":
        metadata = {"namespace": "other"}
    elif place == "component":
        other["component"]["inputs"].pop()
    else:
        other["cache"]["sections"] = ["init"]
    assert make_key(spec).digest != make_key(other, **metadata).digest


@pytest.mark.parametrize(
    "change", [{"name": "n"}, {"description": "d"}, {"tags": ["t"]}, {"termination": {"ttl": 1}}]
)
def test_what_a_component_says_to_people_does_not_count(change: dict[str, Any]) -> None:
    spec = make_spec()
    other = {**spec, "component": {**spec["component"], **change}}
    assert make_key(spec).digest == make_key(other).digest


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ({"io": ["sed"]}, "there is no input or output 'sed' (did you mean 'seed'?"),
        ({"ttl": "{{ -1 }}"}, "ttl"),
        ({"sections": "{{ ['inti'] }}"}, "sections"),
    ],
)
def test_a_cache_that_is_wrong_ends_the_run(cache: dict[str, Any], said: str) -> None:
    snapshot = replace(see(body(make_spec(**cache))), evaluate=here)
    status = decide(snapshot).status or {}
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidSpec")
    assert status["message"].startswith("cache.")
    assert said in status["message"]


@pytest.mark.parametrize("kind", ["job", "matrix", "dag"])
def test_an_unknown_name_ends_a_run_of_any_kind(kind: str) -> None:
    spec = {**make_spec(), "cache": {"io": ["sed"]}}
    if kind == "matrix":
        spec["matrix"] = {"kind": "mapping", "values": [{"lr": 1}]}
    if kind == "dag":
        inner = {key: spec[key] for key in ("component", "params")}
        spec = {**pipeline({"name": "a", **inner}), "cache": {"io": ["sed"]}}
    status = decide(see(body(spec))).status or {}
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidSpec")
    assert status["message"].startswith("cache.io[0]: there is no input or output 'sed'")
