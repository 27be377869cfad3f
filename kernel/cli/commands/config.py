"""``kernel config``: show, check and schema."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from kernel.cli import output
from kernel.cli.base import Group, Project, json_option, pass_project
from kernel.cli.survey import look, problems
from kernel.config import Config, KernelSettings, PluginChoice, hidden, schema
from kernel.errors import KernelError, nearest


def _complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from kernel.discovery import installed

    return [name for name in ("kernel", "plugins", *installed()) if name.startswith(incomplete)]


@click.group(cls=Group, examples=("kernel config show", "kernel config check"))
def config() -> None:
    """Show and check the settings.

    They stand in kernel.toml, a section for the kernel and one for each plugin. A variable
    KERNEL_<PLUGIN>__<SETTING>, in .env or in the environment, goes before the file.
    """


@config.command(
    examples=(
        "kernel config show",
        "kernel config show rest",
        "KERNEL_KERNEL__PORT=9000 kernel config show kernel",
    )
)
@click.argument("section", required=False, shell_complete=_complete)
@json_option
@pass_project
def show(project: Project, section: str | None, as_json: bool) -> None:
    """Show every setting with its value and where that comes from, or those of one SECTION.

    Secrets are hidden, here and in everything that is logged.
    """
    configuration = project.config()
    sections = _sections(configuration)
    if section is not None and section not in sections:
        raise KernelError(f"there is no section {section!r}{nearest(section, sections)}")
    chosen = sections if section is None else {section: sections[section]}
    rows = [row for name, kind in chosen.items() for row in _settings(configuration, name, kind)]
    if not output.wants_json(as_json):
        rows = [{**row, "value": msgspec.json.encode(row["value"]).decode()} for row in rows]
    columns = {"section": "Section", "setting": "Setting", "value": "Value", "source": "From"}
    output.table(rows, columns, as_json=as_json, empty="No settings.", styles={"default": "dim"})


@config.command(examples=("kernel config check", "kernel --project /srv/shop config check"))
@json_option
@pass_project
def check(project: Project, as_json: bool) -> None:
    """Check kernel.toml, the environment and the plugins together, and name every problem.

    The exit code is 0 where the kernel can start with them, else 1. Nothing is started.
    """
    try:
        found = list(problems(project.config()))
    except KernelError as error:
        found = [str(error)]
    if as_json:
        output.json({"ok": not found, "problems": found})
    elif found:
        for problem in found:
            output.fail(problem)
    else:
        output.say(output.styled("Everything fits.", fg="green"))
    sys.exit(1 if found else 0)


@config.command("schema", examples=("kernel config schema > kernel.schema.json",))
@pass_project
def print_schema(project: Project) -> None:
    """Print the JSON Schema of this project's kernel.toml, for editors to check and complete it.

    Name the file that you write it to in the first line of kernel.toml: #:schema kernel.schema.json
    """
    sections = _sections(project.config())
    output.json(schema({name: kind for name, kind in sections.items() if name not in ("kernel", "plugins")}))


def _sections(configuration: Config) -> dict[str, type[msgspec.Struct]]:
    """Return the sections that exist: the kernel's two and the enabled plugins', as far as these can be loaded."""
    sections: dict[str, type[msgspec.Struct]] = {"kernel": KernelSettings, "plugins": PluginChoice}
    for sight in look(configuration):
        if sight.enabled and sight.record is not None:
            sections[sight.title] = sight.record.cls.Settings
    return sections


def _settings(configuration: Config, section: str, kind: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
    values = hidden(configuration.settings(section, kind))
    for field in msgspec.structs.fields(kind):
        key = field.encode_name
        yield {
            "section": section,
            "setting": key,
            "value": values.get(key),
            "source": configuration.source(section, key),
        }
