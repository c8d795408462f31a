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


@given(SECRETS, SECRETS)
def test_a_secret_is_never_in_a_key(one: str, other: str) -> None:
    def make(secret: str) -> CacheKey:
        container = {
            "image": "busybox",
            "env": [{"name": "DB_PASSWORD", "value": secret}],
            "args": [f"--api-key={secret}", f"postgres://me:{secret}@db/a"],
        }
        spec = make_spec({"text": f"token={secret}"}, {"container": container})
        spec["params"]["github_token"] = {"value": secret}
        return make_key(spec)

    keys = [make(one), make(other)]
    assert keys[0] == keys[1]
    assert one not in json.dumps([keys[0].values, keys[0].as_facts()])


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
