"""A pipeline as the command line shows it: the tree of its runs, and why one has not started.

The bodies are records of local runs, as `run --local` leaves them, so the commands are real.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Cli
from tests.support.builders import JOB, RUN, Letters, child_of, parent_of, pipeline

from opstrand.cli.output.describe import describe_run
from opstrand.core.names import run_uuid
from opstrand.runs.family import read_family

OPERATIONS = [
    {"name": "prep", "component": {"run": RUN}},
    {"name": "train", "component": {"run": RUN}, "dependencies": ["prep"]},
    {
        "name": "tune",
        "dependencies": ["prep"],
        "matrix": {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2]}}},
        "component": {"inputs": [{"name": "lr", "type": "int"}], "run": RUN},
    },
    {"name": "eval", "component": {"run": RUN}, "dependencies": ["train"]},
    {
        "name": "report",
        "component": {"run": RUN},
        "dependencies": ["train", "tune"],
        "trigger": "all_done",
    },
]
Keep = Callable[..., None]


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Store runs as the records of local ones."""
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "runs"))

    def store(*bodies: dict[str, Any]) -> None:
        for body in bodies:
            metadata = {**body["metadata"], "namespace": "default"}
            folder = tmp_path / "runs" / "default" / metadata["name"]
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(json.dumps({**body, "metadata": metadata}))

    return store


def flow(**status: Any) -> list[dict[str, Any]]:
    """Return a pipeline with a matrix in it: one operation failed, one runs."""
    failures = [{"op": "train", "reason": "ContainerFailed", "message": "exit code 1"}]
    facts = {"phase": "Stopped", "children": {"failures": failures}, **status}
    parent = parent_of("flow", "sfsux", pipeline(*OPERATIONS), **facts)
    tune = child_of(
        parent,
        "tune",
        "Succeeded",
        OPERATIONS[2],
        kind="matrix",
        children=Letters("ss").as_dict(),
        search={"metric": "loss"},
    )
    runs = [
        child_of(
            tune,
            index,
            "Succeeded",
            {"params": {"lr": {"value": index + 1}}, **JOB},
            outputs={"loss": 0.5 - index / 4},
            duration=60 + index,
        )
        for index in range(2)
    ]
    tune["status"]["best"] = {
        "name": runs[1]["metadata"]["name"],
        "uuid": run_uuid(runs[1]["metadata"]["uid"]),
        "value": 0.25,
    }
    prep = child_of(parent, "prep", "Succeeded", duration=3)
    return [parent, prep, tune, *runs]


def big(count: int = 500) -> list[dict[str, Any]]:
    """Return a long pipeline: most succeeded, one failed, the last wait for a place."""
    states = "s" * (count - 5) + "f" + "rr" + ".."
    ops = [{"name": f"op-{at}", "component": {"run": RUN}} for at in range(count)]
    limit = {"children": {"concurrency": 2}}
    spec = pipeline(*ops, concurrency=2)
    parent = parent_of("big", states, spec, **{"phase": "Running", **limit})
    failed = child_of(parent, f"op-{count - 5}", "Failed", message="exit code 1")
    return [parent, failed]


def tree(out: str) -> list[list[str]]:
    """Return the cells of the tree's lines, without what follows it."""
    lines = out.partition("OPERATION")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell for cell in line.split("   ") if cell.strip()] for line in lines]


def test_get_draws_the_tree_with_phases_durations_and_reasons(cli: Cli, keep: Keep) -> None:
    runs = flow()
    keep(*runs)
    ran = cli("get", "--local", "flow")
    assert ran.code == 0, ran
    names = [run["metadata"]["name"] for run in runs]
    assert [[cell.strip() for cell in line] for line in tree(ran.out)] == [
        ["├─ prep", "Succeeded", "3s", names[1]],
        ["├─ train", "Failed", "ContainerFailed: exit code 1"],
        ["├─ tune", "Succeeded", names[2], "2/2"],
        ["│  ├─ 0", "Succeeded", "1m", names[3], "lr=1; loss 0.5"],
        ["│  └─ 1", "Succeeded", "1m1s", names[4], "best; lr=2; loss 0.25"],
        ["├─ eval", "UpstreamFailed", "not run: train (Failed)"],
        ["└─ report", "Stopped", "not run, or its run is gone: the pipeline was stopped"],
    ]
    assert "children:  5/5" in ran.out
    counts = "2 Succeeded, 1 Failed, 1 UpstreamFailed, 1 Stopped"
    assert sorted(counts.split(", ")) == sorted(
        ran.out.partition("operations: ")[2].partition("\n")[0].split(", ")
    )


