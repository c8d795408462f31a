"""`opstrand check` validates each object of a stream for kubectl, with its lines in the whole
file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import CHECKOUT

from opstrand.errors import SpecError
from opstrand.spec.document import MAX_DOCUMENTS, parse_documents

FOLDER = CHECKOUT / "manifests" / "samples"
GOOD = """apiVersion: opstrand.dev/v1
kind: Operation
metadata: {name: good}
spec:
  params: {loss: {ref: ops.train, value: outputs.loss}}
  component:
    inputs: [{name: loss, type: float}]
    run: {kind: job, container: {image: a, command: [echo, "{{ loss }}"]}}
"""
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: opstrand.dev}\n"


def write(folder: Path, *texts: str) -> Path:
    path = folder / "all.yaml"
    path.write_text("---\n".join(texts))
    return path


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_sample_is_valid(cli: Cli, path: Path) -> None:
    ran = cli("check", path)
    assert (ran.code, ran.out) == (0, ""), ran


def test_what_the_readme_applies_is_valid(cli: Cli, tmp_path: Path) -> None:
    (text,) = re.findall(
        r"```yaml\n(# train.yaml.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL
    )
    assert cli("check", write(tmp_path, text)).code == 0


@pytest.mark.parametrize(
    ("found", "wrong", "words"),
    [
        (
            "command: [echo",
            "comand: [echo",
            "8:44: component.run.container.comand: unknown key 'comand' of a Kubernetes "
            "Container; did you mean 'command'?",
        ),
        (
            "outputs.loss",
            "output.loss",
            "5:35: params.loss.value: 'output.loss' asks for nothing that a run has (did you mean "
            "'outputs'?",
        ),
        (
            "{{ loss }}",
            "{{ los }}",
            "8:60: run.container.command[1]: there is no 'los' (did you mean 'loss'?",
        ),
        ("name: good", "name: Good_1", "3:12: metadata.name: 'Good_1' is no name for a run"),
        ("{name: good}", "{}", "3:1: metadata.name: is required"),
        (
            "kind: Operation",
            "kind: Operaton",
            "2:1: kind: opstrand.dev has no kind 'Operaton' (did you mean 'Operation'?",
        ),
        ("dev/v1", "dev/v2", "1:1: apiVersion: expected opstrand.dev/v1, found 'opstrand.dev/v2'"),
        ("kind: Operation", "kind: Component", "6:3: component.component: unknown key 'component'"),
        ("ops.train", "ops.good", "5:19: params.loss.ref: 'ops.good' is this very run"),
        ("loss: {", "loss: {", ""),
    ],
)
def test_each_object_is_validated_where_it_stands(
    cli: Cli, tmp_path: Path, found: str, wrong: str, words: str
) -> None:
    """A valid object and one of another kind come before it: 13 lines with their separators."""
    ran = cli("check", write(tmp_path, GOOD, OTHER, GOOD.replace(found, wrong)))
    assert ran.code == (2 if words else 0)
    line, _, rest = words.partition(":")
    assert not words or f"all.yaml:{int(line) + 13}:{rest}" in ran.out, ran.out
    assert "not validated: ConfigMap" in ran.stderr


def test_params_and_other_commands_are_not_for_them(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert "an object for kubectl has its params in it" in cli("check", path, "-P", "loss=1").out
    ran = cli("run", "-f", path)
    assert ran.code == 2
    assert f"`kubectl apply -f {path}`" in ran.stderr
    answer = json.loads(cli("check", path, "-o", "json").out)
    assert [(one["valid"], one["files"]) for one in answer] == [(True, [str(path)])]


def test_documents_know_their_lines() -> None:
    found = parse_documents("# a\n---\na: 1\n--- # b\n\n---\nb: |\n x\n --- y\n--- {c: 2}\n---\n")
    assert [one.data for one in found] == [{"a": 1}, {"b": "x\n--- y\n"}, {"c": 2}]
    assert [one.locate((key,)) for one, key in zip(found, "abc", strict=True)] == [
        (3, 1),
        (7, 1),
        (10, 6),
    ]
    with pytest.raises(SpecError, match=f"at most {MAX_DOCUMENTS} are read"):
        parse_documents("---\na: 1\n" * (MAX_DOCUMENTS + 1))


def test_a_component_that_contains_itself_is_refused_with_its_line(
    cli: Cli, tmp_path: Path
) -> None:
    text = """apiVersion: opstrand.dev/v1
kind: Component
metadata: {name: train}
spec:
  run:
    kind: dag
    operations:
    - name: again
      hubRef: train
"""
    ran = cli("check", write(tmp_path, text))
    assert ran.code != 0
    assert re.search(
        r"all\.yaml:9:\d+: .*the Component 'train' would contain itself", ran.stderr + ran.out
    ), ran


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "kind: Component\nmetadata: {name: slack}\nspec:\n"
            "  run: {kind: job, container: {image: a}}\n  hooks:\n  - hubRef: slack\n",
            r"all\.yaml:7:\d+: hooks\[0\]\.hubRef: the Component 'slack' would hook itself",
        ),
        (
            "kind: Operation\nmetadata: {name: a}\nspec:\n  hubRef: b\n"
            "  events:\n  - {ref: ops.a, kinds: [run_status_done]}\n",
            r"all\.yaml:7:\d+: events\[0\]\.ref: 'ops\.a' is this very run",
        ),
    ],
)
def test_a_hook_of_itself_and_an_event_of_itself_have_a_line(
    cli: Cli, tmp_path: Path, text: str, place: str
) -> None:
    (tmp_path / "all.yaml").write_text(f"apiVersion: opstrand.dev/v1\n{text}")
    ran = cli("check", "all.yaml")
    assert ran.code == 2
    assert re.search(place, ran.stderr + ran.out)
