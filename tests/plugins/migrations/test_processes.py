"""Many processes that start at once, one of them killed; disks that are full or cannot be written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import pytest

BOOT = """
import json, logging, sys
from pathlib import Path
from kernel import Kernel
from kernel.config import Config
from kernel.errors import KernelError
from plugins.database import DatabasePlugin
from plugins.migrations import MigrationsPlugin
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(message)s %(migration)s", defaults={"migration": ""}))
logging.basicConfig(level=logging.INFO, handlers=[handler])
import plugins.migrations.runner
config = Config(json.loads(sys.argv[1]), project=Path(sys.argv[2]))
kernel = Kernel(config, plugins=[DatabasePlugin, MigrationsPlugin], role="test")
kernel.register()
print("waiting", flush=True)
sys.stdin.readline()
try:
    with kernel:
        pass
except KernelError as error:
    sys.exit(f"refused: {error}")
"""
# Long enough to be killed in, on either engine.
SLOW = {
    "sqlite": "with recursive c (n) as (select 1 union all select n + 1 from c where n < 4000000)"
    " insert into slow (id) select count(*) from c;",
    "postgresql": "insert into slow (id) select 1 from pg_sleep(1.5);",
}


class Starter:
    """Starts processes that boot one project on one database, each with a data folder of its own."""

    def __init__(self, project: Any) -> None:
        self._project = project
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self, data: str | None = None, settings: Mapping[str, Any] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Return one that has loaded all it needs and waits for a line."""
        number = len(self._started)
        url = self._project.url.replace("kernel.db", f"{self._project.folder}/shared.db")
        tables = {"kernel": {"data": data or f"data{number}"}, "database": {"url": url, **(settings or {})}}
        process = subprocess.Popen(
            [
                *options.pop("before", ()),
                sys.executable,
                "-c",
                BOOT,
                json.dumps(tables),
                str(self._project.folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self._started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "waiting\n", line + process.stdout.read()
        return process

    def stop(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()


@pytest.fixture
def starter(project: Any) -> Iterator[Starter]:
    start = Starter(project)
    yield start
    start.stop()


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def ends(*processes: subprocess.Popen[str]) -> list[str]:
    """Return what processes printed once they have ended."""
    return [process.communicate(timeout=60)[0] for process in processes]


def rows(project: Any, sql: str) -> list[tuple[Any, ...]]:
    """Ask the shared database."""
    if project.engine == "sqlite":
        return apsw.Connection(f"{project.folder}/shared.db").execute(sql).fetchall()
    import psycopg

    with psycopg.connect(project.url) as connection:
        return connection.execute(sql.encode()).fetchall()


def wait_until_at_work(project: Any, process: subprocess.Popen[str]) -> None:
    """Return once a process has applied the first file and is within the transaction of the second."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "migration applied first\n", line + process.stdout.read()
    end = monotonic() + 30
    while not at_work(project):
        assert monotonic() < end


def at_work(project: Any) -> bool:
    if project.engine == "postgresql":
        return bool(rows(project, "select 1 from pg_stat_activity where query like 'insert into slow%'"))
    connection = apsw.Connection(f"{project.folder}/shared.db")
    try:
        connection.execute("begin immediate")
    except apsw.BusyError:
        return True
    connection.execute("rollback")
    return False


APPLIED = {
    "sqlite": 'select version, count(*) from "kernel.migrations" group by version order by version',
    "postgresql": "select version, count(*) from kernel.migrations group by version order by version",
}


def test_eight_processes_that_start_at_once_apply_each_file_once(project: Any, starter: Starter) -> None:
    """They share no disk, so no lock but the database's."""
    for number in range(1, 6):
        project.write(f"{number}_t.sql", f"create table t{number} (id int primary key);")
    processes = [starter() for _ in range(8)]
    go(*processes)

    outputs = ends(*processes)

    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert sum(output.count("migration applied") for output in outputs) == 5
    assert rows(project, APPLIED[project.engine]) == [(str(number), 1) for number in range(1, 6)]


def test_one_that_is_killed_within_a_file_leaves_nothing_and_the_others_go_on(
    project: Any, starter: Starter
) -> None:
    project.write("1_first.sql", "create table first (id int primary key);")
    project.write("2_slow.sql", "create table slow (id int primary key);\n" + SLOW[project.engine])
    project.write("3_last.sql", "create table last (id int primary key);")
    settings = {"busy_timeout": 60.0}
    killed, *others = [starter(settings=settings) for _ in range(8)]
    go(killed)
    wait_until_at_work(project, killed)
    go(*others)
    killed.send_signal(signal.SIGKILL)

    outputs = ends(killed, *others)

    assert killed.returncode == -signal.SIGKILL
    assert "applied" not in outputs[0]
    assert [process.returncode for process in others] == [0] * 7, outputs
    applied = sorted(line for output in outputs[1:] for line in output.splitlines() if "applied" in line)
    assert applied == ["migration applied last", "migration applied slow"]
    assert rows(project, APPLIED[project.engine]) == [("1", 1), ("2", 1), ("3", 1)]
    assert rows(project, "select count(*) from slow") == [(1,)]


def test_a_process_waits_for_another_one_longer_than_for_any_lock(project: Any, starter: Starter) -> None:
    project.write("1_first.sql", "create table first (id int primary key);")
    project.write("2_slow.sql", "create table slow (id int primary key);\n" + SLOW[project.engine])
    settings = {"busy_timeout": 0.5}
    data = "shared" if project.engine == "sqlite" else None
    first, second = [starter(data, settings) for _ in range(2)]
    go(first)
    wait_until_at_work(project, first)
    go(second)

    outputs = ends(first, second)

    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert "applied" not in outputs[1]
    if project.engine == "postgresql":
        assert "waiting for another process that is migrating" in outputs[1]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_processes_do_not_stand_in_the_way_of_an_index_made_concurrently(
    project: Any, starter: Starter
) -> None:
    project.write("1_first.sql", "create table first (id int primary key, n int);")
    project.write("2_index.sql", "-- no-transaction\ncreate index concurrently first_n on first (n);")
    project.write("3_last.sql", "create table last (id int primary key);")
    processes = [starter() for _ in range(8)]
    go(*processes)

    outputs = ends(*processes)

    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert sum(output.count("migration applied") for output in outputs) == 3
    assert rows(project, "select indisvalid from pg_index where indexrelid = 'first_n'::regclass") == [
        (True,)
    ]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_leaves_nothing_of_the_file_and_what_was_before(project: Any, starter: Starter) -> None:
    project.write("1_first.sql", "create table first (id int primary key);")
    path = project.write(
        "2_large.sql",
        "create table large (id int primary key, body text);\n"
        "with recursive c (n) as (select 1 union all select n + 1 from c where n < 100000)"
        " insert into large (id, body) select n, 'a row of some length that fills the disk sooner or later' from c;",
    )
    full = starter(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    go(full)

    (output,) = ends(full)

    assert full.returncode == 1
    assert f"{path}, line 2" in output
    assert "nothing of it was applied" in output
    assert rows(project, "select name from sqlite_schema where name in ('first', 'large')") == [("first",)]
    assert rows(project, APPLIED["sqlite"]) == [("1", 1)]
    roomy = starter()
    go(roomy)
    assert "migration applied large" in ends(roomy)[0]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_file_that_cannot_be_written_stops_the_boot(
    project: Any, starter: Starter, read_only: Callable[[Path], list[str]]
) -> None:
    project.write("1_first.sql", "create table first (id int primary key);")
    first = starter()
    go(first)
    ends(first)
    project.write("2_more.sql", "create table more (id int primary key);")
    (project.folder / "data1").mkdir()
    second = starter(before=read_only(project.folder / "shared.db"))
    go(second)

    (output,) = ends(second)

    assert second.returncode == 1
    assert "2_more.sql" in output, output
    assert "read-only" in output or "readonly" in output, output
    assert rows(project, "select name from sqlite_schema where name in ('first', 'more')") == [("first",)]


@pytest.fixture
def read_only(requires_tool: Callable[[str], str]) -> Callable[[Path], list[str]]:
    """Return a function that makes a file read-only, and what to start a process with that is to see it so."""

    def protect(path: Path) -> list[str]:
        path.chmod(0o444)
        if os.geteuid() != 0:
            return []
        # Modes do not hold for the superuser: a mount that only the process sees does.
        script = f'mount --bind "{path}" "{path}" && mount -o remount,ro,bind "{path}" && exec "$@"'
        return [requires_tool("unshare"), "--mount", "sh", "-c", script, "sh"]

    return protect


@contextmanager
def holding(project: Any, sql: str) -> Iterator[Callable[[], None]]:
    """Hold a lock from another connection until the function that this gives is called."""
    if project.engine == "sqlite":
        connection = apsw.Connection(str(project.folder / "data" / "kernel.db"))
        connection.execute("begin immediate")
        yield lambda: connection.execute("rollback").close()
        connection.close()
        return
    import psycopg

    with psycopg.connect(project.url) as session:
        session.execute(sql.encode())
        yield session.rollback


def test_a_file_says_how_long_its_statements_wait_for_a_lock(project: Any) -> None:
    project.write("1_notes.sql", "create table notes (id int primary key);")
    project.boot()
    path = project.write("2_n.sql", "-- lock-timeout: 200ms\nalter table notes add column n int;")

    with holding(project, "lock table notes in access share mode"):
        begun = monotonic()
        with pytest.raises(Exception, match=r"2_n\.sql.*55P03") as caught:
            project.boot()
        assert 0.2 <= monotonic() - begun < 3

    assert str(path) in str(caught.value)
    assert ("n" in project.boot().catalogue.tables["public", "notes"].columns) is True


def test_a_file_may_wait_longer_than_the_settings_say(project: Any) -> None:
    import threading

    project.settings = {"busy_timeout": 0.1}
    project.write("1_notes.sql", "create table notes (id int primary key);")
    project.boot()
    project.write("2_n.sql", "-- lock-timeout: 1min\nalter table notes add column n int;")

    with holding(project, "lock table notes in access share mode") as release:
        waited = threading.Timer(0.7, lambda: None)
        waited.start()
        booting = threading.Thread(target=project.boot)
        booting.start()
        waited.join()
        assert booting.is_alive()
        release()
        booting.join(30)

    assert "n" in project.boot().catalogue.tables["public", "notes"].columns


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_statements_have_no_time_out(project: Any) -> None:
    project.settings = {"statement_timeout": 20.0}
    project.write(
        "1_told.sql", "create table told as select current_setting('statement_timeout') as seconds;"
    )

    assert project.boot().query("select seconds from told") == [("0",)]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_statement_may_take_longer_than_others_may(project: Any) -> None:
    project.settings = {"statement_timeout": 0.3}
    project.write("1_slow.sql", "create table slow (id int primary key);\n" + SLOW["sqlite"])

    assert project.boot().query("select id from slow") == [(4_000_000,)]
