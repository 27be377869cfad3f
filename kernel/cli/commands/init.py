"""``kernel init``: a project folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from kernel.cli import output
from kernel.cli.base import TEMPLATES, Command, Project, pass_project
from kernel.cli.starter import write_starters
from kernel.config import FILE_NAME, Config, KernelSettings, variable
from kernel.errors import KernelError
from kernel.kernel import Kernel


@click.command(cls=Command, examples=("kernel init", "kernel init shop && cd shop && kernel serve"))
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@pass_project
def init(project: Project, folder: Path | None) -> None:
    """Make a project of the folder DIR, which is made too if need be, or of the current one.

    Writes kernel.toml, an example migration, a .env with fresh secrets that only you can read, and a .gitignore
    that keeps secrets and data out of version control. What is there already is left as it is.
    """
    home = project.folder / folder if folder else project.folder
    if (home / FILE_NAME).exists():
        raise KernelError(
            f"{home} is a project already: it has a {FILE_NAME}; look at it with: kernel config show"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        for name in _write(home):
            output.say(f"  wrote {name}")
    except OSError as error:
        raise KernelError(f"{error.filename or home} cannot be written: {error.strerror}") from error
    change = "" if home == Path.cwd() else f"cd {os.path.relpath(home)} && "
    output.say(f"\n{home.name} is a project. Run it:  " + output.styled(f"{change}kernel serve", bold=True))


def _write(home: Path) -> Iterator[str]:
    """Write the files that are missing and yield their names."""
    kernel = Kernel(Config(project=home), role="command")
    kernel.register()
    yield from (str(path.relative_to(home)) for path in write_starters(kernel))
    if _ignore(home / ".gitignore"):
        yield ".gitignore"
    # Where a server has run, it has made secrets of its own, which tokens in use are signed with.
    if not (home / ".env").exists() and not (home / KernelSettings().data).exists():
        _write_secrets(home / ".env", kernel)
        yield ".env"
    # Last, as its presence says that the project is complete.
    (home / FILE_NAME).write_text(_template(FILE_NAME), encoding="utf-8")
    yield FILE_NAME


def _ignore(path: Path) -> bool:
    """Have git ignore secrets and data, whatever else it ignores; return whether that had to be written."""
    wanted = _template("gitignore")
    if not path.exists():
        path.write_text(wanted, encoding="utf-8")
        return True
    text = path.read_text(encoding="utf-8")
    missing = [
        line for line in wanted.splitlines() if line not in text.splitlines() and not line.startswith("#")
    ]
    if missing:
        separator = "" if not text or text.endswith("\n") else "\n"
        path.write_text("\n".join([text + separator + missing[0], *missing[1:], ""]), encoding="utf-8")
    return bool(missing)


def _write_secrets(path: Path, kernel: Kernel) -> None:
    lines = ["# Secrets: keep this file to yourself, and out of version control."]
    lines += [f"{variable}={secrets.token_urlsafe(size)}" for variable, size in _generated(kernel)]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))


def _generated(kernel: Kernel) -> Iterator[tuple[str, int]]:
    """Yield the variables of the plugins' settings that ask for a random secret, and its size in bytes.

    A setting asks by ``msgspec.Meta(extra={"generate": size})``.
    """
    for record in kernel.records:
        for field in msgspec.structs.fields(record.cls.Settings):
            for meta in getattr(field.type, "__metadata__", ()):
                size = (getattr(meta, "extra", None) or {}).get("generate")
                if isinstance(size, int):
                    yield variable(record.name, field.encode_name), size


def _template(name: str) -> str:
    return (TEMPLATES / "project" / name).read_text(encoding="utf-8")
