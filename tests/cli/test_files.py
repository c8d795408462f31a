"""From files and -P to one operation: presets, references, the place of each part, and what render
shows of it.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Cli
from tests.support.command_line import SAMPLES, run_opstrand

COMPONENT = """version: 1.1
kind: component
name: train
inputs:
- {name: lr, type: float, toEnv: LR}
run:
  kind: job
  container:
    image: a
    command: [b]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "component.yaml").write_text(COMPONENT)
    (tmp_path / "op.yaml").write_text(
        "kind: operation\npathRef: parts/component.yaml\nparams:\n  lr: {value: 1, toEnv: RATE}\n"
    )
    (tmp_path / "preset.yaml").write_text(
        "isPreset: true\ntags: [nightly]\ntermination: {maxRetries: 3}\n"
    )
    return tmp_path


def compiled(cli: Cli, folder: Path, *arguments: str) -> dict[str, object]:
    ran = cli(
        "render", "-f", "op.yaml", *arguments, "--stage", "compiled", "-o", "json", cwd=folder
    )
    assert ran.code == 0, ran
    found: dict[str, object] = json.loads(ran.out)
    return found


def test_a_path_is_read_from_where_the_file_is(cli: Cli, folder: Path) -> None:
    assert cli("check", folder / "op.yaml", cwd=Path("/")).code == 0
    assert compiled(cli, folder)["name"] == "train"


def test_an_error_in_a_referenced_file_has_that_file_s_line(cli: Cli, folder: Path) -> None:
    (folder / "parts" / "component.yaml").write_text(
        COMPONENT.replace("command: [b]", "command: ['{{ rate }}']")
    )
    ran = cli("check", "op.yaml", cwd=folder)
    assert ran.out.startswith("parts/component.yaml:10:"), ran.out
    (folder / "parts" / "component.yaml").write_text(COMPONENT.replace("image", "imag"))
    assert cli("check", "op.yaml", cwd=folder).out.startswith("parts/component.yaml:9:5")


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ("lr: {value: much}", "op.yaml:4:3"),
        ("lr: much", "op.yaml:4:3"),
        ("rate: 1", "parts/component.yaml:5:3"),
    ],
    ids=["given", "given in short", "not given"],
)
def test_a_wrong_value_is_reported_where_it_was_given_and_a_missing_one_where_it_is_declared(
    cli: Cli, folder: Path, params: str, place: str
) -> None:
    (folder / "op.yaml").write_text(
        f"kind: operation\npathRef: parts/component.yaml\nparams:\n  {params}\n"
    )
    ran = cli("check", "op.yaml", cwd=folder)
    assert ran.out.startswith(f"{place}: params.lr"), ran.out


PIPELINE = """kind: operation
component:
  run:
    kind: dag
    operations:
    - name: late
      dependencies: [erly]
      hubRef: echo
    - name: early
      component:
        inputs:
        - {name: lr, type: float}
        run:
          kind: job
          container:
            image: a
            args: ["{{ rate }}"]
      runPatch:
        container:
          ports: [{containerPort: http}]
"""


def test_every_mistake_in_a_pipeline_has_its_line_in_the_order_of_the_file(
    cli: Cli, folder: Path
) -> None:
    (folder / "op.yaml").write_text(PIPELINE)
    ran = cli("check", "op.yaml", cwd=folder)
    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == [
        "op.yaml:7:22",
        "op.yaml:12:11",
    ], ran.out
    (folder / "op.yaml").write_text(
        PIPELINE.replace("erly", "early").replace("type: float", "value: 1")
    )
    ran = cli("check", "op.yaml", cwd=folder)
    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == [
        "op.yaml:17:20",
        "op.yaml:20:20",
    ], ran.out


def test_what_is_not_there_is_missed_where_it_would_be(cli: Cli, folder: Path) -> None:
    (folder / "op.yaml").write_text("kind: operation\nname: a\ncomponent:\n  run:\n    kind: job\n")
    assert cli("check", "op.yaml", cwd=folder).out.startswith("op.yaml:4:3: run.container.image")


