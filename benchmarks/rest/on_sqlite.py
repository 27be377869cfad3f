"""The REST API on SQLite beside PocketBase: the same rows, fields, connections, a user's token and owner rule in both.

Both log their requests, both keep SQLite with ``synchronous=NORMAL``; the kernel runs two worker processes for
PocketBase's two cores. Load comes from wrk, as much as is answered; and from h2load at a rate that both can do, for the
latencies. The bare Granian handler that runs the same statement is the limit.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks.load import CONNECTIONS, Row, in_turns, middle, ratio, say, wrk
from benchmarks.rest.pocketbase import pocketbase
from benchmarks.rest.sides import OWNER, Side, bare, call, on_sqlite

ROUNDS, SECONDS = 3, 4


def measure() -> list[Row]:
    """Return the rows of the table of figures."""
    for program, package in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        if shutil.which(program) is None:
            raise SystemExit(f"needs {program}: apt install {package}")
    with TemporaryDirectory(prefix="rest-") as name:
        folder = Path(name)
        homes = {side: folder / side for side in ("kernel", "logged", "pocketbase")}
        for home in homes.values():
            home.mkdir()
        with ExitStack() as stack:
            ours = stack.enter_context(on_sqlite(homes["kernel"]))
            logged = stack.enter_context(on_sqlite(homes["logged"], log_changes=True))
            theirs = stack.enter_context(pocketbase(homes["pocketbase"]))
            same_answers(ours, theirs)
            limit = stack.enter_context(
                bare(folder / "bare", "bare_sqlite", str(next(homes["kernel"].rglob("kernel.db"))), OWNER)
            )
            return [
                *throughput(ours, logged, theirs, limit),
                *latencies(ours, theirs),
                memory(ours),
            ]


def same_answers(ours: Side, theirs: Side) -> None:
    """Demand that both sides answer the list with as many rows of the same fields."""
    mine, other = (call(side.server.url, "GET", side.list, None, side.headers) for side in (ours, theirs))
    other = other["items"]
    if (
        len(mine) != 30
        or len(other) != 30
        or [row["title"] for row in mine] != [row["title"] for row in other]
    ):
        raise SystemExit(f"the sides differ: {mine[:1]} and {other[:1]}")


def throughput(ours: Side, logged: Side, theirs: Side, limit: str) -> list[Row]:
    """Measure how many requests each side answers."""
    rows, sides = [], {"kernel": ours, "pocketbase": theirs}
    for kind, what, goal in (
        ("list", "30 rows", 3.0),
        ("one", "one row by its key", 1.5),
        ("embed", "30 rows with 5 related each", 2.0),
    ):
        say(f"{what}, requests per second:")
        measures: dict[str, Callable[[], float]] = {
            name: partial(_rate, side, getattr(side, kind)) for name, side in sides.items()
        }
        if kind == "list":
            measures["bare"] = lambda: wrk(limit, seconds=SECONDS).rate
        taken = in_turns(measures, ROUNDS)
        rows.append(_row(f"{what}: kernel and PocketBase", taken, "pocketbase", goal))
        if kind == "list":
            rows.append(_row(f"{what}: kernel and a bare handler with the same SQL", taken, "bare", 0.5))
    say("inserts of one row, requests per second:")
    sides = {"kernel": ours, "logged": logged, "pocketbase": theirs}
    taken = in_turns({name: partial(_inserts, side) for name, side in sides.items()}, ROUNDS)
    what = "insert of one row"
    rows.append(_row(f"{what}: kernel and PocketBase", taken, "pocketbase", 1.5))
    rows.append(
        _row(f"{what}, with the change log: kernel and PocketBase", taken, "pocketbase", 1.5, "logged")
    )
    return rows


def _row(what: str, taken: list[dict[str, float]], other: str, goal: float, name: str = "kernel") -> Row:
    times = ratio(taken, name, other)
    mine, theirs = (f"{middle(taken, side):,.0f}/s" for side in (name, other))
    return Row(what, mine, theirs, times, f"at least {goal}", times >= goal)


def _rate(side: Side, path: str) -> float:
    return wrk(side.url(path), seconds=SECONDS, headers=side.headers).rate


def _inserts(side: Side) -> float:
    headers = {**side.headers, "content-type": "application/json"}
    return wrk(side.url(side.insert), seconds=SECONDS, headers=headers, body=side.body).rate


def latencies(ours: Side, theirs: Side) -> list[Row]:
    """Measure latencies at 70% of what the slower side can do, alone and with 5% slow queries."""
    sides = {"kernel": ours, "pocketbase": theirs}
    offered = int(min(_rate(side, side.list) for side in sides.values()) * 0.7)
    rows = []
    for what, mixed in (("30 rows", False), ("30 rows, with 5% slow queries", True)):
        say(f"{what} at {offered} requests per second, p99 in milliseconds:")
        taken = in_turns({name: partial(_p99, side, offered, mixed) for name, side in sides.items()}, ROUNDS)
        times = ratio(taken, "kernel", "pocketbase")
        mine, others = (f"{middle(taken, side):.1f} ms" for side in sides)
        what = f"{what}, p99 at {offered}/s: kernel and PocketBase"
        rows.append(Row(what, mine, others, times, "at most 0.33", times <= 1 / 3))
    return rows


def _p99(side: Side, offered: int, mixed: bool) -> float:
    """Return the 99th percentile of the list's latency; slow queries, if any, come beside it."""
    fast = offered * 0.95 if mixed else offered
    done = threading.Event()
    beside = threading.Thread(target=_slowly, args=(side, offered * 0.05, done)) if mixed else None
    if beside is not None:
        beside.start()
    try:
        with TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{SECONDS}", f"--log-file={log}"]
            command.append(f"--rps={max(1, round(fast / CONNECTIONS))}")
            for name, value in side.headers.items():
                command += ["-H", f"{name}: {value}"]
            command.append(side.url(side.list))
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS + 60)
            lines = [line.split("\t") for line in log.read_text().splitlines()]
    finally:
        done.set()
        if beside is not None:
            beside.join()
    if any(line[1] != "200" for line in lines):
        raise SystemExit(f"{side.list} was not answered well")
    return quantiles((int(line[2]) / 1000 for line in lines), n=100)[98]


def _slowly(side: Side, rate: float, done: threading.Event) -> None:
    """Ask for the slow query at a steady rate, from as many threads as keep it up."""
    threads = 8

    def ask() -> None:
        pause = threads / rate
        due = time.monotonic()
        while not done.is_set():
            call(side.server.url, "GET", side.slow, None, side.headers)
            due += pause
            done.wait(max(0.0, due - time.monotonic()))

    running_ = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running_:
        thread.start()
    for thread in running_:
        thread.join()


def memory(ours: Side) -> Row:
    """Return how much a worker holds after the load."""
    most = max(_resident(pid) for pid in _workers(ours.server.process.pid))
    return Row(
        "memory of a worker after the load", f"{most:.0f} MB", "", most / 150, "at most 150 MB", most <= 150
    )


def _workers(parent: int) -> list[int]:
    told = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in told.split()] or [parent]


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/{pid}/status tells no VmHWM")
