"""`opstrand doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opstrand import __version__
from opstrand.cli.command import command, execute
from opstrand.cli.errors import ExitCode
from opstrand.cli.options import Target, cluster_options, output_option
from opstrand.cli.output.console import paint, show
from opstrand.text import inline

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@command
@cluster_options
@output_option("text", "json")
def doctor(target: Target, output: str) -> int:
    """Look for what is wrong with the cluster's installation.

    Each line says what was found, and what to do if something is wrong. The exit code is 0 if
    nothing failed, 5 if the cluster does not answer, else 1.
    """
    findings = execute(_examine(target))
    if output == "json":
        from opstrand.cli.output.format import as_json

        show(
            as_json(
                {"opstrand": __version__, "findings": [asdict(finding) for finding in findings]}
            )
        )
    else:
        for finding in findings:
            _show(finding)
    failed = [finding for finding in findings if finding.verdict == "failed"]
    if failed and failed[0].name == "cluster":
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED if failed else ExitCode.SUCCEEDED


def _show(finding: Any) -> None:
    mark = paint(f"{finding.verdict.value:<8}", _STYLES[finding.verdict.value])
    show(f"{mark} {finding.name}: {inline(finding.message)}")
    if finding.todo:
        show(f"         -> {inline(finding.todo)}")


async def _examine(target: Target) -> list[Any]:
    from opstrand.cli.cluster.connection import ask_cluster
    from opstrand.cli.cluster.doctor_checks import examine

    async with ask_cluster(target) as cluster:
        return await examine(cluster)
