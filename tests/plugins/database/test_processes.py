"""Several processes on one file: nothing lost, nothing half done, also when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
from pathlib import Path
from kernel.sources import SystemClock, SystemIds
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase

database = SqliteDatabase(Path(sys.argv[1]), Limits(10.0, 30.0, 1000), SystemClock(), SystemIds(), print)
"""

COUNT_UP = """
for _ in range(100):
    with database.transaction() as transaction:
        (n,), = transaction.query("select n from counter")
        transaction.execute("update counter set n = :n", {"n": n + 1})
database.close()
"""

# Each transaction writes two rows; what is printed has been committed.
WRITE_PAIRS = """
number = 0
while True:
    number += 1
    with database.transaction() as transaction:
        transaction.execute("insert into pairs values (:n, 'left')", {"n": number})
        transaction.execute("insert into pairs values (:n, 'right')", {"n": number})
    print(number, flush=True)
"""


def start(program: str, path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_write_at_once_lose_nothing(make_database: Any, tmp_path: Path) -> None:
    database = make_database(tmp_path / "kernel.db")
    with database.schema_transaction() as transaction:
        transaction.script("create table counter (n int); insert into counter values (0)")
    writers = [start(COUNT_UP, tmp_path / "kernel.db") for _ in range(2)]
    for writer in writers:
        with writer:
            assert writer.wait(60) == 0
    assert database.query("select n from counter") == [(200,)]


@pytest.mark.long
@pytest.mark.parametrize("after", [1, 7, 50, 200])
def test_a_killed_writer_loses_nothing_committed_and_leaves_nothing_half_done(
    make_database: Any, tmp_path: Path, after: int
) -> None:
    path = tmp_path / "kernel.db"
    database = make_database(path)
    with database.schema_transaction() as transaction:
        transaction.script("create table pairs (n int, side text)")
    with start(WRITE_PAIRS, path) as writer:
        assert writer.stdout is not None
        committed = 0
        for line in writer.stdout:
            committed = int(line)
            if committed == after:
                writer.send_signal(signal.SIGKILL)
    complete = database.query("select count(*), max(n) from pairs where side = 'left'")
    assert complete == database.query("select count(*), max(n) from pairs where side = 'right'")
    assert complete[0][0] == complete[0][1] >= committed
    with database.transaction() as transaction:
        transaction.execute("insert into pairs values (0, 'left')")
