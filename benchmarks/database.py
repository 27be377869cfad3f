"""What the `Database` contract costs beside the bare libraries: apsw on the same file, psycopg on the same server.

Reads by key one after the other; committed single-row writes from eight threads and from eight processes, each
its own transaction, WAL and ``synchronous=NORMAL`` on both sides; and a page of thirty rows out of ten thousand and
out of a million. PostgreSQL is the one at ``KERNEL_TEST_POSTGRESQL``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import apsw
import psycopg

from benchmarks.load import REPOSITORY, Row, in_turns, middle, print_rows, ratio, say
from kernel.contracts.database import Database
from kernel.contracts.queries import Comparison, Field, Order, Select
from kernel.contracts.records import Records
from kernel.identity import Identity
from kernel.testing import KernelFactory

SERVER = os.environ.get("KERNEL_TEST_POSTGRESQL", "host=127.0.0.1 port=5432 user=postgres dbname=test")
READS = 5_000
ROUNDS = 5
WRITERS = 8
WRITE_SECONDS = 2.0
BY_KEY = "select id, name, price from items where id = :id"
TABLE = "create table items (id bigint primary key, name text not null, price integer not null, owner integer not null)"
FILL = (
    "insert into items with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})"
    " select i, 'item ' || i, i % 1000, i % 100 from n"
)
INSERT = "insert into written (body) values (:body)"
WRITTEN = (
    "create table if not exists written (id integer primary key autoincrement not null, body text) strict"
)
PRAGMAS = "pragma journal_mode = wal; pragma synchronous = normal"


def measure() -> list[Row]:
    """Return the rows of the table of figures."""
    return [*reads_on_sqlite(), *reads_on_postgresql(), *writes(), *pages()]


def reads_on_sqlite() -> list[Row]:
    """Read by key through the contract and through apsw."""
    say("a row by its key on SQLite, microseconds:")
    with TemporaryDirectory(prefix="database-") as folder, started(Path(folder), "sqlite:///it.db") as kernel:
        database = kernel.services[Database]
        fill(database, 10_000)
        bare = apsw.Connection(str(next(Path(folder).rglob("it.db"))))
        sql = BY_KEY.replace(":id", "?")
        taken = in_turns(
            {
                "kernel": lambda: each(lambda id_: database.query(BY_KEY, {"id": id_})),
                "apsw": lambda: each(lambda id_: bare.execute(sql, (id_,)).fetchall()),
            },
            ROUNDS,
        )
        bare.close()
    ours, theirs = middle(taken, "kernel"), middle(taken, "apsw")
    return [
        Row(
            "SQLite, a row by its key: contract and bare apsw",
            f"{ours:.1f} us",
            f"{theirs:.1f} us",
            ratio(taken, "kernel", "apsw"),
            "at most 10 us more",
            ours - theirs <= 10,
        )
    ]


def reads_on_postgresql() -> list[Row]:
    """Read by key through the contract and through psycopg."""
    say("a row by its key on PostgreSQL, microseconds:")
    with (
        TemporaryDirectory(prefix="database-") as folder,
        on_server() as url,
        started(Path(folder), url) as kernel,
    ):
        database = kernel.services[Database]
        fill(database, 10_000)
        bare = psycopg.connect(url, autocommit=True)
        sql = BY_KEY.replace(":id", "%s")
        taken = in_turns(
            {
                "kernel": lambda: each(lambda id_: database.query(BY_KEY, {"id": id_})),
                "psycopg": lambda: each(lambda id_: bare.execute(sql, (id_,), prepare=True).fetchall()),
            },
            ROUNDS,
        )
        bare.close()
    times = ratio(taken, "kernel", "psycopg")
    ours, theirs = (f"{middle(taken, name):.0f} us" for name in ("kernel", "psycopg"))
    return [
        Row(
            "PostgreSQL, a row by its key: contract and bare psycopg",
            ours,
            theirs,
            times,
            "at most 1.2",
            times <= 1.2,
        )
    ]


def writes() -> list[Row]:
    """Write from threads and from processes, through the contract and through apsw."""
    rows = []
    for kind, run in (("threads", threads), ("processes", processes)):
        say(f"committed single-row writes from {WRITERS} {kind}, per second:")
        latencies: dict[str, list[float]] = {"kernel": [], "apsw": []}
        taken = in_turns({side: partial(_rate, run, side, latencies[side]) for side in latencies}, ROUNDS)
        for side, seconds in latencies.items():
            p99 = quantiles(seconds, n=100)[98] * 1000
            say(
                f"  {side}: p50 {median(seconds) * 1000:.2f} ms, p99 {p99:.1f} ms, at most {max(seconds) * 1000:.0f} ms"
            )
        times = ratio(taken, "kernel", "apsw")
        ours, theirs = (f"{middle(taken, side):,.0f}/s" for side in latencies)
        what = f"SQLite, committed writes from {WRITERS} {kind}: contract and bare apsw"
        rows.append(Row(what, ours, theirs, times, "at least 0.5", times >= 0.5))
    return rows


def _rate(run: Callable[[str], list[float]], side: str, latencies: list[float]) -> float:
    seconds = run(side)
    latencies += seconds
    return len(seconds) / WRITE_SECONDS


def threads(side: str) -> list[float]:
    """Return the seconds that each write of eight threads took."""
    with TemporaryDirectory(prefix="database-") as folder, writer(side, Path(folder)) as write:
        return written(write, WRITERS)


def processes(side: str) -> list[float]:
    """Return the seconds that each write of eight processes took; they begin together."""
    with TemporaryDirectory(prefix="database-") as folder:
        with writer(side, Path(folder)) as write:
            write("first")
        command = [sys.executable, "-m", "benchmarks.database", side, folder]
        running = [
            subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(WRITERS)
        ]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[0] for process in running]
    return [float(line) for text in told for line in text.split()]


@contextmanager
def writer(side: str, folder: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes one row in a transaction of its own."""
    if side == "kernel":
        with started(folder, "sqlite:///written.db") as kernel:
            database = kernel.services[Database]
            if database.catalogue.table("written") is None:
                with database.schema_transaction() as transaction:
                    transaction.script(
                        "create table written (id bigint generated by default as identity primary key, body text)"
                    )

            def write(body: str) -> None:
                with database.transaction() as transaction:
                    transaction.execute(INSERT, {"body": body})

            yield write
        return
    path, local = str(folder / "written.db"), threading.local()
    first = apsw.Connection(path)
    first.execute(f"{PRAGMAS}; {WRITTEN}").fetchall()

    def bare(body: str) -> None:
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = apsw.Connection(path)
            connection.set_busy_timeout(5000)
            connection.execute(PRAGMAS).fetchall()
        connection.execute("begin immediate")
        connection.execute(INSERT, {"body": body})
        connection.execute("commit")

    yield bare
    first.close()


