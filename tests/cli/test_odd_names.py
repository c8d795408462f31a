"""Invalid names and paths, and files with invalid scalars, for every command that reads them: one
clear error each. The assertion is that the command line reports no bug of its own: exit code 70
does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.conftest import Cli
from tests.support.examples import examples

ODD = [
    "",
    "\0",
    "a\0b",
    "folder",
    "/",
    "..",
    "c.yaml/x",
    "\ud800",
    "\udc80",
    "x" * 5000,
    "http://",
    "http://[",
    "file:///a",
    "\n",
    "\x1b[2J",
]
COMMANDS = [
    ("check", "{}"),
    ("check", "-f", "{}"),
    ("check", "-f", "c.yaml", "-f", "{}"),
    ("check", "-f", "c.yaml", "-P", "{}"),
    ("check", "-f", "c.yaml", "-P", "a={}"),
    ("check", "-f", "c.yaml", "-P", "{}=1"),
    ("render", "-f", "{}"),
    ("render", "-f", "c.yaml", "--name", "{}"),
    ("render", "-f", "c.yaml", "-p", "{}"),
    ("render", "-f", "c.yaml", "--uuid", "{}"),
    ("render", "-f", "c.yaml", "--upstream", "{}"),
    ("run", "-f", "{}"),
    ("run", "-f", "c.yaml", "--name", "{}"),
    ("run", "-f", "c.yaml", "-p", "{}"),
    ("run", "--hub", "{}"),
    ("run", "-f", "c.yaml", "--kubeconfig", "{}"),
    ("run", "--local", "-f", "{}"),
    ("run", "--local", "-f", "c.yaml", "-p", "{}/"),
    ("run", "--local", "-f", "c.yaml", "--name", "{}/"),
    ("run", "--local", "-f", "c.yaml", "--uuid", "{}"),
    ("get", "{}", "--local"),
    ("get", "x", "--local", "-p", "{}"),
    ("ls", "--local", "-p", "{}"),
    ("logs", "{}", "--local"),
    ("lineage", "{}", "--local"),
    ("explain", "{}"),
    ("components", "apply", "-f", "{}"),
    ("components", "show", "{}"),
    ("port-forward", "{}"),
    ("port-forward", "x", "{}"),
    ("wait", "{}"),
    ("{}",),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "records"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "c.yaml").write_text(
        "kind: component\nrun: {kind: job, container: {image: i, command: ['true']}}\n"
    )
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_odd_name(cli: Cli, folder: Path, command: tuple[str, ...]) -> None:
    for odd in ODD:
        ran = cli(*(part.format(odd) for part in command))
        assert ran.code != 70, (odd, ran)
        assert ran.code == 0 or ran.out or ran.stderr


def test_a_file_that_can_be_none_says_so(cli: Cli, folder: Path) -> None:
    (folder / "o.yaml").write_text('kind: operation\npathRef: "a\\0b"\n')
    ran = cli("check", "o.yaml")
    assert (ran.code, ran.out) == (
        2,
        "o.yaml:2:1: pathRef: could not read a\\x00b: no file can have this name: it holds a NUL "
        "or half a character\n",
    )


@pytest.mark.parametrize(
    "scalar",
    [
        '!!int ""',
        "!!float x",
        "!!binary é",
        "!!set {a}",
        "!!omap [a: 1]",
        "*a",
        "<<: *a",
        "{<<: 1}",
        "0b_",
        ".inf",
    ],
)
@pytest.mark.parametrize(
    "file",
    [
        "x: {}",
        "kind: operation\nx: {}",
        "apiVersion: opstrand.dev/v1\nkind: Operation\nmetadata: {{name: a}}\nspec: {}",
    ],
)
def test_an_odd_scalar(cli: Cli, folder: Path, file: str, scalar: str) -> None:
    (folder / "o.yaml").write_text(file.format(scalar))
    for command in (
        ("check", "o.yaml"),
        ("render", "-f", "o.yaml"),
        ("render", "-f", "c.yaml", "--upstream", "o.yaml"),
        ("run", "-f", "o.yaml"),
    ):
        ran = cli(*command)
        assert ran.code == 2, (command, ran)
        assert "o.yaml" in ran.out + ran.stderr


#: Every place of a file that holds a name, a path, an address or a count.
FILE: dict[str, Any] = {
    "kind": "operation",
    "name": "n",
    "tags": ["t"],
    "queue": "q",
    "cache": {"ttl": 1},
    "termination": {"maxRetries": 1, "timeout": 5},
    "params": {"a": {"value": 1, "toEnv": "A"}, "r": {"ref": "ops.up", "value": "outputs.x"}},
    "component": {
        "inputs": [{"name": "a", "type": "int"}, {"name": "r", "type": "str", "isOptional": True}],
        "outputs": [{"name": "o", "type": "float", "value": 1.5}],
        "run": {
            "kind": "job",
            "environment": {
                "labels": {"a": "b"},
                "annotations": {"a": "b"},
                "serviceAccountName": "s",
                "nodeSelector": {"a": "b"},
            },
            "connections": [],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "init": [
                {"file": {"content": "x", "filename": "a.py", "chmod": "+x"}, "path": "/x"},
                {
                    "git": {"url": "https://a/b.git", "revision": "main", "flags": ["--depth 1"]},
                    "path": "/g",
                },
                {"artifacts": {"files": ["a"], "dirs": [["a", "b"]]}, "connection": "c"},
                {"paths": ["a", ["b", "c"]], "connection": "c"},
                {
                    "dockerfile": {
                        "image": "i",
                        "env": {"A": "b"},
                        "copy": [["a", "b"]],
                        "run": ["a"],
                        "filename": "F",
                        "workdir": "/w",
                    }
                },
            ],
            "container": {
                "image": "i",
                "command": ["a"],
                "args": ["{{ a }}"],
                "workingDir": "/w",
                "env": [{"name": "A", "value": "b"}],
                "envFrom": [{"secretRef": {"name": "s"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            },
        },
    },
}
VALUES = [
    *ODD,
    None,
    True,
    0,
    -1,
    1.5,
    2**63 - 1,
    1e308,
    [],
    {},
    [[]],
    [None],
    ["\0"],
    {"": ""},
    {"\0": 1},
    "{{",
    "{{ x }}",
    "--upload-pack=x",
]
VALUES += [
    "ext::sh",
    "runs.",
    "ops.",
    "runs.\0",
    ":",
    "a:b:c",
    "9" * 400,
    "~",
    "'",
    "٣",
    "²",
    "PT",
    "../x",
    "-x",
    "u=",
    "9999",
    "\u2028",
    "$(A)",
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, inner in pairs for place in _places(inner, (*path, key)))]


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(_places(FILE)[1:]),
    st.sampled_from(VALUES),
    st.sampled_from(["check", "render", "run"]),
)
def test_an_odd_value_anywhere(
    cli: Cli, folder: Path, place: tuple[Any, ...], value: Any, command: str
) -> None:
    file = json.loads(json.dumps(FILE))
    inner = file
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    (folder / "o.json").write_text(json.dumps(file))
    ran = cli(command, "-f", "o.json")
    assert ran.code in (0, 2, 5), (place, value, ran)
