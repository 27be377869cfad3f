"""The pages of docs/ that are made from the code: ``python -m docs.generate [--check] docs``.

They tell of the kernel and the bundled plugins, whatever else is installed here.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from kernel.cli import output
from kernel.cli.app import BUILT_IN, built_in, cli, plugin_commands
from kernel.cli.base import Project
from kernel.config import Config, KernelSettings, PluginChoice, Secret, SecretURL, variable
from kernel.discovery import discover, installed
from kernel.errors import KernelError
from kernel.hookspecs import KernelHooks, specifications
from kernel.kernel import Kernel
from kernel.plugin import PROJECT, PluginRecord

COMMAND = "uv run poe docs"
_WIDTH = 100


class _Registered(Project):
    """Stands in for a project: its kernel is this one, whatever the environment says."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel.config.project)
        self._kernel = kernel

    def kernel(self) -> Kernel:
        """Return the kernel."""
        return self._kernel


def pages(folder: Path) -> dict[str, str]:
    """Return the generated pages: file name to text. `folder` stands in for a project."""
    kernel = Kernel(Config(project=folder), role="command")
    records = discover(PluginChoice(), folder, installed())
    kernel.register()
    made = {
        "hooks.md": _hooks(records),
        "settings.md": _settings(records),
        "cli.md": _commands(kernel),
    }
    events = [(record.name, event) for record in records for event in record.cls.events]
    if events:
        made["events.md"] = _events(events)
    return {name: f"{text.strip()}\n" for name, text in made.items()}


def _head(title: str, text: str) -> list[str]:
    return [f"<!-- Made by `{COMMAND}`; change the code, not this page. -->", "", f"# {title}", "", text, ""]


def _hooks(records: Sequence[PluginRecord]) -> str:
    lines = _head("Hooks", _paragraphs(inspect.getdoc(sys.modules[KernelHooks.__module__]) or ""))
    lines += [
        "Implement one as a method of your plugin, of the same name, marked `@hookimpl`. A method may leave"
    ]
    lines += ["out parameters that it does not need.", "", "## The kernel's", ""]
    lines += _specifications(KernelHooks)
    for record in records:
        for cls in record.cls.hookspecs:
            lines += [
                f"## The plugin {record.name}'s",
                "",
                _paragraphs(inspect.getdoc(cls) or ""),
                "",
            ]
            lines += _specifications(cls)
    return "\n".join(lines)


def _specifications(cls: type) -> Iterator[str]:
    for name, function in specifications(cls).items():
        yield from [f"### `{name}`", "", "```python", f"def {name}{_signature(function)}: ...", "```", ""]
        if getattr(function, f"{PROJECT}_spec")["firstresult"]:
            yield from ["The first result that is not None ends the call.", ""]
        yield from [_paragraphs(inspect.getdoc(function) or ""), ""]


def _signature(function: Any) -> str:
    # Annotations are texts here, written as the author wrote them.
    return str(inspect.signature(function)).replace("'", "")


def _settings(records: Sequence[PluginRecord]) -> str:
    lines = _head(
        "Settings",
        "They stand in `kernel.toml`, a section for the kernel and one for each plugin. A variable in `.env` or in\n"
        "the environment goes before the file. `kernel config show` tells each one's value here, and where it is from.",
    )
    sections: dict[str, type[msgspec.Struct]] = {"kernel": KernelSettings, "plugins": PluginChoice}
    sections |= {record.name: record.cls.Settings for record in records}
    for section, kind in sections.items():
        if msgspec.structs.fields(kind):
            lines += [f"## `[{section}]`", ""]
            lines += _table(kind, section)
            for inner in dict.fromkeys(inner for hint in _hints(kind) for inner in _structs(hint)):
                lines += [f"### `{inner.__name__}`", "", _paragraphs(inspect.getdoc(inner) or ""), ""]
                lines += _table(inner, None)
    lines += [
        "## `[provide]`",
        "",
        'Chooses between two plugins that provide one contract: `Cache = "mine"`.',
    ]
    return "\n".join(lines)