def test_get_of_a_matrix_shows_its_best_run(cli: Cli, keep: Keep) -> None:
    runs = flow()
    keep(*runs)
    ran = cli("get", "--local", runs[2]["metadata"]["name"])
    assert f"best:      {runs[4]['metadata']['name']} with loss 0.25" in ran.out
    assert "pipeline:  flow, tune" in ran.out


def test_five_hundred_runs_stay_readable() -> None:
    parent, *runs = big()
    lines = tree(describe_run(parent, runs))
    assert [line[0].strip() for line in lines] == [
        "├─ op-495",
        "├─ op-496",
        "├─ op-497",
        "├─ op-498",
        "├─ op-499",
        "└─ … 495",
    ]
    assert len(tree(describe_run(parent, runs, whole=True))) == 500


@pytest.mark.parametrize(
    ("states", "op", "note"),
    [
        (".....", "prep", "next; the operator runs as many at once as its settings allow"),
        ("r....", "train", "waits for prep (Running)"),
        ("r....", "eval", "waits for train (not created)"),
        (
            "sr...",
            "report",
            "waits for train (Running), tune (not created); trigger all_done",
        ),
        ("sf.u.", "eval", "not run: train (Failed)"),
        ("sx.u.", "eval", "not run: train (Stopped)"),
    ],
)
def test_get_says_which_upstream_or_limit_an_operation_waits_for(
    states: str, op: str, note: str
) -> None:
    parent = parent_of("flow", states, pipeline(*OPERATIONS))
    member = read_family(parent, []).find(op)
    assert member is not None
    assert member.note == note


def test_an_operation_whose_turn_it_is_waits_for_a_place() -> None:
    member = read_family(big()[0], []).find("op-499")
    assert member is not None
    assert member.note == "waits for a place: 2 of 2 run (concurrency)"


def test_nothing_starts_before_its_pipeline() -> None:
    parent = parent_of("flow", ".....", pipeline(*OPERATIONS), phase="Waiting", reason="Approval")
    notes = {member.note for member in read_family(parent, []).members}
    assert notes == {"the pipeline flow has not started: Waiting (Approval)"}


def test_get_of_an_operation(cli: Cli, keep: Keep) -> None:
    runs = flow()
    keep(*runs)
    assert f"name:      {runs[1]['metadata']['name']}" in cli("get", "--local", "flow/prep").out
    inner = cli("get", "--local", "op/flow/tune/1", "-o", "json")
    assert json.loads(inner.out)["metadata"]["name"] == runs[4]["metadata"]["name"]
    absent = cli("get", "--local", "flow/eval")
    assert absent.code == 0
    assert "message:   not run: train (Failed)" in absent.out
    assert "upstream:" in absent.out


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("flow/eval", "eval of flow has no run: not run: train (Failed)"),
        (
            "flow/trian",
            "the pipeline flow has no operation 'trian' "
            "(did you mean 'train'? it has: prep, train, tune, eval, report)",
        ),
        ("flow/eval/x", "eval of flow has no run: not run: train (Failed)"),
        ("flwo/prep", "there is no run 'flwo' in project 'default' (did you mean 'flow'?"),
    ],
)
def test_an_operation_without_a_run_says_why(cli: Cli, keep: Keep, run: str, error: str) -> None:
    keep(*flow())
    for command in (("get", "-o", "json"), ("stop",), ("logs",), ("lineage",)):
        ran = cli(*command, "--local", run)
        assert ran.errors[0].startswith(f"error: {error}"), command
        assert ran.code != 0


def test_a_run_that_makes_none_has_no_operations(cli: Cli, keep: Keep) -> None:
    keep(*flow())
    ran = cli("get", "--local", "flow/prep/x")
    assert ran.errors[0].endswith("is no pipeline: it has no 'x'")


