"""Measures everything and writes the table in README.md anew: ``uv run --group bench python -m benchmarks``."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import boot, database, dispatch, hooks, rest, testkit
from benchmarks.load import HEADING, say

PAGE = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main() -> None:
    """Measure, and replace what stands between the marks."""
    parts = (dispatch, hooks, boot, testkit, database, rest)
    rows = [row for part in parts for row in part.measure()]
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    table = "\n".join(
        [f"Measured on {datetime.now(UTC):%d %B %Y}: {machine}.", "", HEADING, *map(str, rows), ""]
    )
    text = PAGE.read_text(encoding="utf-8")
    head, _, after = text.partition(BEGIN)
    _, _, tail = after.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")
    say(table)


if __name__ == "__main__":
    main()
