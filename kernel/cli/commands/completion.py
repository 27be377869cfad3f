"""``kernel completion``: click's shell completion, and how to install it."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from kernel.cli import output
from kernel.cli.base import Command
from kernel.errors import KernelError

_INSTALL = {
    "bash": "echo 'eval \"$(kernel completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(kernel completion zsh)\"' >> ~/.zshrc",
    "fish": "kernel completion fish > ~/.config/fish/completions/kernel.fish",
}


@click.command(
    cls=Command,
    examples=('eval "$(kernel completion bash)"', *_INSTALL.values()),
)
@click.argument("shell", type=click.Choice(tuple(_INSTALL)))
def completion(shell: str) -> None:
    """Print the script that has your shell complete the commands, options and plugins' names of `kernel`.

    Evaluate it to try it; add the line of your shell, below, to keep it.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise KernelError(f"this release of click does not complete for {shell}; install click 8.2 or later")
    root = click.get_current_context().find_root().command
    output.say(kind(root, {}, "kernel", "_KERNEL_COMPLETE").source())
    if output.on_terminal():
        output.say(f"To keep it, type:  {_INSTALL[shell]}", sys.stderr)
