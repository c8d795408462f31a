"""What to do about a reason, in terms of what is known where it is shown."""

from __future__ import annotations

import re

import pytest

from opstrand.cli.errors import ExitCode, explain
from opstrand.cli.options import Target
from opstrand.cli.output.describe import advise_run
from opstrand.errors import REASONS, Known, PlatformError, SpecError, advise

HERE = Target(is_local=True)
#: What is not there with --local.
CLUSTER = re.compile(r"API server|operator's|cluster|doctor", re.IGNORECASE)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("target", [Target(), Target(context="c"), HERE])
def test_no_advice_about_a_known_run_says_run(reason: str, target: Target) -> None:
    body = {
        "metadata": {"name": "train", "namespace": "p"},
        "status": {"phase": "Waiting", "reason": reason},
    }
    told = advise_run(body, target)
    assert not re.search(r"\b(RUN|STEP)\b", told)
    for line in re.findall(r"`(opstrand (?:logs|approve) [^`]*)`", told):
        assert line.split()[2] == "train"
        assert line.endswith(target.flags("p"))


@pytest.mark.parametrize("reason", REASONS)
def test_advice_without_a_cluster_names_no_part_of_one(reason: str) -> None:
    assert not CLUSTER.search(advise(reason, Known(run="train", is_local=True)))


@pytest.mark.parametrize("reason", REASONS)
def test_advice_without_a_path_shows_none(reason: str) -> None:
    assert "path shown" not in advise(reason, Known(has_path=False))


def test_a_path_is_named_only_if_one_is_shown() -> None:
    shown = explain(SpecError("InvalidSpec", "expected a mapping", "component.run"))
    none = explain(SpecError("InvalidSpec", "expected a mapping"))
    assert ["path shown" in found.hints[0] for found in (shown, none)] == [True, False]


def test_a_fault_of_this_machine_asks_for_no_kubeconfig() -> None:
    found = explain(PlatformError("the process that evaluates templates does not start"))
    assert found.code is ExitCode.UNREACHABLE
    assert "kubeconfig" not in "".join(found.hints)
    credentials = explain(PlatformError("no credentials", reason="ClusterUnreachable"))
    assert "kubeconfig" in credentials.hints[0]


def test_advice_about_an_init_step_names_it() -> None:
    status = {
        "phase": "Starting",
        "reason": "InitRunning",
        "message": "init step 'get data' has been running since 2026-11-30T07:00:00Z",
    }
    body = {"metadata": {"name": "train", "namespace": "p"}, "status": status}
    told = advise_run(body, Target())
    assert "`opstrand logs train -c 'get data' --project p`" in told
