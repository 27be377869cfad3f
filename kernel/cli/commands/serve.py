"""``kernel serve``, and what it says when it is ready."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from kernel.cli import output
from kernel.cli.base import Command, Project, pass_project
from kernel.cli.starter import is_untouched, remove_starters, write_starters

if TYPE_CHECKING:
    from kernel.kernel import Kernel

LOOPBACK = ("http://127.", "http://[::1]", "http://localhost")
TRY, THEN = "Try", "Then"


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
    # Only a folder that is no project yet has its plugins looked at here: serving processes load their own.
    starters = write_starters(project.kernel()) if is_untouched(config) else []
    for path in starters:
        output.say(f"No project here yet, so it begins with {path.relative_to(project.folder)}")
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
    if is_untouched(config):
        # It did not get as far as making anything of them: a port in use, a wrong option.
        remove_starters(project.folder, starters)
    sys.exit(code)


def announce(kernel: Kernel, url: str) -> None:
    """Say where a ready kernel is, and what its plugins say; called in the first serving process."""
    lines = ["", f"{output.styled('Ready', fg='green', bold=True)} at {output.styled(url, bold=True)}", ""]
    if output.on_terminal() or url.startswith(LOOPBACK):
        for heading, texts in _greeting(kernel, url).items():
            lines += [output.styled(heading, bold=True), *(f"  {text.expandtabs(22)}" for text in texts), ""]
    else:
        lines += [
            "What to try, and with which keys, is not written to the log of a public address; kernel serve shows it",
            "on a terminal.",
            "",
        ]
    output.say("\n".join(lines))
    sys.stdout.flush()


def _greeting(kernel: Kernel, url: str) -> dict[str, list[str]]:
    """Gather what the plugins say by heading; what to try, and what comes next, comes last."""
    said: dict[str, list[str]] = {}
    for sections in kernel.hooks.kernel_greeting(url=url):
        for heading, texts in sections.items():
            said.setdefault(heading, []).extend(texts)
    said[TRY] = said.pop(TRY, []) or [f"curl -i {url}/readyz"]
    said[THEN] = [
        *said.pop(THEN, []),
        "kernel routes\teverything that is served",
        "kernel plugins list\twhat it is made of, and what else there is",
    ]
    if not kernel.config.file.exists():
        said[THEN].append("kernel init\tmake this folder a project with a kernel.toml of its own")
    return said