def test_ls_shows_the_roots_and_the_runs_of_a_pipeline(cli: Cli, keep: Keep) -> None:
    runs = flow()
    keep(*runs)
    names = [run["metadata"]["name"] for run in runs]

    def listed(*options: str) -> list[str]:
        out = cli("ls", "--local", "--sort", "name", "-o", "name", *options).out
        return [line.rpartition("/")[2] for line in out.split()]

    assert listed() == ["flow"]
    assert sorted(listed("--all-children")) == sorted(names)
    assert sorted(listed("--pipeline", "flow")) == sorted(names[1:3])
    assert sorted(listed("--pipeline", "flow", "--all-children")) == sorted(names[1:])
    assert sorted(listed("--pipeline", names[2])) == sorted(names[3:])
    table = cli("ls", "--local").out.splitlines()
    assert table[0].split()[-2:] == ["CHILDREN", "MESSAGE"]
    assert "5/5" in table[1].split()
    assert cli("ls", "--local", "--pipeline", "flow", "--status", "Running").stderr == (
        "no runs of the pipeline flow that are Running\n"
    )
    assert cli("ls", "--local", "--pipeline", "flow", "-A").code == 2


def test_the_beginning_of_a_name_means_the_pipeline_and_not_its_runs(cli: Cli, keep: Keep) -> None:
    keep(*flow())
    assert yaml.safe_load(cli("get", "--local", "fl", "-o", "yaml").out)["metadata"]["name"] == (
        "flow"
    )


def test_rm_takes_the_runs_of_a_pipeline_and_no_other(cli: Cli, keep: Keep, tmp_path: Path) -> None:
    other = parent_of("other", "s", pipeline(OPERATIONS[0]), phase="Succeeded")
    keep(*flow(), other, child_of(other, "prep", "Succeeded"))
    assert cli("rm", "-y", "--local", "flow").stderr == "flow: deleted\n"
    left = sorted(path.name for path in (tmp_path / "runs" / "default").iterdir())
    assert left == ["other", child_of(other, "prep")["metadata"]["name"]]


def test_stop_and_wait_take_the_run_of_a_pipeline_by_its_name(cli: Cli, keep: Keep) -> None:
    runs = flow()
    keep(*runs)
    prep = runs[1]["metadata"]["name"]
    assert cli("wait", "--local", prep).code == 0
    assert cli("stop", "--local", prep).stderr == f"{prep}: has ended already (Succeeded)\n"


def test_the_newest_run_and_what_rm_chooses_are_no_runs_of_a_pipeline(
    cli: Cli, keep: Keep, tmp_path: Path
) -> None:
    runs = flow()
    for run in runs[1:]:
        run["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    keep(*runs)
    assert cli("get", "--local", "@latest", "-o", "name").out.endswith("/flow\n")
    assert cli("rm", "--local", "-y", "--completed").stderr == "flow: deleted\n"
    assert list((tmp_path / "runs" / "default").iterdir()) == []


def test_lineage_knows_the_edges_of_a_pipeline(cli: Cli, keep: Keep) -> None:
    runs = flow()
    edge = {"uuid": run_uuid(runs[1]["metadata"]["uid"]), "name": "prep", "kind": "dag"}
    train = child_of(runs[0], "train", "Failed", upstream=[{**edge, "values": {"p": "outputs.x"}}])
    keep(*runs, train)
    prep, tune, name = (one["metadata"]["name"] for one in (runs[1], runs[2], train))
    assert cli("lineage", "--local", "flow/prep").out.splitlines() == [
        f"{prep} (Succeeded)",
        f"|-> {name} (Failed)  p = outputs.x  [dag]",
        f"`-> {tune} (Succeeded)  [dag]",
    ]
    links = json.loads(cli("lineage", "--local", tune, "--up", "-o", "json").out)["edges"]
    assert [(link["kind"], link["values"]) for link in links] == [("dag", {})]
    assert "[dag]" in cli("lineage", "--local", tune, "-o", "dot").out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--stage", "graph"), "only a pipeline (run.kind: dag) has a graph; this is a job"),
        (("-o", "dot"), "-o dot draws a graph"),
        (("--stage", "plan", "-o", "mermaid"), "-o mermaid draws a graph"),
    ],
)
def test_what_has_no_graph_is_refused(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    (tmp_path / "job.yaml").write_text(json.dumps({"kind": "component", "run": RUN}))
    ran = cli("render", "-f", "job.yaml", *words)
    assert ran.code == 2
    assert error in ran.errors[0]