def _hints(kind: type) -> list[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return [hints[field.name] for field in msgspec.structs.fields(kind)]


def _table(kind: type[msgspec.Struct], section: str | None) -> Iterator[str]:
    """Describe a struct's fields; those of a `section` have environment variables."""
    headings = ["setting", "type", "default", *(["variable"] if section else []), ""]
    yield _cells(headings)
    yield "|---" * len(headings) + "|"
    for field, hint in zip(msgspec.structs.fields(kind), _hints(kind), strict=True):
        metas = list(_metas(hint))
        limits = [limit for meta in metas for limit in _limits(meta)]
        cells = [f"`{field.encode_name}`", ", ".join([_type(hint), *limits]), _default(field)]
        cells += [f"`{variable(section, field.encode_name)}`"] if section else []
        yield _cells([*cells, " ".join(meta.description for meta in metas if meta.description)])
    yield ""


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that values of a type consist of."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for argument in get_args(hint):
        yield from _structs(argument)


def _metas(hint: Any) -> Iterator[msgspec.Meta]:
    """Yield what an annotation says of a value, also of the one that may be None."""
    yield from (meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta))
    for argument in get_args(hint) if get_origin(hint) in (Annotated, Union, UnionType) else ():
        yield from _metas(argument)


def _limits(meta: msgspec.Meta) -> Iterator[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}
    for name, sign in signs.items():
        if getattr(meta, name) is not None:
            yield f"{sign} {getattr(meta, name)}"
    if meta.pattern:
        yield f"matches `{meta.pattern}`"


_WORDS = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Secret: "secret text",
    SecretURL: "URL",
    Any: "anything",
}


def _type(kind: Any) -> str:
    """Name a type as someone who writes TOML would."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin is Literal:
        return " or ".join(f"`{msgspec.json.encode(value).decode()}`" for value in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {_type(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        return f"list of {_type(arguments[0])}"
    return _WORDS.get(kind) or f"`{getattr(kind, '__name__', kind)}`"


def _default(field: Any) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(default, Secret):
        default = default.shown or None
    if default is None:
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`"


def _commands(kernel: Kernel) -> str:
    lines = _head("The command line", "What `kernel --help`, and `--help` after each command, says.")
    root = click.Context(cli, info_name="kernel", obj=_Registered(kernel))
    lines += _help(root, cli)
    for name in BUILT_IN:
        lines += _helps(built_in(name), f"kernel {name}")
    for plugin, commands in plugin_commands(root).commands.items():
        for name, command in commands.items():
            lines += _helps(command, f"kernel {name}", f", of the plugin {plugin}")
    return "\n".join(lines)


def _helps(command: click.Command, path: str, note: str = "") -> Iterator[str]:
    yield from [f"## `{path}`{note}", ""]
    yield from _help(click.Context(command, info_name=path), command)
    for name in command.list_commands(click.Context(command)) if isinstance(command, click.Group) else ():
        assert isinstance(command, click.Group)  # noqa: S101 - for the type checker, which does not narrow here
        inner = command.get_command(click.Context(command), name)
        if inner is not None:
            yield from _helps(inner, f"{path} {name}")


def _help(context: click.Context, command: click.Command) -> list[str]:
    context.terminal_width = context.max_content_width = _WIDTH
    return ["```text", click.unstyle(command.get_help(context)), "```", ""]


def _events(events: Sequence[tuple[str, type]]) -> str:
    lines = _head(
        "Events",
        "Subscribe in `kernel_start`, by class, by name or by `owner.*`: `kernel.events.subscribe(name, listener)`.",
    )
    for owner, event in events:
        hints = get_type_hints(event)
        lines += [f"## `{getattr(event, 'name', '')}`", "", f"Published by the plugin {owner}.", ""]
        lines += [_paragraphs(inspect.getdoc(event) or ""), ""]
        fields = msgspec.structs.fields(event)
        lines += [f"- `{field.name}`: `{_type(hints[field.name])}`" for field in fields] + [""] * bool(fields)
    return "\n".join(lines)


def _paragraphs(text: str) -> str:
    """Return a docstring as Markdown: reStructuredText's double backquotes become single ones."""
    return re.sub(r"``([^`]+)``", r"`\1`", text)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if a page is not as the code has it.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(check: bool, folder: Path) -> None:
    """Write the generated pages into FOLDER, or check them."""
    try:
        made = pages(folder)
    except KernelError as error:
        output.fail(str(error))
        sys.exit(1)
    stale = [name for name, text in made.items() if not _is(folder / name, text)]
    if check:
        for name in stale:
            output.fail(f"{folder / name} is not as the code has it; make it anew with: {COMMAND}")
        sys.exit(1 if stale else 0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (folder / name).write_text(made[name], encoding="utf-8")
        output.say(f"wrote {folder / name}")


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main(prog_name="python -m docs.generate")