def test_a_missing_reference_and_a_circle(cli: Cli, folder: Path) -> None:
    (folder / "parts" / "component.yaml").write_text("kind: component\npathRef: component.yaml\n")
    ran = cli("check", "op.yaml", cwd=folder)
    assert ran.code == 2
    assert "more than 8 times" in ran.out
    (folder / "parts" / "component.yaml").unlink()
    ran = cli("run", "-f", "op.yaml", cwd=folder)
    assert (ran.code, ran.errors) == (
        2,
        [
            "error: op.yaml:2:1: pathRef: could not read parts/component.yaml: No such file or "
            "directory"
        ],
    )


def test_what_a_referenced_component_refers_to_is_missed_in_its_own_file(
    cli: Cli, folder: Path
) -> None:
    (folder / "parts" / "component.yaml").write_text(
        "kind: component\nname: a\npathRef: more.yaml\n"
    )
    ran = cli("check", "op.yaml", cwd=folder)
    assert ran.out.startswith("parts/component.yaml:3:1: "), ran.out
    assert "could not read parts/more.yaml: No such file or directory" in ran.out


def test_presets_are_laid_over_in_order(cli: Cli, folder: Path) -> None:
    (folder / "more.yaml").write_text(
        "isPreset: true\ntags: [weekly]\ntermination: {maxRetries: 5}\n"
    )
    found = compiled(cli, folder, "-f", "preset.yaml", "-f", "more.yaml")
    assert (found["tags"], found["termination"]) == (["nightly", "weekly"], {"maxRetries": 5})
    (folder / "more.yaml").write_text("isPreset: true\ntagz: [weekly]\n")
    ran = cli("check", "-f", "op.yaml", "-f", "more.yaml", cwd=folder)
    assert ran.out.startswith("more.yaml:2:1"), ran.out


@pytest.mark.parametrize(
    ("text", "found"),
    [("- a\n", "a list of 1"), ("3\n", "the number 3"), ("text\n", "the text 'text'")],
)
def test_a_preset_that_is_no_mapping_is_reported_as_one(
    cli: Cli, folder: Path, text: str, found: str
) -> None:
    (folder / "preset.yaml").write_text(text)
    for command in ("check", "render", "run"):
        ran = cli(command, "-f", "op.yaml", "-f", "preset.yaml", cwd=folder)
        assert ran.code == 2
        assert (
            "preset.yaml:1:1: expected a component or an operation (a mapping), found " + found
            in ran.out + ran.stderr
        )


def test_how_files_meet_is_not_left_to_a_template(cli: Cli, folder: Path) -> None:
    (folder / "preset.yaml").write_text("isPreset: true\npatchStrategy: '{{ way }}'\n")
    ran = cli("check", "-f", "op.yaml", "-f", "preset.yaml", cwd=folder)
    assert ran.code == 2
    assert ran.out.startswith("preset.yaml:2:1: patchStrategy: expected one of 'replace', "), (
        ran.out
    )


def test_a_value_from_the_command_line_wins_and_keeps_where_it_goes(cli: Cli, folder: Path) -> None:
    ran = cli(
        "render", "-f", "op.yaml", "-P", "lr=0.5", "--stage", "plan", "-o", "json", cwd=folder
    )
    plan = json.loads(ran.out)
    assert (plan["inputs"], plan["to_env"]) == ({"lr": 0.5}, {"RATE": "0.5"})


def test_stdin_is_a_file(folder: Path) -> None:
    ran = run_opstrand(
        "render", "-f", "-", "-P", "lr=2", "--stage", "inputs", stdin=COMPONENT.encode(), cwd=folder
    )
    assert ran.out == "lr: 2.0\n"
    assert "<stdin>:" in run_opstrand("check", "-", stdin=b"a: [").out


def test_each_file_is_validated_by_itself(cli: Cli, folder: Path) -> None:
    (folder / "bad.yaml").write_text(COMPONENT.replace("run:", "rnu:"))
    ran = cli("check", "bad.yaml", "parts/component.yaml", "nope.yaml", "-o", "json", cwd=folder)
    assert ran.code == 2
    report = {one["files"][0]: one for one in json.loads(ran.out)}
    assert {name: one["valid"] for name, one in report.items()} == {
        "bad.yaml": False,
        "parts/component.yaml": True,
        "nope.yaml": False,
    }
    assert (report["bad.yaml"]["errors"][0]["reason"], report["bad.yaml"]["errors"][0]["line"]) == (
        "UnknownField",
        6,
    )
    (lost,) = report["nope.yaml"]["errors"]
    assert (lost["source"], lost["message"]) == (
        "nope.yaml",
        "cannot be read: No such file or directory; did you mean 'op.yaml'?",
    )
    # A component may need values that its users give; an operation must have them to run.
    assert cli("run", "-f", "parts/component.yaml", cwd=folder).code == 2


