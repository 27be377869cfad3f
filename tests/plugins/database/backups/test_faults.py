"""Backups and restores that something happens to: a clear word, and nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from kernel.contracts import Database
from plugins.database.backup import archive as archives
from plugins.database.backup.archive import Archive, BackupError
from plugins.database.backup.project import back_up

PROGRAM = """
import os, sys
from pathlib import Path
from kernel import Kernel
from kernel.config import Config
from kernel.errors import KernelError
from plugins.database import DatabasePlugin
from plugins.keys import KeysPlugin
settings = {"kernel": {"data": "data"}, "database": {"url": sys.argv[2]}}
kernel = Kernel(Config(settings, project=Path(sys.argv[1])), plugins=[DatabasePlugin, KeysPlugin], role="command")
kernel.register()
(command,) = [command for _, command in kernel.commands() if command.name == "backup"]
"""


def left(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


def damage(database: Path) -> None:
    """Spoil a page that is neither the first nor free."""
    with database.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.6, 0.95])
def test_a_truncated_archive_is_refused_with_nothing_changed(source: Any, file: Path, part: float) -> None:
    before, keys = source.rows(), source.keys.read_bytes()
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content.rstrip(b"\0")) * part)])
    for arguments in (["--verify"], ["--yes"]):
        with pytest.raises(BackupError, match="damaged"):
            source.command("restore", *arguments, str(file))
    assert (source.rows(), source.keys.read_bytes()) == (before, keys)


def test_a_changed_archive_is_refused(source: Any, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"jwt_secret")] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupError, match="damaged"):
        source.command("restore", "--yes", str(file))


# Reading an archive is checking it. What no change can be seen by is what fills members up to whole blocks.
@given(data=strategies.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_with_bits_changed_anywhere_is_refused_or_means_the_same(
    file: Path, tmp_path: Path, data: Any
) -> None:
    content, changed = file.read_bytes(), tmp_path / "changed.backup"
    end = content.rindex(b"}") + 1
    # Most of it is the database, and what is delicate is at the ends.
    places = strategies.integers(0, end - 1) | strategies.integers(end - 3000, end - 1)
    flips = data.draw(strategies.dictionaries(places, strategies.integers(1, 255), min_size=1, max_size=3))
    spoilt = bytearray(content)
    for place, bits in flips.items():
        spoilt[place] ^= bits
    changed.write_bytes(spoilt)
    try:
        archive = Archive(changed, lambda *_: None)
    except BackupError:
        return
    whole = Archive(file, lambda *_: None)
    assert archive.manifest == whole.manifest
    for one, name in ((archive, "one"), (whole, "other")):
        for member in one.manifest.members:
            (tmp_path / name).unlink(missing_ok=True)
            one.extract(member, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("what", ["created", "members", "roles"])
def test_a_changed_manifest_is_refused(source: Any, file: Path, what: str) -> None:
    content = bytearray(file.read_bytes())
    content[content.rindex(what.encode() + b'"') + len(what) + 5] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupError, match="damaged"):
        source.command("restore", "--verify", str(file))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_backup_leaves_goes_with_the_next(source: Any, tmp_path: Path, by: Any) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    program = (
        PROGRAM
        + """
from plugins.database.backup import archive
def wait(*_):
    print(flush=True)
    input()
archive.Writer.finish = wait
command.main([sys.argv[3]], standalone_mode=False)
"""
    )
    line = [sys.executable, "-c", program, str(source.folder), source.url, str(folder / "a.backup")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    with subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(left(folder)) == 1
        source.command("backup", str(folder / "b.backup"))
        assert len(left(folder)) == 2  # that of a process which is at work stays
        process.send_signal(by)
        process.wait(30)
    assert len(left(folder)) == 2

    source.command("backup", str(folder / "a.backup"))

    assert left(folder) == {"a.backup", "b.backup"}


def test_what_a_killed_restore_leaves_goes_with_the_next(source: Any, file: Path) -> None:
    data = source.folder / "data"
    before = left(data)
    program = (
        PROGRAM.replace('"backup"', '"restore"')
        + """
from plugins.database.backup import project
extract = project.Archive.extract
def dying(*arguments):
    extract(*arguments)
    os.kill(os.getpid(), 9)
project.Archive.extract = dying
command.main(["--yes", sys.argv[3]], standalone_mode=False)
"""
    )
    line = [sys.executable, "-c", program, str(source.folder), source.url, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    subprocess.run(line, env=environment, capture_output=True, timeout=60)
    assert len(left(data)) > len(before)

    source.command("restore", "--yes", str(file))

    assert left(data) <= before


def test_of_two_backups_at_once_into_one_file_one_is_kept_whole(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    finish = archives.Writer.finish

    def finishing(*arguments: Any) -> Any:
        together.wait(30)
        return finish(*arguments)

    monkeypatch.setattr(archives.Writer, "finish", finishing)

    def backup(_: int) -> str:
        kernel = source.kernel()
        try:
            back_up(kernel, kernel.plugins["database"].place(), tmp_path / "a.backup", lambda *_: None)
        except BackupError as error:
            return str(error)
        return "written"

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(backup, range(2)))
    assert told == [f"{tmp_path}/a.backup is there already; name another file", "written"]
    assert left(tmp_path) == {"source", "a.backup"}
    source.command("restore", "--verify", str(tmp_path / "a.backup"))


WRITING = """
from kernel.contracts import Database, DatabaseUnavailable
database, number = kernel.services[Database], int(sys.argv[3])
done = 0

