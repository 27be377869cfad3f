"""Files that are no database, or none that can be used: what is wrong, where, and what to do; nothing is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.errors import describe

ROOT = Path(__file__).parents[4]


def foreign(path: Path, _: bytes) -> None:
    path.write_bytes(b"the file of another program " * 1000)


def corrupt_header(path: Path, content: bytes) -> None:
    path.write_bytes(content[:100] + b"\xff" * 200 + content[300:])


def corrupt_middle(path: Path, content: bytes) -> None:
    path.write_bytes(content[:4096] + b"\xff" * 4096 * 6 + content[4096 * 7 :])


def truncated(path: Path, content: bytes) -> None:
    path.write_bytes(content[:6000])


def newer(path: Path, content: bytes) -> None:
    path.write_bytes(content[:18] + b"\x09\x09" + content[20:])


def folder(path: Path, _: bytes) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (foreign, "is no SQLite database; move it away"),
        (corrupt_header, "is damaged; put a backup in its place: kernel restore"),
        (corrupt_middle, "is damaged; put a backup in its place: kernel restore"),
        (truncated, "is damaged; put a backup in its place: kernel restore"),
        (newer, "was written by a newer SQLite"),
        (folder, "is a folder; name a file in it"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained_and_left_alone(
    make_database: Any, tmp_path: Path, spoil: Callable[[Path, bytes], None], told: str
) -> None:
    whole = make_database(tmp_path / "whole.db")
    with whole.schema_transaction() as transaction:
        transaction.script("create table t (n int primary key, body text); create index on t (body)")
    whole.close()
    path = tmp_path / "kernel.db"
    spoil(path, (tmp_path / "whole.db").read_bytes())
    before = path.read_bytes() if path.is_file() else None
    database = make_database(path)

    for use in (lambda: database.catalogue, lambda: database.schema_transaction().__enter__()):
        with pytest.raises(DatabaseError) as raised:
            use()
        assert told in describe(raised.value)
        assert str(path) in describe(raised.value)
        assert str(tmp_path) not in raised.value.message  # which clients see

    database.close()
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_look_at_a_damaged_file_takes_no_lock_away(make_database: Any, tmp_path: Path) -> None:
    """A restore would replace it under who uses it: the system drops locks with the first descriptor that closes."""
    path = tmp_path / "kernel.db"
    database = make_database(path)
    with database.schema_transaction() as transaction:
        transaction.script("create table t (n int primary key, body text); insert into t values (1, 'x')")
    database.connections.separate().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    garbage = b"\xff" * path.stat().st_size
    program = (
        "import sys; from pathlib import Path; from plugins.database.backup.sqlite import _is_held;"
        "sys.exit(_is_held(Path(sys.argv[1])))"
    )

    def held() -> int:
        line = [sys.executable, "-c", program, str(path)]
        return subprocess.run(line, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60).returncode

    database.query("select n from t")
    subprocess.run(["dd", f"of={path}", "conv=notrunc", "status=none"], input=garbage, check=True)
    assert held() == 1
    with pytest.raises(DatabaseError) as raised:
        database.connections.separate().execute("select count(*) from t")
    assert "is no SQLite database" in describe(raised.value)
    assert held() == 1


def test_a_folder_that_is_missing_is_named(make_database: Any, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as raised:
        _ = make_database(tmp_path / "gone" / "kernel.db").catalogue
    assert f"there is no folder {tmp_path / 'gone'}; make it" in describe(raised.value)


def removed(path: Path) -> None:
    path.rename(path.with_name("away"))


def replaced(path: Path) -> None:
    removed(path)
    shutil.copyfile(path.with_name("away"), path)


def emptied(path: Path) -> None:
    shutil.copyfile(path, path.with_name("away"))
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (removed, "cannot be reached: No such file or directory; put that one back"),
        (replaced, "is another file than the one that was opened; put that one back"),
        (emptied, "has lost all that was in it; put a backup in its place: kernel restore"),
    ],
)
def test_a_file_that_goes_while_it_is_in_use_takes_no_writes_with_it(
    make_database: Any, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    """SQLite itself would go on with a file that nobody finds again, and make a new one for the next connection."""
    path = tmp_path / "kernel.db"
    published: list[Any] = []
    database = make_database(path, publish=published.append)

    def write() -> None:
        with database.transaction() as transaction:
            transaction.execute("insert into t values (1)")
            transaction.publish("written")

    with database.schema_transaction() as transaction:
        transaction.script("create table t (n int)")
    write()
    database.connections.separate().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    spoil(path)
    there = path.exists() and path.stat().st_size
    database.forget_catalogue()  # which is looked at ten times a second

    for use in (write, lambda: database.query("select * from t"), database.connections.separate):
        with pytest.raises(DatabaseUnavailable) as raised:
            use()
        assert told in describe(raised.value)
        assert str(path) in describe(raised.value)
        assert str(tmp_path) not in raised.value.message
    assert (path.exists() and path.stat().st_size) == there  # none was made in its place
    assert published == ["written"]

    if spoil is emptied:
        return  # SQLite does not take the same file with other bytes
    path.with_name("away").rename(path)
    write()
    assert database.query("select count(*) from t") == [(2,)]
    assert published == ["written"] * 2


PROGRAM = """
import os, sys
from pathlib import Path
from kernel.contracts.database import DatabaseUnavailable
from kernel.errors import describe
from kernel.sources import SystemClock, SystemIds
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase

