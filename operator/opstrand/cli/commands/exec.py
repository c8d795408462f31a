"""`opstrand exec`: a command in a running run's container."""

from __future__ import annotations

import sys
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError
from opstrand.cli.options import Target, container_option, local_or_cluster_options
from opstrand.core.names import container_name


@command
@local_or_cluster_options
@click.argument("run")
@click.argument("words", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]", type=click.UNPROCESSED)
@container_option
@click.option("-i", "--stdin", "has_stdin", is_flag=True, help="Pass stdin to the command.")
@click.option(
    "-t", "--tty", is_flag=True, help="Give it a terminal. [default: where this is one, with -i]"
)
def exec(
    target: Target,
    run: str,
    words: tuple[str, ...],
    container: str,
    has_stdin: bool,
    tty: bool,
) -> int:
    """Execute a command in the container of a running run.

    Without COMMAND it is a shell. At a terminal it is interactive, as `kubectl exec -it`. The exit
    code is the command's.
    """
    if target.is_local:
        raise CliError(
            "a local run is a process of this machine, and has no container to execute in",
            hint=f"Its files: opstrand cp --local {run}:. FOLDER",
        )
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if tty and not is_terminal:
        raise CliError("-t: this is no terminal", hint="Leave out -t; -i passes stdin.")
    is_interactive = is_terminal and (tty or not words)
    return execute(
        _execute(
            target,
            run,
            words or ("sh",),
            container_name(container),
            has_stdin=has_stdin or is_interactive,
            has_terminal=is_interactive,
        )
    )


async def _execute(
    target: Target,
    run: str,
    words: tuple[str, ...],
    container: str,
    *,
    has_stdin: bool,
    has_terminal: bool,
) -> int:
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.container import find_container
    from opstrand.cli.cluster.terminal import iter_input, iter_sizes, raw_terminal

    async with open_cluster(target) as cluster:
        found = await find_container(cluster, target, run, container)
        with raw_terminal(is_wanted=has_terminal):
            return await found.execute(
                words,
                stdin=iter_input() if has_stdin else None,
                sizes=iter_sizes() if has_terminal else None,
                on_output=lambda data: _write(sys.stdout, data),
                on_error=lambda data: _write(sys.stderr, data),
            )


def _write(stream: Any, data: bytes) -> None:
    """Write what the command wrote as it is: an editor draws by escapes."""
    stream.buffer.write(data)
    stream.buffer.flush()