def test_a_name_that_looks_like_a_slip_is_noted(cli: Cli, folder: Path) -> None:
    ran = cli(
        "check", "-f", "parts/component.yaml", "-P", "lrr=1", "-P", "lr=2", "-o", "json", cwd=folder
    )
    (report,) = json.loads(ran.out)
    assert report["valid"]
    assert report["notes"] == [
        "-P lrr is no input or output (did you mean 'lr'?): only templates can read it"
    ]


def test_a_preset_by_itself_is_valid_and_cannot_run(cli: Cli, folder: Path) -> None:
    assert cli("check", "preset.yaml", cwd=folder).code == 0
    ran = cli("run", "-f", "preset.yaml", cwd=folder)
    assert ran.code == 2
    assert "nothing to run" in ran.errors[0]


def test_strict_params(cli: Cli, folder: Path) -> None:
    assert cli("check", "-f", "op.yaml", "-P", "extra=1", cwd=folder).code == 0
    ran = cli("check", "-f", "op.yaml", "-P", "extra=1", "--strict-params", cwd=folder)
    assert ran.code == 2
    assert ran.out.startswith("-P extra: ")


def test_every_stage_of_the_echo(cli: Cli) -> None:
    for stage in ("operation", "compiled", "inputs", "plan", "pod"):
        shown = [
            cli("render", "-f", SAMPLES / "echo.yaml", "--stage", stage, "-o", kind).out
            for kind in ("yaml", "json")
        ]
        assert yaml.safe_load(shown[0]) == json.loads(shown[1]) != {}
    assert (
        cli(
            "render",
            "-f",
            SAMPLES / "echo.yaml",
            "-P",
            "message=a",
            "--stage",
            "inputs",
            "-o",
            "json",
        ).out
        == '{\n  "message": "a"\n}\n'
    )


