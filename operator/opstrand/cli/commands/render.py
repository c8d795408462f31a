"""`opstrand render`: what a file would become."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from opstrand.cli.command import command
from opstrand.cli.errors import CliError
from opstrand.cli.files.given import Given, given_options
from opstrand.cli.options import (
    check_project,
    connections_option,
    namespace_option,
    output_option,
)
from opstrand.cli.output.console import say, show, show_bytes
from opstrand.cli.output.format import as_json, as_yaml
from opstrand.errors import SpecError
from opstrand.settings import Settings

if TYPE_CHECKING:
    from opstrand.cli.checking.rendering import Rendering
    from opstrand.cli.files.submission import Submission


#: Outputs that only a graph has.
_DRAWN = ("dot", "mermaid")


@command
@given_options
@click.option(
    "--stage",
    type=click.Choice(["operation", "compiled", "graph", "inputs", "plan", "pod"]),
    default="pod",
    show_default=True,
    help="How far.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="FILE",
    help="Operations with their status, for refs; repeat it for more.",
)
@click.option("--uuid", "uid", metavar="UUID", help="The run's uuid. [default: zeros]")
@click.option("--name", metavar="NAME", help="The run's name. [default: from the file]")
@namespace_option(default="default", show_default=True, help="Namespace, which is the project.")
@connections_option
@output_option("yaml", "json", "dot", "mermaid")
def render(
    given: Given,
    stage: str,
    upstreams: tuple[str, ...],
    uid: str | None,
    name: str | None,
    project: str,
    connections: str | None,
    output: str,
) -> None:
    """Show what a file would become, without a cluster.

    FILE is the same as -f FILE, and an image with its command may stand there, as in `run`.
    `--stage inputs` is what get_inputs() returns in the run; `--stage plan -o json` prints the
    plan's canonical bytes, whose SHA-256 (without the last newline) is the Pod's annotation
    opstrand.dev/plan-digest. `--stage graph` is that of a pipeline, with -o dot for Graphviz or
    -o mermaid too.
    """
    if output in _DRAWN and stage != "graph":
        raise CliError(f"-o {output} draws a graph", hint="Add --stage graph.")
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.checking.rendering import (
        Rendering,
        fix_identity,
        make_operation,
        read_objects,
        read_upstreams,
    )
    from opstrand.cli.checking.validate import validate_submission
    from opstrand.controller.connections_file import read_connections
    from opstrand.controller.template_worker import Sandbox
    from opstrand.core.normalize import as_stored
    from opstrand.core.templates.meter import metered

    settings = Settings.from_environment()
    submission = given.read()
    known = read_upstreams([body for file in upstreams for body in read_objects(file)], settings)
    catalog = read_connections(connections)
    with Sandbox() as sandbox:
        complete = stage not in ("operation", "compiled", "graph")
        verdict = validate_submission(
            submission,
            evaluate=sandbox.for_one_run(),
            complete=complete,
            catalog=catalog,
            for_cluster=True,
        )
        verdict.require()
        for note in verdict.notes:
            say(f"note: {given.label}: {note}")
        operation = make_operation(submission, name=name)
        body = fix_identity(operation, project=check_project(project), uid=uid)
        # The engine sees what the cluster stores; the user sees what the file says.
        rendering = Rendering(
            body if stage in ("compiled", "graph") else as_stored(body),
            settings,
            known,
            metered(sandbox.for_one_run()),
            catalog,
        )
        _show(_STAGES[stage], rendering, submission, operation, output)


def _show(
    stage: _Stage,
    rendering: Rendering,
    submission: Submission,
    operation: dict[str, Any],
    output: str,
) -> None:
    try:
        value = operation if stage is _operation else stage(rendering)
    except SpecError as error:
        raise submission.place(error) from None
    if output in _DRAWN:
        show(_draw(value, output))
    elif stage is _plan and output == "json":
        show_bytes(rendering.attempt.plan.as_json() + b"\n")
    elif isinstance(value, list):
        show(
            as_json({"apiVersion": "v1", "kind": "List", "items": value})
            if output == "json"
            else as_yaml(value, several=True)
        )
    else:
        show(as_json(value) if output == "json" else as_yaml(value))


_Stage = Callable[["Rendering"], Any]


def _operation(rendering: Rendering) -> Any:
    return rendering.body


def _compiled(rendering: Rendering) -> Any:
    assert rendering.prepared.compiled is not None
    return rendering.prepared.compiled.as_dict()


def _graph(rendering: Rendering) -> Any:
    from opstrand.cli.output.pipelines.graph import read_graph_of
    from opstrand.runs.compiling import compile_body

    return read_graph_of(compile_body(rendering.body))


def _draw(graph: Any, output: str) -> str:
    from opstrand.cli.output.pipelines.graph import as_dot, as_mermaid

    return as_dot(graph) if output == "dot" else as_mermaid(graph)


def _inputs(rendering: Rendering) -> Any:
    return dict(rendering.resolved.inputs)


def _require_pod(rendering: Rendering) -> None:
    compiled = rendering.prepared.compiled
    kind = "matrix" if compiled is not None and compiled.matrix is not None else None
    kind = compiled.kind if compiled is not None and compiled.kind == "dag" and not kind else kind
    if kind is not None:
        hint = " or --stage graph" if kind == "dag" else ""
        raise CliError(
            f"a {kind} has no Pod: it makes runs, which have one each",
            hint=f"Use --stage compiled{hint}.",
        )


def _plan(rendering: Rendering) -> Any:
    _require_pod(rendering)
    return rendering.attempt.plan.as_dict()


def _pod(rendering: Rendering) -> Any:
    """Return what the operator would create: a job's Pod, or a service's Service and Deployment.

    The ConfigMap of init files that are too long for an env variable comes before them.
    """
    _require_pod(rendering)
    manifests = rendering.attempt.manifests
    return manifests[0] if len(manifests) == 1 else manifests


_STAGES: dict[str, _Stage] = {
    "operation": _operation,
    "compiled": _compiled,
    "graph": _graph,
    "inputs": _inputs,
    "plan": _plan,
    "pod": _pod,
}
