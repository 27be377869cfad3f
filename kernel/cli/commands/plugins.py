"""``kernel plugins``: list, show, enable, disable and new."""

from __future__ import annotations

import inspect
from typing import Any

import click

from kernel.cli import output
from kernel.cli.base import Group, Project, json_option, pass_project
from kernel.cli.survey import Sight, look
from kernel.errors import KernelError, nearest

_STYLES = {"enabled": "green", "broken": "bold red", "disabled": "dim", "available": "cyan"}


@click.group(cls=Group, examples=("kernel plugins list", "kernel plugins new shop"))
def plugins() -> None:
    """List, choose and write plugins.

    Everything that a backend does, a plugin does. The bundled ones run unless kernel.toml disables them; others
    are installed as packages and then enabled, or stand in the project and are enabled as module:Class.
    """


def _complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from kernel.discovery import installed

    return [name for name in installed() if name.startswith(incomplete)]


_name = click.argument("name", shell_complete=_complete)


@plugins.command("list", examples=("kernel plugins list", "kernel plugins list --json"))
@json_option
@pass_project
def list_plugins(project: Project, as_json: bool) -> None:
    """List the plugins there are, and which of them this project runs.

    A plugin is enabled, disabled (bundled, but turned off), available (installed, not enabled), or broken:
    enabled, but it cannot be loaded.
    """
    sights = look(project.config())
    columns = {"name": "Plugin", "state": "State", "does": "What it does", "origin": "From"}
    output.table(
        [_row(sight) for sight in sights],
        columns,
        as_json=as_json,
        empty="No plugin is installed.",
        styles=_STYLES,
    )


@plugins.command(examples=("kernel plugins show rest",))
@_name
@json_option
@pass_project
def show(project: Project, name: str, as_json: bool) -> None:
    """Show one plugin: its contracts, settings, hooks and events, whether or not it is enabled."""
    sights = look(project.config())
    by_name = {sight.name: sight for sight in sights} | {sight.title: sight for sight in sights}
    if name not in by_name:
        raise KernelError(
            f"no plugin is called {name!r}; see what there is: kernel plugins list{nearest(name, by_name)}"
        )
    sight = by_name[name]
    details = {**_row(sight), **_details(sight)}
    if output.wants_json(as_json):
        output.json(details)
    else:
        width = max(map(len, details))
        for key, value in details.items():
            if value not in (None, []):
                output.say(f"{output.styled(key.ljust(width), bold=True)}  {output.cell(value)}")


@plugins.command(examples=("kernel plugins enable greeting", "kernel plugins enable mine.plugin:MinePlugin"))
@_name
@pass_project
def enable(project: Project, name: str) -> None:
    """Enable an installed plugin, or one of the project's own by module:Class.

    Writes NAME into [plugins] in kernel.toml, and leaves all else there as it is. A change after which the
    kernel could not start is refused.
    """
    from kernel.cli.edit import Choice

    choice = Choice(project, name)
    if choice.is_enabled:
        output.say(f"{name} is already enabled.")
    else:
        _confirm(f"{name} is enabled from the next start on.", choice.enable())


@plugins.command(examples=("kernel plugins disable logs",))
@_name
@pass_project
def disable(project: Project, name: str) -> None:
    """Disable a plugin.

    Takes NAME out of what [plugins] in kernel.toml enables, or writes it into what that disables, and leaves all
    else there as it is. A change after which the kernel could not start is refused.
    """
    from kernel.cli.edit import Choice

    choice = Choice(project, name)
    if choice.is_enabled:
        _confirm(f"{name} is disabled from the next start on.", choice.disable())
    else:
        output.say(f"{name} is not enabled.")


@plugins.command(examples=("kernel plugins new shop", "cd shop && uv run pytest"))
@click.argument("name")
@pass_project
def new(project: Project, name: str) -> None:
    """Write a new plugin as a package of its own, in the folder NAME.

    It is complete: settings, a route, a hook, an event with a listener, and tests that pass. Change it into what
    you need, install it beside the kernel, and enable it.
    """
    from kernel.cli.scaffold import write_plugin

    made = write_plugin(project.folder, name)
    output.say(f"Wrote {made.folder.name}/:")
    for path in made.files:
        output.say(f"  {path}")
    output.say("\nRun its tests:  " + output.styled(f"cd {made.folder.name} && uv run pytest", bold=True))
    output.say(
        f"Use it:         uv pip install -e {made.folder.name} && kernel plugins enable {made.package}"
    )


def _confirm(done: str, still: str | None) -> None:
    output.say(done)
    if still is not None:
        output.say(f"The kernel could not start before, and still cannot: {still}")


def _row(sight: Sight) -> dict[str, Any]:
    record = sight.record
    summary = (inspect.getdoc(record.cls) or "").partition("\n")[0].replace("``", "") if record else None
    return {
        "name": sight.title,
        "state": sight.state,
        "does": sight.problem or summary,
        "origin": sight.origin,
        "version": record.version if record else None,
        "default": sight.default,
    }


def _details(sight: Sight) -> dict[str, Any]:
    if sight.record is None:
        return {}
    import msgspec

    from kernel.hookspecs import specifications
    from kernel.plugin import PROJECT

    cls = sight.record.cls
    return {
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "provides": [contract.__name__ for contract in cls.provides],
        "requires": [contract.__name__ for contract in cls.requires],
        "uses": [contract.__name__ for contract in cls.uses],
        "settings": [field.encode_name for field in msgspec.structs.fields(cls.Settings)],
        "implements": [name for name in dir(cls) if hasattr(getattr(cls, name, None), f"{PROJECT}_impl")],
        "declares hooks": [name for specs in cls.hookspecs for name in specifications(specs)],
        "events": [event.name for event in cls.events],
    }