def move():
    with database.transaction() as transaction:
        taken, given = number % 4, (number + 1) % 4
        transaction.execute("update accounts set amount = amount - 1 where id = :id", {"id": min(taken, given)})
        transaction.execute("insert into transfers (amount) values (-1), (1)")
        transaction.execute("update accounts set amount = amount + 1 where id = :id", {"id": max(taken, given)})

while True:
    try:
        move()
    except DatabaseUnavailable as error:
        if error.sqlstate != "55P03":  # SQLite's writers do not queue: one of four may wait for long
            raise
    done += 1
    if done % 20 == 0:
        print(done, flush=True)
"""


@pytest.mark.long
def test_a_backup_while_four_processes_write_is_of_one_moment(source: Any, make: Any, tmp_path: Path) -> None:
    kernel = source.kernel()
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(
            "create table accounts (id int primary key, amount int);"
            "insert into accounts select i, 1000 from generate_series(0, 3) i;"
            "create table transfers (id bigint generated always as identity primary key, amount int)"
        )
    kernel.stop()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    lines = [
        [sys.executable, "-c", PROGRAM + WRITING, str(source.folder), source.url, str(number)]
        for number in range(4)
    ]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True))
            for line in lines
        ]
        for writer in writers:
            stack.callback(writer.kill)
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline()
        for number in range(5):
            source.command("backup", str(tmp_path / f"{number}.backup"))
        assert all(writer.poll() is None for writer in writers)
    seen = set()
    for number in range(5):
        other = make(f"other{number}")
        other.command("restore", str(tmp_path / f"{number}.backup"))
        database = other.kernel().services[Database]
        ((accounts, total),) = database.query("select count(*), sum(amount) from accounts")
        ((transfers, balance),) = database.query("select count(*), sum(amount) from transfers")
        assert (accounts, total, balance, transfers % 2) == (4, 4000, 0, 0)
        seen.add(transfers)
    assert len(seen) == 5  # it was written all the time


def test_a_full_disk_leaves_no_file(source: Any, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    kernel = source.kernel()
    with kernel.services[Database].transaction() as transaction:
        transaction.execute("insert into authors (name) values (:name)", {"name": os.urandom(200_000).hex()})
    kernel.stop()
    program = (
        PROGRAM
        + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    command.main([sys.argv[3]], standalone_mode=False)
except KernelError as error:
    print(type(error).__name__, error)
"""
    )
    size = source.command("backup", str(tmp_path / "whole.backup"))["members"]["database"]["size"]
    for limit in (30_000, size + 300):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                program,
                str(source.folder),
                source.url,
                str(folder / "c.backup"),
                str(limit),
            ],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.startswith("BackupError"), done.stderr
        assert left(folder) == set()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_damaged_database_is_not_backed_up(source: Any, tmp_path: Path) -> None:
    """Whoever finds a backup may rely on it."""
    damage(source.folder / "data" / "kernel.db")
    with pytest.raises(BackupError, match=r"kernel.db is damaged: .*no backup was written"):
        source.command("backup", str(tmp_path / "e.backup"))
    assert left(tmp_path) == {"source"}


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_damaged_database_in_a_whole_archive_is_refused(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.database.backup import sqlite

    damage(source.folder / "data" / "kernel.db")
    with monkeypatch.context() as careless:
        careless.setattr(sqlite, "_damage", lambda _: None)
        source.command("backup", str(tmp_path / "e.backup"))
    for arguments in (["--verify"], ["--yes"]):
        with pytest.raises(BackupError, match="nothing was changed"):
            source.command("restore", *arguments, str(tmp_path / "e.backup"))


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("spoil", ["damage", "garbage"])
def test_a_backup_takes_the_place_of_a_damaged_database(source: Any, file: Path, spoil: str) -> None:
    before, database = source.rows(), source.folder / "data" / "kernel.db"
    damage(database) if spoil == "damage" else database.write_bytes(b"no database " * 1000)

    source.command("restore", "--yes", str(file))

    assert source.rows() == before


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("spoil", ["damage", "garbage"])
def test_a_damaged_database_in_use_is_not_replaced(source: Any, file: Path, spoil: str) -> None:
    database = source.folder / "data" / "kernel.db"
    program = "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.pragma('user_version'); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as using:
        assert using.stdout is not None
        using.stdout.readline()
        if spoil == "damage":
            damage(database)
        else:
            with database.open("r+b") as opened:
                opened.write(b"no database " * 1000)
        before = database.read_bytes()
        with pytest.raises(BackupError, match=r"in use; stop the server first"):
            source.command("restore", "--yes", str(file))
        assert database.read_bytes() == before
        using.communicate(b"\n")
    source.command("restore", "--yes", str(file))
