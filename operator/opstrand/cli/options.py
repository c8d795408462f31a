"""Options that several commands share, each declared once.

Owns `Target`: which cluster and which project. Must not open a connection.
"""

from __future__ import annotations

import functools
import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from opstrand.cli.errors import CliError
from opstrand.core.names import MAIN_CONTAINER, is_namespace

Function = Callable[..., Any]


@dataclass(frozen=True)
class Target:
    """Which cluster and project to use.

    None means kubectl's choice. `is_local` means the runs of `opstrand run --local`. `is_verbose`:
    each request is shown.
    """

    project: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    is_local: bool = False
    is_verbose: bool = False

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
        if "=" in name:
            raise CliError(
                f"there can be no project {name!r}",
                hint=f"-p and -n name the project; a param is -P {name}",
            )
        hint = "A project is a namespace: lower-case letters, digits and dashes, at most 63."
        raise CliError(f"there can be no project {name!r}", hint=hint)
    return name


def add_options(function: Function, options: Sequence[Callable[[Any], Any]]) -> Function:
    """Return the function with these options, in the order in which help shows them."""
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def namespace_option(**rest: Any) -> Callable[[Any], Any]:
    """Return -n as every command has it, with `rest` for its default and help."""
    return click.option(
        *("-n", "--namespace", "-p", "--project", "project"),
        envvar="OPSTRAND_PROJECT",
        metavar="NAMESPACE",
        **rest,
    )


_CLUSTER = (
    namespace_option(help="Namespace, which is the project. [default: the context's]"),
    click.option(
        "--context",
        envvar="OPSTRAND_CONTEXT",
        metavar="NAME",
        help="Context of the kubeconfig.",
    ),
    click.option(
        "--kubeconfig", metavar="FILE", help="Kubeconfig. [default: $KUBECONFIG, ~/.kube/config]"
    ),
    click.option("-v", "--verbose", is_flag=True, help="Show each request to the API server."),
)


def cluster_options(function: Function) -> Function:
    """Add -n, --context, --kubeconfig and -v as one argument `target`."""
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
        verbose: bool,
        local: bool = False,
        **rest: Any,
    ) -> Any:
        return function(target=Target(project, context, kubeconfig, local, verbose), **rest)

    return add_options(wrapped, options)


def file_options(function: Function) -> Function:
    """Add -f, -P and --strict-params, the parts of an operation."""
    return add_options(function, _FILE)


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


class Duration(click.ParamType[float]):
    """A finite time above 0 as kubectl and Go write it, in seconds: `90`, `5m`, `1h30m`, `7d`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
        if seconds is None:
            self.fail(f"{value!r} is no duration: expected such as 90, 5m, 1h30m or 7d", param, ctx)
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r}: expected a finite time above 0", param, ctx)
        return seconds


_PART = r"(\d+(?:\.\d*)?|\.\d+)(ms|[smhdw])"
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> float | None:
    """Return the seconds of a number, or of parts with units; None for any other text."""
    try:
        return float(text)
    except ValueError:
        pass
    if not re.fullmatch(f"(?:{_PART})+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))


timeout_option = click.option(
    "--timeout", type=Duration(), metavar="TIME", help="Wait at most so long (5m); exit code 124."
)

watch_option = click.option(
    "-w", "--watch", is_flag=True, help="Go on, and show each change; Ctrl-C ends it."
)

selector_option = click.option(
    "-l",
    "--selector",
    default="",
    metavar="KEY=VALUE",
    help="Only runs with these labels, as in kubectl.",
)


#: Forms of kubectl's output that are templates of another kind.
_TEMPLATES = ("custom-columns", "go-template", "template")


class Output(click.ParamType[str]):
    """One of the choices, or one of these prefixes with text behind it: `jsonpath={.status}`."""

    name = "output"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = click.Choice([one for one in choices if not one.endswith("=")])
        self._prefixes = tuple(one for one in choices if one.endswith("="))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if self._prefixes and str(value).startswith(self._prefixes):
            return str(value)
        kind, sign, _ = str(value).partition("=")
        if sign and self._prefixes and kind in _TEMPLATES:
            self.fail(f"-o {kind} is kubectl's: here it is {self._prefixes[0]}...", param, ctx)
        if self._prefixes and f"{value}=" in self._prefixes:
            self.fail(f"{value!r} needs a value: {value}='{{.status.phase}}'", param, ctx)
        return str(self._choices.convert(value, param, ctx))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join([*self._choices.choices, *(f'{one}...' for one in self._prefixes)])}]"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        offered = [*self._choices.choices, *self._prefixes]
        return [CompletionItem(one) for one in offered if one.startswith(incomplete)]


def output_option(*choices: str, default: str | None = None) -> Callable[[Function], Function]:
    """Add -o with these choices; the first is the default unless `default` names another."""
    return click.option(
        "-o",
        "--output",
        type=Output(choices),
        default=default or choices[0],
        show_default=True,
        help="How to show it.",
    )


def container_option(function: Function) -> Function:
    """Add the option that names a container of a run's Pod."""
    option: Callable[[Function], Function] = click.option(
        "-c",
        "--container",
        default=MAIN_CONTAINER,
        show_default=True,
        metavar="NAME",
        help="Container of the Pod.",
    )
    return option(function)
