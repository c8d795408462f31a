"""The commands by name, imported on demand, and the one place that maps their end to an exit code.

Owns the list of commands. A command's module is imported only when that command runs, because
`--help` must cost next to nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from typing import Any, NoReturn

import click

from opstrand.cli.command import GROUP, is_fancy
from opstrand.cli.configuration import apply_settings
from opstrand.cli.errors import CliError, ExitCode, Explanation, explain
from opstrand.cli.output.console import drop_unread, open_streams, say, show_explanation
from opstrand.errors import PlatformError, SpecError

#: Command -> its line in the list. The function of that name (`_` for `-`) in `cli.commands.NAME`
#: has the same first sentence: a test compares them.
COMMANDS: dict[str, str] = {
    "init": "Write a first polyaxonfile.",
    "check": "Validate polyaxonfiles: every error with its file and line.",
    "render": "Show what a file would become, without a cluster.",
    "run": "Run a polyaxonfile, in a cluster or as a process here.",
    "restart": "Run an operation again as a new run.",
    "ls": "List runs.",
    "get": "Show one run: its times, values, Pod, and what it waits for.",
    "ui": "Show runs in a browser.",
    "logs": "Show what a run's program wrote.",
    "metrics": "Draw the metrics of runs, and compare them.",
    "port-forward": "Reach the ports of a service from here.",
    "exec": "Execute a command in the container of a running run.",
    "cp": "Copy a file or folder of a run here, or from here to a run.",
    "artifacts": "List, copy and delete the files of runs.",
    "top": "Show the processors and memory that runs use now.",
    "wait": "Wait until runs have ended.",
    "stop": "Stop runs.",
    "suspend": "Let schedules start no runs until they are resumed.",
    "resume": "Let ended runs run again, and suspended schedules go on.",
    "approve": "Approve runs that wait for it.",
    "skip": "Skip runs that have not started.",
    "rm": "Delete runs.",
    "lineage": "Show which runs a run took values from, and which from it.",
    "diff": "Show what differs between two runs or files.",
    "components": "List, show and apply components of the hub.",
    "explain": "Say what a field of the polyaxonfile accepts.",
    "doctor": "Look for what is wrong with the cluster's installation.",
    "config": "Show and set defaults, and where each comes from.",
    "version": "Show the version.",
    "completion": "Print the completion script of a shell.",
}


class _Unread(Exception):
    """The reader of our output closed the pipe."""


class LazyGroup(click.Group):
    """The group of all commands. Listing them needs no import; running one imports its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a stand-in for the list: a command's name and its line."""
        line = COMMANDS.get(cmd_name)
        return None if line is None else click.Command(cmd_name, help=line, short_help=line)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click itself would end with 1 here, as if a run had failed.
            raise _Unread from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, give_value(ask_for_help(move_options(args))))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS:
            if not ctx.resilient_parsing:
                _refuse_name(ctx, args)
            return None, None, args
        command = load_command(name)
        if ctx.resilient_parsing:
            from opstrand.cli.completing import add_completions

            add_completions(command)
        return name, command, args[1:]


def load_command(name: str) -> click.Command:
    """Import the command and return it."""
    function = name.replace("-", "_")
    command: click.Command = getattr(
        importlib.import_module(f"opstrand.cli.commands.{function}"), function
    )
    return command


#: Options that may stand before the command too, as with kubectl: those with a value, and switches.
_WITH_VALUE = ("-n", "--namespace", "-p", "--project", "--context", "--kubeconfig")
_SWITCHES = ("--local", "-v", "--verbose")
#: Commands that have commands of their own: the options stand behind those.
_GROUPS = ("artifacts", "components", "config")


def move_options(args: Sequence[str]) -> list[str]:
    """Put options that stand before the command behind it: `-n team ls` is `ls -n team`."""
    moved: list[str] = []
    rest = list(args)
    while rest:
        name, sign, _ = rest[0].partition("=")
        size = 1 if rest[0] in _SWITCHES or (sign and name in _WITH_VALUE) else 0
        size = 2 if rest[0] in _WITH_VALUE else size
        if not size or len(rest) <= size:
            break
        moved, rest = [*moved, *rest[:size]], rest[size:]
    if not moved:
        return list(args)
    words = 2 if rest[0] in _GROUPS and len(rest) > 1 else 1
    return [*rest[:words], *moved, *rest[words:]]


