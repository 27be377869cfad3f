"""``kernel serve``, and what it says when it is ready."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from kernel.cli import output, starter
from kernel.cli.base import Command, Project, pass_project
from kernel.config import KernelSettings, PluginChoice

if TYPE_CHECKING:
    from kernel.kernel import Kernel

LOOPBACK = ("http://127.", "http://[::1]", "http://localhost")


@click.command(
    cls=Command,
    examples=(
        "kernel serve",
        "kernel serve --port 9000 --reload",
        "kernel --project shop serve --host 0.0.0.0 --workers 2",
    ),
)
@click.option("--host", help="Address to listen on; 127.0.0.1 unless kernel.toml says otherwise.")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="Port to listen on; 8000, or 0 for a free one."
)
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Serving processes; 1.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads per process for handlers that may block; 4.",
)
@click.option("--reload", is_flag=True, help="Start anew whenever a file of the project changes.")
@pass_project
def serve(
    project: Project,
    host: str | None,
    port: int | None,
    workers: int | None,
    threads: int | None,
    reload: bool,
) -> None:
    """Run the project's server until it is told to stop (Ctrl-C, or SIGTERM).

    In a folder without a project, everything has its default: one process, SQLite in ./data, keys made up at the
    first start, and an example table of notes in ./migrations. Options go before kernel.toml and the environment.
    """
    from kernel.serving.supervisor import serve as run

    config = project.config()
    settings = config.settings("kernel", KernelSettings)
    disabled = config.settings("plugins", PluginChoice).disable
    example = None
    if "migrations" not in disabled and starter.is_untouched(project.folder, settings.data):
        example = starter.write_example(project.folder)
        output.say(f"No project here yet, so this is its first table: {example.relative_to(project.folder)}")
        sys.stdout.flush()
    code = run(
        project.folder,
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        reload=reload,
        on_ready=announce,
    )
    if example is not None and not (project.folder / settings.data).exists():
        # It did not get as far as making anything of it: a port in use, a wrong option.
        example.unlink()
        example.parent.rmdir()
    sys.exit(code)


def announce(kernel: Kernel, url: str) -> None:
    """Say where a ready kernel is, the keys it takes and what to try; called in the first serving process."""
    lines = ["", f"{output.styled('Ready', fg='green', bold=True)} at {output.styled(url, bold=True)}", ""]
    if output.on_terminal() or url.startswith(LOOPBACK):
        lines += _keys(kernel)
        lines += [_heading("Try"), *(f"  {line}" for line in starter.lines_to_try(kernel, url)), ""]
        lines += [_heading("Then"), *(f"  {line}" for line in _then(kernel)), ""]
    else:
        lines += [
            "The keys are not written to the log of a public address; kernel serve shows them on a terminal.",
            "",
        ]
    output.say("\n".join(lines))
    sys.stdout.flush()


def _keys(kernel: Kernel) -> list[str]:
    from kernel.contracts.keys import Keys

    keys = kernel.services.get(Keys)
    if keys is None:
        return []
    return [
        f"{_heading('anon key')} (for browsers and apps)",
        f"  {keys.api_key('anon')}",
        f"{_heading('service_role key')} (secret: may do everything; for your own servers)",
        f"  {keys.api_key('service_role')}",
        "",
    ]


def _then(kernel: Kernel) -> list[str]:
    rows = [
        (f"{starter.MIGRATIONS}/", "plain SQL files, applied when the server starts"),
        ("kernel routes", "everything that is served"),
        ("kernel plugins list", "what it is made of, and what else there is"),
    ]
    if not kernel.config.file.exists():
        rows.append(("kernel init", "make this folder a project with a kernel.toml of its own"))
    return [f"{command:<20}  {meaning}" for command, meaning in rows]


def _heading(text: str) -> str:
    return output.styled(text, bold=True)
