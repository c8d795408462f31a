"""What Kubernetes' `$(VAR)` does to a text; text that a template printed is never expanded."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import expansion_vectors as vectors
from tests.support.builders import ME, operation, values

from opstrand.core.operation import CompiledOperation
from opstrand.core.planning.expansion import expand, protect
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.dockerfile import render_dockerfile
from opstrand.core.pods.pod import render_pod
from opstrand.core.templates.evaluation import evaluate, evaluate_traced
from opstrand.core.templates.template import render
from opstrand.core.templates.traced import Piece, TracedText, from_answer, pieces_of, to_answer
from opstrand.errors import SpecError
from opstrand.settings import Settings

FOUND = {name: value for name, _, value in vectors.VARIABLES}
OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "1"}
VARIABLES = {"A": "<a>", "AB": "$(A)", "": "<nothing>"}
TEXTS = st.text("$()AB \n", max_size=6)
OPTIONS = {
    "option": "--network=host",
    "dashed": "-mount=a",
    "spaced": "/a --network=host",
    "here": "<<EOF",
    "half": "<E",
}
PIECES = st.lists(st.builds(Piece, TEXTS, st.booleans()), max_size=6)


@pytest.mark.parametrize(("text", "arrives"), vectors.ARGUMENTS)
def test_kubernetes_own_cases(text: str, arrives: str) -> None:
    assert expand(text, FOUND) == arrives


def test_a_variable_sees_those_before_it() -> None:
    env: dict[str, str] = {}
    for name, text, _ in vectors.VARIABLES:
        env[name] = expand(text, env)
    assert env == FOUND


@pytest.mark.parametrize("value", vectors.VALUES)
@pytest.mark.parametrize(("template", "arrives"), vectors.TEMPLATES)
def test_a_printed_value_arrives_as_it_is(template: str, arrives: str, value: str) -> None:
    context = {"value": value, "params": {"value": {"as_arg": f"--value={value}"}}}
    text = render(template, context, evaluate=evaluate_traced, traced=True)
    assert expand(protect(text), FOUND) == arrives.replace("VALUE", value)


@given(PIECES)
def test_what_was_printed_is_never_read(pieces: list[Piece]) -> None:
    """State the rule directly, character by character, for the text that Kubernetes reads."""
    text = TracedText.of_pieces(pieces)
    assert text == "".join(piece.text for piece in pieces)
    assert expand(protect(text), VARIABLES) == _arrives(
        [(one, piece.printed) for piece in pieces for one in piece.text]
    )


def _arrives(text: list[tuple[str, bool]]) -> str:
    """Return the text after an expansion that sees only what was not printed."""
    arrived, at = "", 0
    while at < len(text):
        following = text[at + 1] if at + 1 < len(text) else ("", True)
        end = next(
            (index for index in range(at + 2, len(text)) if text[index] == (")", False)), None
        )
        if (
            text[at] != ("$", False)
            or following[1]
            or following[0] not in "$("
            or (following[0] == "(" and end is None)
        ):
            arrived, at = arrived + text[at][0], at + 1
        elif following[0] == "$":
            arrived, at = arrived + "$", at + 2
        else:
            assert end is not None
            name, whole = (
                "".join(one for one, _ in text[start : end + 1]) for start in (at + 2, at)
            )
            is_own = not any(printed for _, printed in text[at : end + 1])
            arrived, at = arrived + (VARIABLES.get(name[:-1], whole) if is_own else whole), end + 1
    return arrived


@given(st.text("$()AB", max_size=12))
def test_an_authors_text_stays_as_it_was_written(text: str) -> None:
    assert protect(text) == text == protect(TracedText.of_pieces([Piece(text, False)]))


@given(PIECES)
def test_a_trace_survives_the_way_from_the_worker(pieces: list[Piece]) -> None:
    text = TracedText.of_pieces(pieces)
    assert list(pieces_of(from_answer(to_answer(text)))) == list(pieces_of(text))


def test_an_evaluators_text_without_a_trace_is_data() -> None:
    text = render("$(VAR_A){{ value | upper }}", {"value": "x"}, evaluate=evaluate, traced=True)
    assert expand(protect(text), FOUND) == "$(VAR_A)X"


def test_every_field_that_kubernetes_expands_is_protected() -> None:
    """Fields that Kubernetes does not expand are passed on unchanged: an image's name, a lifecycle
    hook.
    """
    text = "$(HOME){{ value }}"
    container: dict[str, Any] = {
        "image": "a",
        "command": [text],
        "args": [text],
        "env": [{"name": "A", "value": text}],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPathExpr": text}],
        "lifecycle": {"postStart": {"exec": {"command": [text]}}},
        **{
            probe: {"exec": {"command": [text]}}
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        },
    }
    run = {
        "container": container,
        "sidecars": [container],
        "init": [{"container": container}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    compiled = operation({"value": "$(B)"}, run=run)
    plan = compile_plan(compiled, values(compiled), ME)
    spec = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=Settings()).pod["spec"]
    for one in (spec["containers"][0], spec["initContainers"][1], spec["initContainers"][2]):
        mount = next(mount for mount in one["volumeMounts"] if mount["name"] == "data")
        probes = [
            one[probe]["exec"]["command"][0]
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        ]
        own = next(entry["value"] for entry in one["env"] if entry["name"] == "A")
        found = [one["command"][0], one["args"][0], own, mount["subPathExpr"], *probes]
        assert found == ["$(HOME)$$(B)"] * len(found)
        assert one["lifecycle"]["postStart"]["exec"]["command"] == ["$(HOME)$(B)"]
    assert plan.container["args"] == ["$(HOME)$(B)"], "the plan is before Kubernetes"


@pytest.mark.parametrize(
    "args", [["{{ params.as_args }}"], ["{{ {value: [value]} }}"], "{{ [value, {'a': value}] }}"]
)
def test_a_list_or_mapping_among_the_arguments_is_data(args: Any) -> None:
    compiled = operation({"value": "$(HOME)$$"}, run={"container": {"image": "a", "args": args}})
    (main,) = _containers(compiled)
    assert any("$(HOME)$$" in expand(one, {"HOME": "/root"}) for one in main["args"])
    assert not any("/root" in expand(one, {"HOME": "/root"}) for one in main["args"])


def _containers(compiled: CompiledOperation) -> list[dict[str, Any]]:
    plan = compile_plan(compiled, values(compiled), ME, evaluate=evaluate_traced)
    found: list[dict[str, Any]] = render_pod(
        plan, owner=OWNER, pod_name="eval-0", settings=Settings()
    ).pod["spec"]["containers"]
    return found


def test_a_variable_of_ours_holds_what_a_template_gave_for_it() -> None:
    compiled = operation({"level": "$(HOME)"}, plugins={"logLevel": "{{ level }}"})
    plan = compile_plan(compiled, values(compiled), ME)
    (main,) = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=Settings()).pod["spec"][
        "containers"
    ]
    (level,) = (one["value"] for one in main["env"] if one["name"] == "POLYAXON_LOG_LEVEL")
    assert expand(level, {"HOME": "/root"}) == "$(HOME)"


def test_a_long_value_in_thousands_of_places_is_kept_once() -> None:
    value = "x" * 1000
    tracemalloc.start()
    rendered = render({"args": ["{{ value }}"] * 1400}, {"value": value}, traced=True)
    plain = [protect(text) for text in rendered["args"]]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plain == [value] * 1400
    assert most < 700_000, "1400 copies are twice as much"


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"env": {"A": "$HOME/{{ v }}"}}, 'ENV A="$HOME/pa\\$\\$ \\"w\\$X"'),
        ({"env": {"A": "a\\b\tc"}}, 'ENV A="a\\\\b\tc"'),
        ({"path": ["$HOME/{{ v }}"]}, 'ENV PATH="${PATH}:$HOME/pa\\$\\$ \\"w\\$X"'),
        ({"workdir": "$HOME/{{ v }}"}, 'WORKDIR $HOME/pa\\$\\$ \\"w\\$X'),
        ({"copy": ["{{ v }}"]}, 'COPY ["pa\\\\$\\\\$ \\\\\\"w\\\\$X", "/code"]'),
        ({"copy": [["--chown=1 $A", "/b"]]}, "COPY --chown=1 $A /b"),
        ({"copy": ["{{ option }}"]}, 'COPY ["--network=host", "/code"]'),
        ({"copy": [["a", "{{ here }}"]]}, 'COPY ["a", "<<EOF"]'),
        (
            {"run": ["--mount=type=cache,target=/{{ half }} cat <<E"]},
            "RUN --mount=type=cache,target=/<E cat <<E",
        ),
        ({"run": ["id -{{ dashed }} {{ option }}"]}, "RUN id --mount=a --network=host"),
        ({"run": ["echo {{ v }}"]}, 'RUN echo pa$$ "w$X'),
        ({"run": ["a \\\n  b"]}, "RUN a \\\n  b"),
    ],
)
def test_a_dockerfile_expands_what_its_author_wrote(section: dict[str, Any], line: str) -> None:
    rendered = render({"image": "a", **section}, {"v": 'pa$$ "w$X', **OPTIONS}, traced=True)
    assert f"\n{line}\n" in render_dockerfile(rendered)


@pytest.mark.parametrize(
    "section",
    [
        {"image": "a{{ lines }}"},
        {"image": "a{{ blank }}"},
        {"env": {"A": "{{ lines }}"}},
        {"env": {"A=B": "c"}},
        {"env": {"{{ blank }}": "c"}},
        {"path": ["{{ lines }}"]},
        {"workdir": "{{ lines }}"},
        {"copy": ["{{ lines }}"]},
        {"run": ["a {{ lines }}"]},
        {"run": ["a {{ open }}"]},
        {"run": ["{{ option }} id"]},
        {"run": ["-{{ dashed }} id"]},
        {"run": ["--mount=type=cache,target={{ spaced }} id"]},
        {"run": ["cat {{ here }}"]},
        {"run": ["cat <{{ half }}"]},
        {"image": "{{ option }}"},
        {"workdir": "{{ option }}"},
        {"env": {"{{ option }}x": "c"}},
        {"workdirPath": "{{ lines }}"},
        {"uid": "{{ blank }}", "gid": 1},
        {"uid": 1, "gid": 1, "username": "a;b"},
    ],
)
def test_no_value_begins_an_instruction(section: dict[str, Any]) -> None:
    rendered = render(
        {"image": "a", **section},
        {"lines": "x\nUSER root", "blank": "a AS b", "open": "x\\", **OPTIONS},
        traced=True,
    )
    with pytest.raises(SpecError) as caught:
        render_dockerfile(rendered)
    assert caught.value.reason == "InvalidSpec"