def ask_for_help(args: Sequence[str]) -> list[str]:
    """Return `CMD --help` for `help CMD`, and `--help` for `help`."""
    if args[:1] != ["help"]:
        return list(args)
    words = [word for word in args[1:] if not word.startswith("-")]
    return [*words, "--help"]


def give_value(args: Sequence[str]) -> list[str]:
    """Return `--dry-run=client` for `--dry-run`, which has an optional value as in kubectl."""
    end = list(args).index("--") if "--" in args else len(args)
    return [
        "--dry-run=client" if word == "--dry-run" and index < end else word
        for index, word in enumerate(args)
    ]


def _refuse_name(ctx: click.Context, args: Sequence[str]) -> NoReturn:
    from opstrand.cli.synonyms import describe
    from opstrand.text import find_nearest

    name = args[0]
    if output := describe(args):
        raise CliError(output)
    nearest = find_nearest(name, COMMANDS)
    ctx.fail(
        f"there is no command {name!r}"
        + (f"; did you mean {nearest!r}?" if nearest else "; `opstrand --help` lists them")
    )


def make_app() -> click.Group:
    """Build the whole command line as one click group, with rich help at a terminal."""
    kinds: tuple[Any, ...] = (LazyGroup, GROUP) if is_fancy() else (LazyGroup,)
    group: type[click.Group] = type("Opstrand", kinds, {})
    return group(
        name="opstrand",
        help="Run polyaxonfile components and operations on Kubernetes, or as a process here.",
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_version,
                help="Show the version.",
            )
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from opstrand import __version__

        click.echo(f"opstrand {__version__}")
        ctx.exit()


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Any error becomes one clear message on stderr."""
    open_streams()
    code = _run(arguments)
    drop_unread()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        apply_settings()
        name = _find_name()
        return _finish(make_app().main(args=arguments, prog_name=name, standalone_mode=False))
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _complain(["interrupted"], ExitCode.INTERRUPTED)
    except click.ClickException as error:
        return _complain(_describe_usage(error), ExitCode.USAGE)
    except (CliError, SpecError, PlatformError) as error:
        return _explain(explain(error))
    except (_Unread, OSError) as error:
        return _give_up(error)
    except Exception as error:
        return _confess(error)


def _find_name() -> str:
    """Return how the user calls this: kubectl runs the same program as its plugin."""
    is_plugin = os.path.basename(sys.argv[0]).startswith("kubectl")
    return "kubectl opstrand" if is_plugin else "opstrand"


def _describe_usage(error: click.ClickException) -> list[str]:
    """Return click's message about a command line that it cannot parse, and what to do."""
    from opstrand.cli.foreign_options import advise_option

    output = StringIO()
    error.show(output)
    return [*output.getvalue().splitlines(), *advise_option(error)]


def _finish(code: object) -> int:
    # Flush now, so that a failed write is reported while stderr is still open.
    sys.stdout.flush()
    return code if isinstance(code, int) else ExitCode.SUCCEEDED


def _complain(lines: Sequence[str], code: ExitCode) -> int:
    with suppress(OSError):
        for line in lines:
            say(line)
    return code


def _explain(explanation: Explanation) -> int:
    with suppress(OSError):
        show_explanation(explanation)
    return explanation.code


def _confess(error: Exception) -> int:
    if os.environ.get("OPSTRAND_TRACEBACK"):
        raise error
    message = f"this is a bug of opstrand: {type(error).__name__}: {error}"
    hint = "OPSTRAND_TRACEBACK=1 shows where it happened."
    return _explain(Explanation((message,), (hint,), ExitCode.BUG))


def _give_up(error: Exception) -> int:
    """Report an error of this machine and no bug: a closed pipe, a full disk, a locked folder."""
    if isinstance(error, (_Unread, BrokenPipeError)):
        return ExitCode.PIPE
    return _explain(Explanation((str(error),), (), ExitCode.USAGE))
