"""Processes killed at named points: nothing that was committed is lost, and nothing that was not is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from kernel import Kernel
from kernel.config import Config
from kernel.contracts import ChangeLog, Database
from plugins.database import DatabasePlugin
from plugins.keys import KeysPlugin

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
SCHEMA = """
create table t (n int primary key, size int);
alter publication supabase_realtime add table t;
insert into t values (1, 1), (2, 2);
"""
HEAD = """
import os, signal, sys
from pathlib import Path
from kernel import Kernel
from kernel.config import Config
from kernel.contracts import ChangeLog, Database
from kernel.events import Event
from plugins.database import DatabasePlugin
from plugins.database.transaction import EngineTransaction
from plugins.keys import KeysPlugin

url, folder, point = sys.argv[1:4]

class Happened(Event, frozen=True):
    name = "test.thing.happened"

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(owner, name, *, after=0):
    "Have a function die when it is called, or at the end of the call of that number."
    original, calls = getattr(owner, name), []
    def wrapped(*args, **options):
        if not after:
            die()
        result = original(*args, **options)
        calls.append(1)
        if len(calls) == after:
            die()
        return result
    setattr(owner, name, wrapped)

config = Config({"kernel": {"data": "data"}, "database": {"url": url}}, project=Path(folder))
kernel = Kernel(config, plugins=[DatabasePlugin, KeysPlugin], role="command")
kernel.register()
database = kernel.services[Database]
engine = type(database.transaction())
schema_engine = type(database.schema_transaction())
"""
WRITE = """
{
    "before the begin": lambda: dying(engine, "_begin"),
    "after the statement": lambda: dying(engine, "_run", after=2),
    "before the commit": lambda: dying(engine, "_commit"),
    "after the commit": lambda: dying(engine, "_commit", after=1),
}[point]()
kernel.events.publish = lambda event: print("published", flush=True)
database.publish = kernel.events.publish
with database.transaction() as transaction:
    transaction.publish(Happened())
    transaction.execute("insert into t values (3, 3)")
    transaction.execute("update t set size = 4 where n = 1")
print("acknowledged", flush=True)
"""
CHANGE_SCHEMA = """
{
    "after the first statement": lambda: dying(schema_engine, "_run", after=1),
    "after the rebuild": lambda: dying(schema_engine, "_run", after=2),
    "before the commit": lambda: dying(schema_engine, "_commit"),
    "within the rebuild": lambda: None,
}[point]()
if point == "within the rebuild":
    from plugins.database.sqlite import rebuilding
    run = rebuilding.run
    def interrupted(connection, rebuild):
        seen = []
        def note(_, sql, __):
            seen.append(sql)
            if len(seen) == 3:
                die()
            return True
        connection.exec_trace = note
        run(connection, rebuild)
    rebuilding.run = interrupted
with database.schema_transaction() as transaction:
    transaction.script("create table u (n int); alter table t alter column size type text using size::text || '!'")
"""
PRUNE = """
dying(EngineTransaction, "_attempt", after=int(point))
kernel.services[ChangeLog].prune(0)
"""
CHECKPOINT = """
import resource
path = Path(folder, "data", "kernel.db")
for n in range(10, 400):
    with database.transaction() as transaction:
        transaction.execute("insert into t values (:n, :n)", {"n": n})
print("acknowledged", flush=True)
# A checkpoint writes the pages in their order; where the file would grow beyond the limit, the system kills.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
limit = 4096 * int(point) + 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
database.connections.writer().connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
"""


class Project:
    """A folder with a database, and processes that die over it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._kernels: list[Kernel] = []
        folder.mkdir(exist_ok=True)

    def kernel(self) -> Kernel:
        config = Config({"kernel": {"data": "data"}, "database": {"url": self.url}}, project=self.folder)
        kernel = Kernel(config, plugins=[DatabasePlugin, KeysPlugin], role="command")
        kernel.register()
        self._kernels.append(kernel)
        return kernel

    @property
    def database(self) -> Any:
        return self.kernel().services[Database]

    def dies(self, program: str, point: str, by: signal.Signals = signal.SIGKILL) -> str:
        """Run a program that is to die at a point; return what it has printed."""
        done = subprocess.run(
            [sys.executable, "-c", HEAD + program, self.url, str(self.folder), point],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == -by, done.stderr
        return done.stdout

    def stop(self) -> None:
        while self._kernels:
            self._kernels.pop().stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Project]]:
    made: list[Project] = []

    def make_(name: str) -> Project:
        url = "sqlite:///kernel.db"
        if engine == "postgresql":
            request.getfixturevalue("requires_tool")("pg_dump")
            url = request.getfixturevalue("make_postgresql_database")()
        made.append(Project(tmp_path / name, url))
        return made[-1]

    yield make_
    for project in made:
        project.stop()


@pytest.fixture
def project(make: Callable[[str], Project]) -> Project:
    """A project with two rows."""
    made = make("project")
    kernel = made.kernel()
    kernel.prepare()
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(SCHEMA)
    made.stop()
    return made


@pytest.mark.parametrize(
    "point", ["before the begin", "after the statement", "before the commit", "after the commit"]
)
def test_a_writer(project: Project, point: str) -> None:
    cursor = project.kernel().services[ChangeLog].now()
    project.stop()

    printed = project.dies(WRITE, point)

    assert printed == ""  # neither published nor acknowledged
    committed = point == "after the commit"
    rows = [(1, 4), (2, 2), (3, 3)] if committed else [(1, 1), (2, 2)]
    assert project.database.query("select n, size from t order by n") == rows
    changes = project.kernel().services[ChangeLog].read(cursor).changes
    assert [change.command for change in changes] == (["INSERT", "UPDATE"] if committed else [])
    with project.database.transaction() as transaction:
        transaction.execute("insert into t values (9, 9)")


