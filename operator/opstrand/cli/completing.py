"""What a shell completes: files, runs, projects, phases, params, components and fields.

Owns which option or argument completes what, by its metavar, so that a new option needs no entry.
Must print nothing and raise nothing: the shell shows both between the user's words. Imports what a
completion needs only for that completion.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from opstrand.cli.cluster.connection import Cluster

Find = Callable[[click.Context, str], Iterable[str]]

#: Seconds after which a cluster that does not answer completes nothing; and after which this
#: process ends even if something keeps it from noticing.
_PATIENCE, _MOST_PATIENCE = 2.0, 4.0
_FILE = ("FILE", "[FILE]", "[FILE]...", "FOLDER")


class _Completed(click.ParamType[str]):
    """Text of which the shell completes what `find` returns."""

    name = "text"

    def __init__(self, find: Find) -> None:
        self.find = find

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        with suppress(Exception):
            found = self.find(ctx, incomplete)
            begins = incomplete.lower()
            return [CompletionItem(one) for one in found if one.lower().startswith(begins)]
        return []


class _File(click.ParamType[str]):
    """A file, which the shell itself completes."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def add_completions(command: click.Command) -> None:
    """Give each option and argument of the command, and of its commands, what it completes."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_completions(inner)
    for param in command.params:
        found = _choose(param)
        if found is not None:
            param.type = found


def _choose(param: click.Parameter) -> click.ParamType[str] | None:
    if param.metavar in _FILE:
        return _File()
    find = _BY_NAME.get(param.name or "") or _BY_METAVAR.get(param.metavar or "")
    return None if find is None else _Completed(find)


def _find_runs(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Return the runs that no pipeline made; those that one made where no other name fits, and of
    PIPELINE/ its operations.
    """
    if "/" in incomplete:
        return _find_ops(_list_bodies(ctx), incomplete)
    roots = _names(_list_bodies(ctx, roots=True))
    fits = any(name.startswith(incomplete.lower()) for name in roots)
    return roots if fits else _names(_list_bodies(ctx))


def _find_pipelines(ctx: click.Context, _: str) -> Iterable[str]:
    from opstrand.runs.members import is_pipeline

    return _names(filter(is_pipeline, _list_bodies(ctx)))


def _find_ops(bodies: list[Any], incomplete: str) -> Iterable[str]:
    """Return PIPELINE/OPERATION for each operation of the pipeline that is written."""
    from opstrand.cli.cluster.lookup import choose
    from opstrand.runs.family import read_family

    first, *ops = incomplete.split("/")[:-1]
    body = choose(first, bodies, "")
    for op in ops:
        member = read_family(body, bodies).find(op)
        if member is None or member.body is None:
            return []
        body = member.body
    return ["/".join((first, *ops, one.op)) for one in read_family(body, bodies).members]


def _list_bodies(ctx: click.Context, *, roots: bool = False) -> list[Any]:
    if ctx.params.get("local"):
        from opstrand.cli.local_runs import PROJECT
        from opstrand.local.records import Records
        from opstrand.runs.members import is_root

        bodies = list(Records().load(ctx.params.get("project") or PROJECT))
        return list(filter(is_root, bodies)) if roots else bodies
    return _ask(ctx, _list_roots if roots else _list_runs)


async def _list_runs(cluster: Cluster) -> list[Any]:
    from opstrand.kube.resources import OPERATIONS

    return (await cluster.api.list(OPERATIONS, cluster.project))[0]


async def _list_roots(cluster: Cluster) -> list[Any]:
    from opstrand.kube.resources import OPERATIONS
    from opstrand.runs.members import ROOTS

    return (await cluster.api.list(OPERATIONS, cluster.project, labels=ROOTS))[0]


def _find_projects(ctx: click.Context, _: str) -> Iterable[str]:
    if ctx.params.get("local"):
        from opstrand.local.records import Records

        return dict.fromkeys(namespace for namespace, _ in Records().list_keys())
    return _ask(ctx, _list_projects)


async def _list_projects(cluster: Cluster) -> list[str]:
    from opstrand.kube.resources import NAMESPACES

    return _names((await cluster.api.list(NAMESPACES, None))[0])


def _find_contexts(ctx: click.Context, _: str) -> Iterable[str]:
    from opstrand.kube.contexts import list_kubeconfigs, name_contexts, read_kubeconfig

    files = list_kubeconfigs(ctx.params.get("kubeconfig"))
    # A pipe can be read only once, and the next command will read it.
    return name_contexts(read_kubeconfig(file) for file in files if os.path.isfile(file))


def _find_components(ctx: click.Context, _: str) -> Iterable[str]:
    return _ask(ctx, _list_components)


async def _list_components(cluster: Cluster) -> list[str]:
    from opstrand.kube.resources import COMPONENTS

    found, _ = await cluster.api.list(COMPONENTS, cluster.project)
    # The first dot of an object's name begins the tag.
    return [name.replace(".", ":", 1) for name in _names(found)]


