"""Options that several commands share, each declared once.

Owns `Target`: which cluster and which project. Must not open a connection.
"""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from opstrand.cli.errors import CliError
from opstrand.core.names import is_namespace

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """Which cluster and project to use.

    None means kubectl's choice. `is_local` means the runs of `opstrand run --local`.
    """

    project: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    is_local: bool = False

    def command(self, *words: str, project: str) -> str:
        """Return a command line for the same target, ready to be pasted."""
        return f"{shlex.join(['opstrand', *words])} {self.flags(project)}"

    def flags(self, project: str) -> str:
        """Return the options that lead to the same target, ready to be pasted."""
        given = [
            ("--project", project),
            ("--context", self.context),
            ("--kubeconfig", self.kubeconfig),
        ]
        flags = [part for flag, value in given if value for part in (flag, value)]
        return shlex.join([*flags, *(["--local"] if self.is_local else [])])


#: kubectl's choice of a cluster and a project.
ANYWHERE = Target()


def check_project(name: str) -> str:
    """Return the project's name if Kubernetes accepts it as a namespace.

    Raises CliError otherwise: the option is wrong, rather than the project missing.
    """
    if not is_namespace(name):
        hint = "A project is a namespace: lower-case letters, digits and dashes, at most 63."
        raise CliError(f"there can be no project {name!r}", hint=hint)
    return name


_CLUSTER = (
    click.option(
        "-p",
        "--project",
        envvar="OPSTRAND_PROJECT",
        metavar="NAMESPACE",
        help="Project, which is a namespace. [default: the context's]",
    ),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
    click.option(
        "--kubeconfig", metavar="FILE", help="Kubeconfig. [default: $KUBECONFIG, ~/.kube/config]"
    ),
)


def cluster_options(function: Function) -> Function:
    """Add -p, --context and --kubeconfig as one argument `target`."""
    return _with_target(function, _CLUSTER)


def local_or_cluster_options(function: Function) -> Function:
    """Add the same options and --local."""
    return _with_target(
        function,
        (
            *_CLUSTER,
            click.option(
                "--local", is_flag=True, help="The runs of `run --local`, without a cluster."
            ),
        ),
    )


def _with_target(function: Function, options: tuple[Callable[[Any], Any], ...]) -> Function:
    @functools.wraps(function)
    def wrapped(
        *,
        project: str | None,
        context: str | None,
        kubeconfig: str | None,
        local: bool = False,
        **rest: Any,
    ) -> Any:
        return function(target=Target(project, context, kubeconfig, local), **rest)

    decorated: Any = wrapped
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def file_options(function: Function) -> Function:
    """Add -f, -P and --strict-params, the parts of an operation."""
    decorated: Any = function
    for option in reversed(_FILE):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_FILE = (
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Polyaxonfile, `-` for stdin; further ones are presets.",
    ),
    click.option(
        "-P",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="Value of a param; repeat it for more.",
    ),
    click.option(
        "--strict-params/--no-strict-params",
        default=None,
        help="Refuse params that no input or output declares.",
    ),
)


connections_option = click.option(
    "--connections",
    envvar="OPSTRAND_CONNECTIONS",
    metavar="FILE",
    help="Catalog of connections, as the operator has it. [default: $OPSTRAND_CONNECTIONS]",
)


class _Seconds(click.FloatRange):
    """A finite number of seconds."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        return (
            seconds if math.isfinite(seconds) else self.fail(f"{value!r} never comes", param, ctx)
        )


timeout_option = click.option(
    "--timeout",
    type=_Seconds(min=0, min_open=True),
    metavar="SECONDS",
    help="Wait at most so long; exit code 124.",
)


def output_option(*choices: str, default: str | None = None) -> Callable[[Function], Function]:
    """Add -o with these choices; the first is the default unless `default` names another."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=default or choices[0],
        show_default=True,
        help="How to show it.",
    )
