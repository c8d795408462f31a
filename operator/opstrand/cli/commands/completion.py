"""`opstrand completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from opstrand.cli.command import command
from opstrand.cli.output.console import show


@command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    bash: opstrand completion bash > ~/.local/share/bash-completion/completions/opstrand

    zsh: opstrand completion zsh > ~/.zfunc/_opstrand, with ~/.zfunc in fpath

    fish: opstrand completion fish > ~/.config/fish/completions/opstrand.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    show(kind(click.Group("opstrand"), {}, "opstrand", "_OPSTRAND_COMPLETE").source())