def _names(bodies: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(body["metadata"]["name"]) for body in bodies]


def _ask(ctx: click.Context, ask: Callable[[Cluster], Awaitable[list[Any]]]) -> list[Any]:
    """Return the answer of the cluster that the options name.

    The process ends without an answer if the cluster or the login command takes too long.
    """
    import asyncio

    _leave_terminal()
    timer = threading.Timer(_MOST_PATIENCE, os._exit, (0,))
    timer.daemon = True
    timer.start()
    try:
        return asyncio.run(_open_and_ask(ctx.params, ask))
    finally:
        timer.cancel()
        _end_login()


def _leave_terminal() -> None:
    """Detach from the terminal: a login command must neither ask nor print while the user types."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 2)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def _end_login() -> None:
    """End a login command that still runs: it is in the process group of this process."""
    # A function, since what is ignored here would be ignored by the others too.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.killpg(0, signal.SIGTERM)


async def _open_and_ask(
    params: Mapping[str, Any], ask: Callable[[Cluster], Awaitable[list[Any]]]
) -> list[Any]:
    import asyncio

    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.options import Target

    target = Target(params.get("project"), params.get("context"), params.get("kubeconfig"))
    async with asyncio.timeout(_PATIENCE), open_cluster(target) as cluster:
        return await ask(cluster)


def _find_sources(ctx: click.Context, _: str) -> Iterable[str]:
    """Return the runs whose files `cp` may copy."""
    return [f"{name}:" for name in _find_runs(ctx, "")]


def _find_paths(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Return what is in the folder of the run's files that the text begins to name."""
    import asyncio

    from opstrand.cli.local_files import open_local_files
    from opstrand.cli.options import Target

    above = "".join(incomplete.rpartition("/")[:2])

    async def list_in_cluster(cluster: Cluster) -> list[Any]:
        from opstrand.cli.cluster.kept_files import KeptFiles

        body = await cluster.find(ctx.params["run"], with_gone=True)
        return [await KeptFiles(cluster.api, body).list_folder(above)]

    if ctx.params.get("local"):
        files = open_local_files(Target(ctx.params.get("project")), ctx.params["run"])
        found = asyncio.run(files.list_folder(above))
    else:
        (found,) = _ask(ctx, list_in_cluster)
    return [*(f"{above}{name}/" for name in found.folders), *(above + one for one in found.files)]


def _find_settings(_: click.Context, __: str) -> Iterable[str]:
    from opstrand.cli.configuration import SETTINGS

    return SETTINGS


def _find_phases(_: click.Context, __: str) -> Iterable[str]:
    from opstrand.core.phase import Phase

    return [phase.value for phase in Phase]


def _find_params(ctx: click.Context, _: str) -> Iterable[str]:
    """Return the inputs that the files declare, and the params that they give."""
    found: dict[str, None] = {}
    for name in ctx.params.get("files") or ():
        with suppress(Exception):
            found |= dict.fromkeys(_read_params(name))
    return [f"{name}=" for name in found]


def _read_params(file: str) -> Iterable[str]:
    """Yield the names that this file and the component that it names declare."""
    from opstrand.spec.document import MAX_BYTES, parse_document

    if not os.path.isfile(file):
        return
    with open(file, "rb") as opened:
        data = parse_document(opened.read(MAX_BYTES)).data
    for section in (data, data.get("component") or {}):
        yield from (str(one["name"]) for one in section.get("inputs") or ())
        yield from map(str, section.get("params") or ())
    named = data.get("pathRef")
    if isinstance(named, str) and not data.get("component"):
        yield from _read_inputs(os.path.join(os.path.dirname(file), named))


def _read_inputs(file: str) -> Iterable[str]:
    from opstrand.spec.document import MAX_BYTES, parse_document

    if os.path.isfile(file):
        with open(file, "rb") as opened:
            data = parse_document(opened.read(MAX_BYTES)).data
        yield from (str(one["name"]) for one in data.get("inputs") or ())


def _find_fields(_: click.Context, incomplete: str) -> Iterable[str]:
    from opstrand.spec.field_names import find_names

    above, dot = incomplete.rpartition(".")[:2]
    return [f"{above}{dot}{name}" for name in find_names(above)]


#: The name of an option or argument -> what is completed.
_BY_NAME: dict[str, Find] = {
    "run": _find_runs,
    "runs": _find_runs,
    "pipeline": _find_pipelines,
    "project": _find_projects,
    "context": _find_contexts,
    "hub": _find_components,
    "field": _find_fields,
    "setting": _find_settings,
    "path": _find_paths,
    "paths": _find_paths,
}
#: The metavar of an option or argument -> what is completed.
_BY_METAVAR: dict[str, Find] = {
    "PHASE": _find_phases,
    "RUN:PATH": _find_sources,
    "NAME=VALUE": _find_params,
    "NAME[:TAG]": _find_components,
}