path = Path(sys.argv[1])
database = SqliteDatabase(path, Limits(10.0, 2.0, 20_000), SystemClock(), SystemIds(), print)

def refused(use, sqlstate, told):
    for _ in range(2):
        try:
            use()
        except DatabaseUnavailable as error:
            assert error.sqlstate == sqlstate, describe(error)
            assert told in describe(error), describe(error)
            assert str(path.parent) not in error.message
        else:
            raise AssertionError("it was done")

def read():
    assert database.query("select n from t") == [(1,)]

def write():
    with database.transaction() as transaction:
        transaction.execute("insert into t values (2)")

def change():
    with database.schema_transaction() as transaction:
        transaction.script("create table u (n int)")
"""


@pytest.fixture
def unprivileged(requires_tool: Callable[[str], str]) -> list[str]:
    """What to start a process with for which permissions hold, as they do not for the superuser's."""
    if os.geteuid() != 0:
        return []
    lost = "-dac_override,-dac_read_search"
    return [requires_tool("setpriv"), f"--inh-caps={lost}", f"--bounding-set={lost}"]


@pytest.mark.parametrize(
    ("file", "folder", "program"),
    [
        (0o400, 0o700, "read(); refused(write, '25006', told); refused(change, '25006', told); read()"),
        (0o600, 0o500, "refused(read, *there); refused(write, *there); refused(change, *there)"),
        (0o000, 0o700, "refused(read, *away); refused(write, *away)"),
        (0o600, 0o000, "refused(read, *gone); refused(write, *gone)"),
    ],
)
def test_a_file_that_may_not_be_written_or_read_says_who_must_be_let_in(
    make_database: Any, tmp_path: Path, unprivileged: list[str], file: int, folder: int, program: str
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    database = make_database(place / "kernel.db")
    with database.schema_transaction() as transaction:
        transaction.script("create table t (n int); insert into t values (1)")
    database.close()
    told = """
told = f"let this user write {path} and the folder it is in"
there = ("25006", told)
away = ("58030", f"let this user read and write {path} and the folder it is in")
gone = ("58030", f"{path} cannot be reached: Permission denied; let this user")
"""
    (place / "kernel.db").chmod(file)
    place.chmod(folder)
    try:
        done = subprocess.run(
            [*unprivileged, sys.executable, "-c", PROGRAM + told + program, str(place / "kernel.db")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    finally:
        place.chmod(0o700)
    assert done.returncode == 0, done.stderr


def test_a_file_that_may_not_grow_is_a_full_disk(make_database: Any, tmp_path: Path) -> None:
    """A quota and a limit (`ulimit -f`) too, which SQLite reports as any failure of the disk."""
    database = make_database(tmp_path / "kernel.db")
    with database.schema_transaction() as transaction:
        transaction.script("create table t (n int)")
    database.close()
    program = """
import resource
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
def fill():
    with database.transaction() as transaction:
        transaction.execute("insert into t select i from generate_series(1, 100000) i")
refused(fill, "53100", "raise what this user may take (quota, ulimit -f)")
resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
refused(write, "53100", "ulimit -f")
refused(change, "53100", "ulimit -f")
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
fill()
assert database.query("select count(*) from t") == [(100000,)]
"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(tmp_path / "kernel.db")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_who_opens_a_new_file_waits_for_others_that_do(make_database: Any, tmp_path: Path) -> None:
    """SQLite itself refuses at once to put a file in WAL mode that another is putting in WAL mode."""
    together = threading.Barrier(4)

    def open_(path: Path) -> object:
        database = make_database(path)
        together.wait(30)
        database.create_tables()
        return database.connections.separate().pragma("journal_mode")

    with ThreadPoolExecutor(4) as pool:
        for attempt in range(150):
            assert list(pool.map(open_, [tmp_path / f"{attempt}.db"] * 4)) == ["wal"] * 4
