"""`opstrand components ls|get|apply`: the hub, which is the Components of a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from opstrand.cli.command import COMMAND, execute, group
from opstrand.cli.errors import CliError, ExitCode, is_kind_unknown
from opstrand.cli.options import Target, cluster_options, output_option
from opstrand.cli.output.console import say, show
from opstrand.cli.output.format import one_line, show_age, show_objects
from opstrand.cli.output.table import as_table
from opstrand.core.names import API_VERSION, CREATED_BY
from opstrand.text import suggest
from opstrand.types import Body


@group
def components() -> None:
    """List, show and apply components of the hub.

    `hubRef: echo` in an operation names the Component `echo` of its namespace, `hubRef: echo:v2`
    the Component `echo.v2`.
    """


@components.command("ls", cls=COMMAND)
@cluster_options
@output_option("table", "json", "yaml", "name")
def list_components(target: Target, output: str) -> None:
    """List components."""
    found = execute(_list(target))
    if output == "name":
        for one in found:
            show(hub_name(one))
    elif output != "table":
        show(show_objects(found, output))
    elif found:
        rows = [
            [
                hub_name(one),
                _kind(one),
                show_age(one["metadata"].get("creationTimestamp")),
                _about(one),
            ]
            for one in found
        ]
        show(as_table(["NAME", "KIND", "AGE", "ABOUT"], rows))
    else:
        say("no components")


@components.command("get", cls=COMMAND)
@cluster_options
@click.argument("name", metavar="NAME[:TAG]")
@output_option("yaml", "json")
def get_component(target: Target, name: str, output: str) -> None:
    """Show a component as the file that it was applied from."""
    from opstrand.cli.output.format import as_json, as_yaml

    spec = execute(_get(target, name))["spec"]
    show(as_json(spec) if output == "json" else as_yaml(spec))


@components.command("apply", cls=COMMAND)
@cluster_options
@click.option("-f", "--file", required=True, metavar="FILE", help="A component, `-` for stdin.")
@click.option(
    "--name", metavar="NAME[:TAG]", help="Its name in the hub. [default: the component's own]"
)
def apply_component(target: Target, file: str, name: str | None) -> None:
    """Create a component, or replace its content.

    Runs that were started keep the component that they were started with.
    """
    from opstrand.cli.files.references import Reader, read_file
    from opstrand.cli.files.source_map import Layer
    from opstrand.core.pipelines.hub import component_name
    from opstrand.spec.polyaxonfile import parse_component

    document = read_file(file)
    if isinstance(document.data, Mapping) and document.data.get("kind") == "operation":
        raise CliError(f"{file}: this is an operation; the hub holds components")
    component = parse_component(document.data, document=document)
    wanted = document.data.get("name") if name is None else name
    if wanted is None:
        raise CliError(
            f"{file}: the component has no name", hint="Give it one by --name NAME[:TAG]."
        )
    reader = Reader()
    reader.layers.append(Layer(document))
    written = reader.inline(component.written, file)
    say(execute(_apply(target, component_name(str(wanted), "--name"), written)))


def hub_name(body: Body) -> str:
    """Return the name as a hubRef spells it: the first dot of the object's name begins the tag."""
    name, dot, tag = str(body["metadata"]["name"]).partition(".")
    return f"{name}:{tag}" if dot else name


def _kind(body: Body) -> str:
    run = (body.get("spec") or {}).get("run")
    return str(run.get("kind") or "") if isinstance(run, Mapping) else ""


def _about(body: Body) -> str:
    return one_line(str((body.get("spec") or {}).get("description") or ""), 60)


async def _list(target: Target) -> list[Any]:
    from opstrand.cli.cluster.connection import ask_cluster
    from opstrand.kube.resources import COMPONENTS

    async with ask_cluster(target) as cluster:
        found, _ = await cluster.api.list(COMPONENTS, cluster.project)
        if not found:
            await cluster.require_project()
        return sorted(found, key=lambda one: str(one["metadata"]["name"]))


async def _get(target: Target, name: str) -> Any:
    from opstrand.cli.cluster.connection import ask_cluster
    from opstrand.core.pipelines.hub import component_name
    from opstrand.kube.errors import NotFound
    from opstrand.kube.resources import COMPONENTS

    async with ask_cluster(target) as cluster:
        try:
            return await cluster.api.get(COMPONENTS, cluster.project, component_name(name, "NAME"))
        except NotFound:
            known = [
                hub_name(one) for one in (await cluster.api.list(COMPONENTS, cluster.project))[0]
            ]
            raise CliError(
                f"there is no component {name!r} in project "
                f"{cluster.project!r}{suggest(name, known)}",
                code=ExitCode.NOT_FOUND,
            ) from None


async def _apply(target: Target, name: str, written: Mapping[str, Any]) -> str:
    from opstrand.cli.cluster.connection import ask_cluster, missing_project
    from opstrand.kube.errors import AlreadyExists, NotFound
    from opstrand.kube.resources import COMPONENTS

    async with ask_cluster(target) as cluster:
        metadata = {"name": name, "labels": {CREATED_BY: "cli"}}
        body = {
            "apiVersion": API_VERSION,
            "kind": "Component",
            "metadata": metadata,
            "spec": dict(written),
        }
        try:
            await cluster.api.create(COMPONENTS, cluster.project, body)
            return f"component {name} created in project {cluster.project}"
        except AlreadyExists:
            ops = [{"op": "replace", "path": "/spec", "value": dict(written)}]
            await cluster.api.json_patch(COMPONENTS, cluster.project, name, ops)
            return f"component {name} replaced in project {cluster.project}"
        except NotFound as error:
            if is_kind_unknown(error):
                raise
            raise missing_project(cluster.project) from None
