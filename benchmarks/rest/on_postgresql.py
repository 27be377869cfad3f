"""The REST API on PostgreSQL beside a bare handler that sends the same BEGIN, role, query and COMMIT at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.database import on_server
from benchmarks.load import Row, in_turns, middle, ratio, say, wrk
from benchmarks.rest.sides import OWNER, bare, call, on_postgresql

ROUNDS, SECONDS = 3, 4


def measure() -> list[Row]:
    """Return the rows of the table of figures."""
    with (
        TemporaryDirectory(prefix="rest-") as name,
        on_server() as url,
        on_postgresql(Path(name), url) as ours,
        bare(Path(name) / "bare", "bare_postgresql", url, OWNER) as limit,
    ):
        rows = call(ours.server.url, "GET", ours.list, None, ours.headers)
        same = call(limit, "GET", "", None, {})
        if rows != same or len(rows) != 30:
            raise SystemExit(f"the sides differ: {rows[:1]} and {same[:1]}")
        say("30 rows from PostgreSQL, requests per second:")
        taken = in_turns(
            {
                "kernel": lambda: wrk(ours.url(ours.list), seconds=SECONDS, headers=ours.headers).rate,
                "bare": partial(_rate, limit),
            },
            ROUNDS,
        )
    times = ratio(taken, "kernel", "bare")
    mine, other = (f"{middle(taken, side):,.0f}/s" for side in ("kernel", "bare"))
    what = "30 rows from PostgreSQL: kernel and a bare handler with the same SQL"
    return [Row(what, mine, other, times, "at least 0.6", times >= 0.6)]


def _rate(url: str) -> float:
    return wrk(url, seconds=SECONDS).rate
