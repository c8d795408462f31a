"""A test or CI runs every command of the README and docs/, or the list says why not; and every
`make` target and `opstrand` option is real.
"""

from __future__ import annotations

import re

import click
import pytest
from tests.support.documented_commands import CHECKOUT, COMMANDS, PAGES, By, read_commands

from opstrand.cli.app import COMMANDS as SUBCOMMANDS
from opstrand.cli.app import load_command

_SPAN = re.compile(r"`(opstrand|make) ([^`]+)`")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def spoken() -> list[tuple[str, str]]:
    """Return `opstrand ...` and `make ...` from the text and the blocks of all pages."""
    spans = {
        found
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for found in _SPAN.findall(page.read_text())
    }
    typed = {
        (words[0], words[1])
        for one in read_commands()
        if (words := one.command.partition(" ")[::2])[0] in ("opstrand", "make")
    }
    return sorted(spans | typed)


def test_every_command_of_a_page_is_run_or_says_why_not() -> None:
    shown = {one.command for one in read_commands()}
    assert shown - set(COMMANDS) == set(), "add them to tests/support/documented_commands.py"
    assert set(COMMANDS) - shown == set(), "no page shows them any more"


@pytest.mark.parametrize(
    "command", [command for command, how in COMMANDS.items() if isinstance(how, By)]
)
def test_what_is_said_to_run_a_command_is_there(command: str) -> None:
    how = COMMANDS[command]
    assert isinstance(how, By)
    # Without white space: the formatter decides where an argument begins a line.
    file, words = ("".join(text.split()) for text in ((CHECKOUT / how.file).read_text(), how.words))
    assert words in file, f"{how.file} does not run it"


@pytest.mark.parametrize(("program", "rest"), spoken())
def test_every_target_and_option_that_a_page_names_is_real(program: str, rest: str) -> None:
    words = rest.split()
    if program == "make":
        assert {
            word for word in words if word.isascii() and re.fullmatch("[a-z0-9-]+", word)
        } <= TARGETS
        return
    if words[0].startswith("-") or words[0] == "help":
        return
    # What stands behind `--` is the command of an image.
    words = words[: words.index("--")] if "--" in words else words
    name = words[0]
    assert name in SUBCOMMANDS
    command = load_command(name)
    if isinstance(command, click.Group):
        command = command.commands[words[1]]
    known = {
        option
        for param in command.params
        if isinstance(param, click.Option)
        for option in (*param.opts, *param.secondary_opts)
    }
    assert {word.partition("=")[0] for word in words[1:] if word.startswith("-")} <= known | {
        "--help"
    }
