"""How soon a test has a kernel of its own: all bundled plugins, a table, and the database in memory."""

from __future__ import annotations

import logging
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.load import Row, print_rows, say
from kernel.testing import KernelFactory

MIGRATIONS = {
    "20260101000000_notes.sql": "create table notes (id bigint generated always as identity primary key, body text);"
}
KERNELS = 50
MOST_MILLISECONDS = 100.0


def measure() -> list[Row]:
    """Return the row that sets the later kernels beside the first, which migrates."""
    say("kernels in one process:")
    with TemporaryDirectory(prefix="testkit-") as folder:
        logging.disable(logging.INFO)  # each kernel says that it is ready
        factory = KernelFactory(Path(folder))
        taken = []
        for _ in range(KERNELS):
            begun = perf_counter()
            kernel = factory(migrations=MIGRATIONS)
            taken.append((perf_counter() - begun) * 1000)
            kernel.stop()
    first, later = taken[0], median(taken[1:])
    say(f"  first {first:.1f} ms, then {later:.1f} ms, at most {max(taken[1:]):.1f} ms")
    return [
        Row(
            "test kit: a later kernel and the first",
            f"{later:.1f} ms",
            f"{first:.0f} ms",
            later / first,
            f"under {MOST_MILLISECONDS:.0f} ms",
            later < MOST_MILLISECONDS,
        )
    ]


if __name__ == "__main__":
    print_rows(measure())
