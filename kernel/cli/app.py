"""The root of the ``kernel`` command: finds a command's module when it is asked for, and plugins' commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from kernel.cli import output
from kernel.cli.base import Project, project_option, write_commands, write_examples
from kernel.errors import KernelError, describe, explain, nearest
from kernel.http import Unavailable


class BuiltIn(NamedTuple):
    """Where a command is defined, and its line in ``kernel --help``, which must not import them all."""

    module: str
    summary: str


BUILT_IN = {
    "serve": BuiltIn("serve", "Run the project's server."),
    "init": BuiltIn("init", "Make a project folder."),
    "plugins": BuiltIn("plugins", "List, choose and write plugins."),
    "routes": BuiltIn("look", "List the routes that are served."),
    "hooks": BuiltIn("look", "List the hooks and who implements them."),
    "config": BuiltIn("config", "Show and check the settings."),
    "doctor": BuiltIn("doctor", "Find out what is wrong, and what to do about it."),
    "completion": BuiltIn("completion", "Print the script that completes commands in your shell."),
}


class PluginCommands(NamedTuple):
    """What the project's plugins add: their commands by plugin, and what kept others from being known."""

    commands: Mapping[str, Mapping[str, click.Command]]
    problem: str | None

    def find(self, name: str) -> click.Command | None:
        """Return a plugin's command by name."""
        return next((commands[name] for commands in self.commands.values() if name in commands), None)

    @property
    def names(self) -> list[str]:
        """The names of all commands."""
        return [name for commands in self.commands.values() for name in commands]


class Root(click.Group):
    """The ``kernel`` command. Built-in commands work whatever state the project and its plugins are in."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a `KernelError`, or a database that is away, becomes one line on stderr and exit code 1."""
        try:
            return super().main(*args, **kwargs)
        except KernelError as error:
            output.fail(explain(error))
        except Unavailable as error:
            output.fail(describe(error))
        sys.exit(1)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Begin with the current folder as project, which ``--project`` then changes."""
        extra.setdefault("obj", Project(Path.cwd()))
        return super().make_context(info_name, args, parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the built-in commands and the plugins'."""
        return [*BUILT_IN, *plugin_commands(ctx).names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a built-in command, without a look at plugins, or a plugin's."""
        if cmd_name in BUILT_IN:
            return built_in(cmd_name)
        return plugin_commands(ctx).find(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a command line; an unknown one is answered with the nearest there is."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing and not name.startswith("-"):
            known = plugin_commands(ctx)
            hint = nearest(name, [*BUILT_IN, *known.names])
            missing = f" (plugins' commands are missing: {known.problem})" if known.problem else ""
            raise click.UsageError(f"there is no command {name!r}{hint}{missing}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the built-in commands, then each plugin's under its name."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in BUILT_IN.items()])
        added = plugin_commands(ctx)
        for plugin, commands in added.commands.items():
            write_commands(f"Commands of the plugin {plugin}", commands, formatter)
        if added.problem:
            with formatter.section("Plugins' commands are missing here"):
                formatter.write_text(added.problem)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write where to begin."""
        write_examples(("kernel serve", "kernel COMMAND --help"), formatter)


def built_in(name: str) -> click.Command:
    """Import a built-in command."""
    module = import_module(f"kernel.cli.commands.{BUILT_IN[name].module}")
    command: click.Command = getattr(module, name)
    return command


def plugin_commands(ctx: click.Context) -> PluginCommands:
    """Return what the project's plugins add to the command line; asks them once per command line."""
    root = ctx.find_root()
    if __name__ not in root.meta:
        root.meta[__name__] = _collect(root.obj)
    known: PluginCommands = root.meta[__name__]
    return known


def _collect(project: Project) -> PluginCommands:
    commands: dict[str, dict[str, click.Command]] = {}
    try:
        for plugin, command in project.kernel().commands():
            name = str(command.name)
            if name in BUILT_IN:
                raise KernelError(
                    f"plugin {plugin!r} has a command {name!r}, but that is a built-in one; "
                    "the plugin must name it differently"
                )
            commands.setdefault(plugin, {})[name] = command
    except Exception as error:
        # Whatever a plugin does wrong, the built-in commands are what it is put right with.
        return PluginCommands(commands, describe(error))
    return PluginCommands(commands, None)


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version
        from platform import python_implementation, python_version

        from kernel.discovery import DISTRIBUTION

        output.say(f"{DISTRIBUTION} {version(DISTRIBUTION)} ({python_implementation()} {python_version()})")
        context.exit()


cli = Root(
    "kernel",
    help="Run a backend: a small kernel, and plugins that do the work.",
    params=[
        project_option(hidden=False),
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version,
            help="Print the version and exit.",
        ),
    ],
    no_args_is_help=True,
)  # fmt: skip
