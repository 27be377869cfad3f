"""What all commands share: their project, their help with examples, and ``--json``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from kernel.config import Config
from kernel.errors import KernelError

if TYPE_CHECKING:
    from kernel.kernel import Kernel

TEMPLATES = Path(__file__).parent / "templates"

F = TypeVar("F", bound=Callable[..., Any])


class Project:
    """The folder that a command works on; it is read when a command first asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self) -> Config:
        """Read ``kernel.toml``, ``.env`` and the environment; raises `ConfigError`."""
        if not self.folder.is_dir():
            raise KernelError(f"there is no folder {self.folder}; make it with: kernel init {self.folder}")
        return Config.load(self.folder)

    def kernel(self) -> Kernel:
        """Return a registered kernel, its plugins not started; raises a `KernelError` that says what is wrong."""
        from kernel.kernel import Kernel

        kernel = Kernel(self.config(), role="command")
        kernel.register()
        return kernel


def _choose_project(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().obj = Project(value.resolve())


def project_option(hidden: bool) -> click.Option:
    """Make ``--project``, which every command takes and the root explains."""
    return click.Option(
        ["--project"],
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        is_eager=True,
        hidden=hidden,
        callback=_choose_project,
        help="The project's folder; the current one if not given.",
    )


class Command(click.Command):
    """A command whose help ends with examples, and that takes ``--project`` after its name too."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params.append(project_option(hidden=True))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line that can be copied."""
        write_examples(self.examples, formatter)


class Group(Command, click.Group):
    """A group whose help ends with examples; its commands are `Command`s and are listed as they were added."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of each command's help, all of it."""
        write_commands("Commands", self.commands, formatter)


def write_commands(
    heading: str, commands: Mapping[str, click.Command], formatter: click.HelpFormatter
) -> None:
    """Write names and what the commands do, which click would cut off after some words."""
    with formatter.section(heading):
        formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in commands.items()])


def write_examples(examples: tuple[str, ...], formatter: click.HelpFormatter) -> None:
    """Write lines to copy under their own heading; they are never wrapped."""
    if examples:
        with formatter.section("Examples" if len(examples) > 1 else "Example"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def json_option(function: F) -> F:
    """Add ``--json``, given to the command as `as_json`."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, as into a pipe, on a terminal too."
    )
    return option(function)


def pass_project(function: F) -> F:
    """Give the command its `Project` as first argument."""

    @wraps(function)
    def with_project(*args: Any, **kwargs: Any) -> Any:
        # The root's, because ``--project`` after a command's name is read after that command's context was made.
        return function(click.get_current_context().find_root().obj, *args, **kwargs)

    return cast("F", with_project)


def write_files(folder: Path, files: Mapping[Path, str]) -> None:
    """Write files into `folder` or below; raises `KernelError` where that cannot be."""
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KernelError(
            f"{error.filename} cannot be written: {error.strerror}; make {folder} writable, or use another folder"
        ) from error


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a new file's path to write to, which then takes the place of `path` in one step, its mode kept."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except OSError as error:
        raise KernelError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
