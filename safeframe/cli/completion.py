"""The command ``safeframe completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes this command in a shell.

    \b
    bash: safeframe completion bash >> ~/.bashrc
    zsh:  safeframe completion zsh >> ~/.zshrc
    fish: safeframe completion fish > ~/.config/fish/completions/safeframe.fish
    """
    script = get_completion_class(shell)
    assert script is not None, "click completes these shells"
    command = ctx.find_root().command
    click.echo(script(command, {}, "safeframe", "_SAFEFRAME_COMPLETE").source())
