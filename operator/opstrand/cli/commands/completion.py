"""`opstrand completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from opstrand.cli.command import command
from opstrand.cli.output.console import show

#: Shell -> lines of click's script, and what stands there so that no blank follows `NAME=`.
_WITHOUT_BLANK = {
    "bash": [
        (
            "            COMPREPLY+=($value)\n",
            '            COMPREPLY+=("$value")\n'
            "            if [[ $value == *= ]]; then compopt -o nospace; fi\n",
        )
    ],
    "zsh": [
        (
            '            if [[ "$descr" == "_" ]]; then\n',
            '            if [[ "$key" == *= ]]; then\n'
            "                compadd -U -S '' -V unsorted -- \"$key\"\n"
            '            elif [[ "$descr" == "_" ]]; then\n',
        )
    ],
}


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
    script = kind(click.Group("opstrand"), {}, "opstrand", "_OPSTRAND_COMPLETE").source()
    for line, better in _WITHOUT_BLANK.get(shell, ()):
        script = script.replace(line, better)
    show(script)
