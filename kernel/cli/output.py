"""What commands print: tables on a terminal, JSON in a pipe, colours only where they are welcome."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click
import msgspec


def on_terminal(stream: TextIO | None = None) -> bool:
    """Tell whether a person reads this stream (stdout if none is given)."""
    return (stream or sys.stdout).isatty()


def colourful(stream: TextIO | None = None) -> bool:
    """Tell whether colours are welcome: on a terminal that can, unless ``NO_COLOR`` is set (no-color.org)."""
    return on_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, stream: TextIO | None = None, *, fg: str | None = None, bold: bool = False) -> str:
    """Return `text` in click's style where colours are welcome, else as it is."""
    return click.style(text, fg=fg, bold=bold) if colourful(stream) else text


def say(text: str = "", stream: TextIO | None = None) -> None:
    """Print one line to stdout, or to `stream`."""
    # `color` is said, as click would otherwise take away what `styled` has decided on.
    click.echo(text, file=stream, color=colourful(stream))


def fail(message: str) -> None:
    """Print ``error: ...`` to stderr."""
    say(f"{styled('error:', sys.stderr, fg='red', bold=True)} {message}", sys.stderr)


def json(value: Any) -> None:
    """Print a value as indented JSON."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def wants_json(as_json: bool) -> bool:
    """Tell whether to print JSON: when asked to, and whenever no person reads."""
    return as_json or not on_terminal()


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    as_json: bool,
    empty: str,
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print rows: as JSON with all their keys, or as a table of `columns` (key to heading).

    `styles` maps the text of a cell to a rich style. `empty` is said on a terminal instead of an empty table.
    """
    if wants_json(as_json):
        json(rows)
    elif not rows:
        say(empty)
    else:
        draw(rows, columns, styles or {})


def draw(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], styles: Mapping[str, str]) -> None:
    """Print rows as a table, whoever reads; the arguments are those of `table`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in columns.values():
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        cells = [cell(row.get(key)) for key in columns]
        drawn.add_row(*(Text(text, style=styles.get(text, "")) for text in cells))
    Console(color_system="auto" if colourful() else None, highlight=False).print(drawn)


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)