def test_the_same_file_renders_the_same(cli: Cli, folder: Path) -> None:
    once, again = (cli("render", "-f", "op.yaml", cwd=folder).stdout for _ in range(2))
    assert once == again
    named = cli(
        "render",
        "-f",
        "op.yaml",
        "--uuid",
        "F" * 32,
        "--name",
        "mine",
        "-p",
        "lab",
        "-o",
        "json",
        cwd=folder,
    )
    metadata = json.loads(named.out)["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("mine-ffffffff-0", "lab")
    assert cli("render", "-f", "op.yaml", "--uuid", "xyz", cwd=folder).code == 2


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore a reader that has seen enough and closes the connection."""


class _Quiet(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/half/"):
            self._send_half()
            return
        if not self.path.startswith("/away/"):
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", self.path.removeprefix("/away/"))
        self.end_headers()

    def _send_half(self) -> None:
        self.send_response(200)
        kind = self.path.removeprefix("/half/")
        self.send_header(
            *(("Content-Length", "1000") if kind == "length" else ("Transfer-Encoding", "chunked"))
        )
        self.end_headers()
        self.wfile.write(
            b"kind: component\n" if kind == "length" else b"10\r\nkind: component\n\r\n"
        )

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_component_at_an_address(cli: Cli, folder: Path, server: str) -> None:
    (folder / "op.yaml").write_text(
        f"kind: operation\nurlRef: {server}/parts/component.yaml\nparams: {{lr: 1}}\n"
    )
    assert compiled(cli, folder)["name"] == "train"
    (folder / "parts" / "component.yaml").write_text("# " + "x" * 2_000_000)
    ran = cli("check", "op.yaml", cwd=folder)
    assert "at most 1,500,000 are read" in ran.out
    for address in (
        f"{server}/nope.yaml",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "http://[::1",
        f"{server}/a b",
    ):
        (folder / "op.yaml").write_text(f"kind: operation\nurlRef: {address}\n")
        ran = cli("check", "op.yaml", cwd=folder)
        assert ran.code == 2
        assert ran.out.startswith("op.yaml:2:1: urlRef: ")
        assert address in ran.out


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_download_that_ends_too_early_is_no_file(
    cli: Cli, folder: Path, server: str, kind: str
) -> None:
    (folder / "op.yaml").write_text(f"kind: operation\nurlRef: {server}/half/{kind}\n")
    ran = cli("check", "op.yaml", cwd=folder)
    assert (ran.code, ran.out.startswith("op.yaml:2:1: urlRef: could not download")) == (2, True), (
        ran
    )


def test_a_download_has_an_end(
    cli: Cli, folder: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "op.yaml").write_text(
        f"kind: operation\nurlRef: {server}/parts/component.yaml\nparams: {{lr: 1}}\n"
    )
    assert cli("check", "op.yaml", cwd=folder).code == 0
    monkeypatch.setattr("opstrand.cli.files.references._MOST_SECONDS", 0.0)
    ran = cli("check", "op.yaml", cwd=folder)
    assert (ran.code, "takes longer than" in ran.out) == (2, True), ran


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_a_path_ref_to_what_is_no_file_is_refused_unread(cli: Cli, folder: Path, name: str) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "op.yaml").write_text(f"kind: operation\npathRef: {name}\n")
    ran = cli("check", "op.yaml", cwd=folder)
    assert (
        ran.code,
        "op.yaml:2:1: pathRef: could not read" in ran.out,
        "expected a file" in ran.out,
    ) == (2, True, True), ran


def test_an_address_leads_to_no_other_scheme(cli: Cli, folder: Path, server: str) -> None:
    for target in ("ftp://127.0.0.1:1/x", "file:///etc/passwd", "data:,kind"):
        (folder / "op.yaml").write_text(f"kind: operation\nurlRef: {server}/away/{target}\n")
        ran = cli("check", "op.yaml", cwd=folder)
        assert (ran.code, ran.out.startswith("op.yaml:2:1: urlRef: could not download")) == (
            2,
            True,
        ), ran
    (folder / "op.yaml").write_text(
        f"kind: operation\nurlRef: {server}/away/{server}/parts/component.yaml\nparams: {{lr: 1}}\n"
    )
    assert compiled(cli, folder)["name"] == "train"


@pytest.mark.parametrize(
    "name", ["acme/echo:v1", "Echo", "echo v1", ":v1", "echo:", "a..b", "e" * 254]
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_hub_ref_that_names_no_object_is_refused_where_it_stands(
    cli: Cli, folder: Path, command: str, name: str
) -> None:
    (folder / "op.yaml").write_text(f"kind: operation\nhubRef: '{name}'\n")
    ran = cli(command, "-f", "op.yaml", cwd=folder)
    assert ran.code == 2
    assert "op.yaml:2:1: hubRef: no Component can be named" in ran.out + ran.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_refs_and_joins_of_a_hubs_operation_are_validated_without_its_component(
    cli: Cli, folder: Path, command: str
) -> None:
    wrong = (
        "params:\n  p: {ref: op.a, value: outputs.x}\njoins:\n- query: 'statsu: a'\n  params: {q: "
        "{value: loss}}\n"
    )
    (folder / "op.yaml").write_text(f"kind: operation\nhubRef: echo\n{wrong}")
    ran = cli(command, "-f", "op.yaml", cwd=folder)
    assert ran.code == 2
    for place in ("4:7: params.p.ref", "6:3: joins[0].query", "7:16: joins[0].params.q.value"):
        assert f"op.yaml:{place}: " in ran.out + ran.stderr, ran


def test_explain(cli: Cli) -> None:
    ran = cli("explain", "run.container.image")
    assert ran.code == 0
    assert "run.container.image" in ran.out
    assert json.loads(cli("explain", "termination", "-o", "json").out)["path"] == "termination"
    assert "FIELD" in cli("explain").out
    wrong = cli("explain", "termination.maxRetry")
    assert wrong.code == 2
    assert "maxRetries" in wrong.errors[0]


def test_the_pre_commit_hook_takes_many_files_and_fails_for_one(cli: Cli, folder: Path) -> None:
    (hook,) = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert (program, hook["types"]) == ("opstrand", ["yaml"])
    assert re.search(hook["files"], "a/polyaxonfile.gpu.yml")
    assert not re.search(hook["files"], "a/values.yaml")
    assert cli(*arguments, "parts/component.yaml", "op.yaml", "preset.yaml", cwd=folder).code == 0
    (folder / "bad.yaml").write_text("kind: component\n")
    ran = cli(*arguments, "parts/component.yaml", "bad.yaml", cwd=folder)
    assert ran.code == 2
    assert ran.out.startswith("bad.yaml:1:1: ")


def test_times_in_the_file_of_an_upstream_are_text_with_quotes_or_without(
    cli: Cli, folder: Path
) -> None:
    (folder / "up.yaml").write_text(
        "kind: Operation\n"
        "metadata: {name: up, namespace: d, uid: 0f0e0d0c-1111-4222-8333-444455556666, "
        "creationTimestamp: 2026-01-01T10:00:00Z}\n"
        "status: {phase: Succeeded, inputs: {}, outputs: {day: 2026-01-02}, startedAt: "
        "'2026-01-01T10:00:01Z',"
        " finishedAt: 2026-01-01T10:00:05Z}\n"
    )
    asked = {
        "day": "outputs.day",
        "created": "globals.created_at",
        "started": "globals.started_at",
        "finished": "globals.finished_at",
    }
    params = {name: {"ref": "ops.up", "value": value} for name, value in asked.items()}
    job = {"run": {"kind": "job", "container": {"image": "a"}}}
    (folder / "op.yaml").write_text(
        json.dumps({"kind": "operation", "params": params, "component": job})
    )
    ran = cli(
        "render",
        "-f",
        "op.yaml",
        "--upstream",
        "up.yaml",
        "--stage",
        "inputs",
        "-o",
        "json",
        cwd=folder,
    )
    assert ran.code == 0, ran
    assert json.loads(ran.out)["day"] == "2026-01-02"
    assert json.loads(ran.out)["created"].startswith("2026-01-01T10:00:00")


UPSTREAM = {
    "kind": "Operation",
    "metadata": {"name": "up", "namespace": "d", "uid": "1" * 32},
    "status": {"phase": "Succeeded"},
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**UPSTREAM, "kind": "Pod"}, "its kind is 'Pod'"),
        ({**UPSTREAM, "metadata": {"name": "up", "namespace": "d", "uid": 1}}, "no metadata.uid"),
        ({**UPSTREAM, "status": "Succeeded"}, "its status is no mapping"),
        (
            {**UPSTREAM, "status": {"phase": "Succeeded", "outputs": [1]}},
            "its status.outputs is no mapping",
        ),
        (
            {**UPSTREAM, "status": {"phase": "Succeeded", "history": 4}},
            "its status.history is no list",
        ),
        ({"items": None}, "document 1 is no Operation"),
        ("text", "expected a mapping"),
    ],
)
def test_an_upstream_that_is_no_run_is_said_to_be_none(
    cli: Cli, folder: Path, given: object, words: str
) -> None:
    (folder / "up.yaml").write_text(json.dumps(given))
    ran = cli("render", "-f", SAMPLES / "echo.yaml", "--upstream", folder / "up.yaml")
    assert (ran.code, len(ran.errors)) == (2, 1), ran
    assert words in ran.errors[0]


def test_check_of_a_folder_validates_every_file_of_ours(cli: Cli, tmp_path: Path) -> None:
    """Files of other tools, hidden folders and other names are left out."""
    good = "kind: component\nrun: {kind: job, container: {image: a}}\n"
    for name, text in {
        "a.yaml": good,
        "deep/b.yml": "kind: operation\npathRef: ../a.yaml\n",
        "deep/values.yaml": "replicas: 1\n",
        "deep/job.yaml": "apiVersion: batch/v1\nkind: Job\n",
        ".git/c.yaml": "kind: component\n",
        "notes.txt": "kind: component\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    fine = cli("check", ".")
    assert (fine.code, fine.stderr) == (0, "2 files are valid\n")
    (tmp_path / "deep" / "wrong.yaml").write_text("kind: component\nrn: {}\n")
    wrong = cli("check", ".")
    assert wrong.code == 2
    assert wrong.stderr.splitlines()[-1] == "1 error in 1 of 3 files"
    assert all(line.startswith("deep/wrong.yaml:") for line in wrong.out.splitlines())