@pytest.mark.parametrize(
    "point", ["after the first statement", "within the rebuild", "after the rebuild", "before the commit"]
)
def test_who_changes_the_schema(project: Project, engine: str, point: str) -> None:
    if point == "within the rebuild" and engine == "postgresql":
        point = "after the rebuild"  # there it is the server's, which a client's death does not stop halfway

    project.dies(CHANGE_SCHEMA, point)

    database = project.database
    assert ("public", "u") not in database.catalogue.tables
    assert database.catalogue.tables["public", "t"].columns["size"].type == "integer"
    assert database.query("select n, size from t order by n") == [(1, 1), (2, 2)]
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table u (n int); alter table t alter column size type text using size::text"
        )
    assert database.query("select n, size from t order by n") == [(1, "1"), (2, "2")]


@pytest.mark.parametrize("point", ["1", "2", "3", "4", "5"])
def test_who_prunes_the_change_log(project: Project, engine: str, point: str) -> None:
    """However far it had come, readers miss nothing and the next one prunes."""
    kernel = project.kernel()
    log, cursor = kernel.services[ChangeLog], kernel.services[ChangeLog].now()
    with kernel.services[Database].transaction() as transaction:
        transaction.execute("insert into t values (3, 3)")
    project.stop()

    project.dies(PRUNE, point)

    log = project.kernel().services[ChangeLog]
    assert [change.new is not None for change in log.read(cursor).changes] == [True]
    assert log.prune(0) == 3


@pytest.mark.parametrize("point", ["1", "2", "10"])
# PostgreSQL's checkpoints are its own: see outages/test_restarts.py.
@pytest.mark.parametrize("engine", ["sqlite"])
def test_who_folds_the_log_into_the_file(project: Project, point: str) -> None:
    """After so many pages, and in the middle of the next."""
    assert project.dies(CHECKPOINT, point, signal.SIGXFSZ) == "acknowledged\n"

    assert (project.folder / "data" / "kernel.db-wal").stat().st_size > 0
    database = project.database
    assert database.query("select count(*), sum(n) from t") == [(392, 3 + sum(range(10, 400)))]
    project.stop()
    assert apsw.Connection(str(project.folder / "data" / "kernel.db")).pragma("integrity_check") == "ok"


BACKUP = """
from plugins.database.backup import archive, project as backups
place = kernel.plugins["database"].place()
{
    "copying": lambda: dying(type(place), "copy", after=1),
    "writing": lambda: dying(archive.Writer, "add", after=1),
    "finishing": lambda: dying(archive.Writer, "finish", after=1),
}[point]()
backups.back_up(kernel, place, Path(folder).parent / "a.backup", lambda *_: None)
"""
RESTORE = """
from plugins.database.backup import project as backups
place = kernel.plugins["database"].place()
{
    "checking": lambda: dying(type(place), "check", after=1),
    "before the database": lambda: dying(type(place), "restore"),
    "after the database": lambda: dying(type(place), "restore", after=1),
    "within": lambda: None,
}[point]()
if point == "within" and database.engine == "sqlite":
    dying(Path, "replace")
elif point == "within":
    from plugins.database.backup import postgresql
    # After the dump's last statement, and before the commit.
    postgresql._RESTART = type("Dying", (), {"__format__": die})()
backups.restore(kernel, place, Path(folder).parent / "a.backup", lambda *_: None, confirmed=True)
"""


def backup(project: Project) -> Path:
    from plugins.database.backup import project as backups

    kernel = project.kernel()
    path = project.folder.parent / "a.backup"
    backups.back_up(kernel, kernel.plugins["database"].place(), path, lambda *_: None)  # type: ignore[attr-defined]
    project.stop()
    return path


def restore(project: Project, path: Path) -> None:
    from plugins.database.backup import project as backups

    kernel = project.kernel()
    place = kernel.plugins["database"].place()  # type: ignore[attr-defined]
    backups.restore(kernel, place, path, lambda *_: None, confirmed=True)
    project.stop()


@pytest.mark.parametrize("point", ["copying", "writing", "finishing"])
def test_who_backs_up(project: Project, point: str) -> None:
    """Leaves no file that looks like a backup, and the next try makes one."""
    project.dies(BACKUP, point)

    path = project.folder.parent / "a.backup"
    assert not path.exists()
    restore(project, backup(project))
    assert project.database.query("select n from t order by n") == [(1,), (2,)]


@pytest.mark.parametrize("point", ["checking", "before the database", "within", "after the database"])
def test_who_restores(project: Project, point: str) -> None:
    """Leaves the old database or the new one, each whole, and the next try restores."""
    path = backup(project)
    with project.database.schema_transaction() as transaction:
        transaction.script("delete from t; create table later (n int)")
    project.stop()

    project.dies(RESTORE, point)

    database = project.database
    restored = point == "after the database"
    rows = [(1,), (2,)] if restored else []
    assert database.query("select n from t order by n") == rows
    assert (("public", "later") in database.catalogue.tables) is not restored
    project.stop()
    restore(project, path)
    assert project.database.query("select n from t order by n") == [(1,), (2,)]