def written(write: Callable[[str], None], writers: int) -> list[float]:
    """Write from some threads for a while; return the seconds of each write."""
    taken: list[float] = []
    barrier = threading.Barrier(writers)

    def work() -> None:
        mine: list[float] = []
        barrier.wait()
        end = perf_counter() + WRITE_SECONDS
        while (begun := perf_counter()) < end:
            write("a body of some length, as notes have")
            mine.append(perf_counter() - begun)
        taken.extend(mine)

    running = [threading.Thread(target=work) for _ in range(writers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return taken


def pages() -> list[Row]:
    """Read a page of thirty rows of a small table and of a large one, on both engines."""
    return [page(engine) for engine in ("SQLite", "PostgreSQL")]


def page(engine: str) -> Row:
    """Do so on one engine."""
    say(f"a page of 30 rows of 10,000 and of 1,000,000 on {engine}, microseconds:")
    owner = Comparison(Field("owner"), "eq", "7")
    query = Select("items", where=(owner,), order=(Order(Field("id"), descending=True),), limit=30)
    with ExitStack() as stack:
        reads: dict[str, Callable[[], float]] = {}
        for name, count in (("many", 1_000_000), ("few", 10_000)):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="database-")))
            url = "sqlite:///it.db" if engine == "SQLite" else stack.enter_context(on_server())
            kernel = stack.enter_context(started(folder, url))
            fill(kernel.services[Database], count)
            reads[name] = partial(_pages, kernel.services[Records], query)
        taken = in_turns(reads, ROUNDS)
    times = ratio(taken, "many", "few")
    ours, theirs = (f"{middle(taken, name):.0f} us" for name in ("many", "few"))
    what = f"{engine}, 30 rows of an owner: of 1,000,000 and of 10,000"
    return Row(what, ours, theirs, times, "at most 1.2", times <= 1.2)


def _pages(records: Records, query: Select) -> float:
    caller = Identity("service_role")
    return each(lambda _: records.read(query, caller))


def each(read: Callable[[int], Any]) -> float:
    """Return the microseconds that one read takes, on average over many keys."""
    keys = [1 + number * 7919 % 10_000 for number in range(READS)]
    begun = perf_counter()
    for key in keys:
        read(key)
    return (perf_counter() - begun) / READS * 1e6


def fill(database: Database, count: int) -> None:
    """Make a table of `count` rows with a hundred owners."""
    with database.schema_transaction() as transaction:
        transaction.script(f"{TABLE}; {FILL.format(count=count)}; create index on items (owner, id)")
    if database.engine == "postgresql":
        with database.schema_transaction() as transaction:
            transaction.script("analyze items")


@contextmanager
def started(folder: Path, url: str) -> Iterator[Any]:
    """Start a kernel with a database and records."""
    settings = {"kernel": {"data": str(folder)}, "database": {"url": url}}
    kernel = KernelFactory(folder)(plugins=["database", "records"], settings=settings)
    try:
        yield kernel
    finally:
        kernel.stop()


@contextmanager
def on_server() -> Iterator[str]:
    """Make a database on the PostgreSQL server, and drop it."""
    name = f"benchmark_{uuid.uuid4().hex}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        try:
            given = {key: value for key, value in server.info.get_parameters().items() if key != "dbname"}
            yield f"postgresql:///{name}?{urlencode(given)}"
        finally:
            server.execute(f"drop database {name} with (force)".encode())


def main(side: str, folder: str) -> None:
    """Write in this process for a while, once told to, and print the seconds of each write."""
    with writer(side, Path(folder)) as write:
        write("warm")
        print("ready", flush=True)
        sys.stdin.readline()
        print(*written(write, 1), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        print_rows(measure())
