"""The change log on SQLite: triggers write it, and since writers take turns, its numbers are in commit order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import apsw

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.changes import ChangeBatch, ChangesLost, RowChange
from kernel.contracts.database import Compiled
from kernel.contracts.signals import Signals
from plugins.database.changes.following import LogFollowing
from plugins.database.sqlite.catalogue.kinds import resolve
from plugins.database.sqlite.names import engine_name, quote, text_literal
from plugins.database.sqlite.statements import Change
from plugins.database.sqlite.stored import describe

if TYPE_CHECKING:
    from plugins.database.sqlite.database import SqliteDatabase

# The horizon is the last change that may have been forgotten; marks tell until when, and up to which change,
# somebody had looked. The epoch tells this log's cursors from another's.
_CREATE = """
CREATE TABLE IF NOT EXISTS "kernel.changes" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT, "transaction" INTEGER NOT NULL, "moment" TEXT NOT NULL,
    "schema" TEXT NOT NULL, "table" TEXT NOT NULL, "command" TEXT NOT NULL, "old" TEXT, "new" TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS "kernel.change_log" ("epoch" TEXT NOT NULL, "horizon" INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "kernel.change_marks" ("moment" REAL NOT NULL, "last" INTEGER NOT NULL) STRICT;
INSERT INTO "kernel.change_log" SELECT lower(hex(randomblob(8))), 0
    WHERE NOT EXISTS (SELECT 1 FROM "kernel.change_log")
"""
# The counter says what the newest change is, also when none is left.
LAST = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'kernel.changes'), 0)"
_EXISTS = Compiled("SELECT count(*) FROM sqlite_schema WHERE name = 'kernel.change_log'")
_NOW = Compiled(f'SELECT "epoch", {LAST} FROM "kernel.change_log"')  # noqa: S608 - a constant
_READ = Compiled(
    'SELECT l."epoch", l."horizon", c."id", c."transaction", c."moment", c."schema", c."table", c."command",'  # noqa: S608
    f' c."old", c."new", {LAST} FROM "kernel.change_log" l'
    ' LEFT JOIN (SELECT * FROM "kernel.changes" WHERE "id" > :after ORDER BY "id" LIMIT :limit) c ORDER BY c."id"'
)
_MARK = Compiled(f"INSERT INTO \"kernel.change_marks\" SELECT unixepoch('subsec'), {LAST}")
_OLD_MARKS = Compiled(
    'SELECT max("moment"), max("last") FROM "kernel.change_marks" WHERE "moment" <= unixepoch(\'subsec\') - :retention'
)
_FORGET_MARKS = Compiled('DELETE FROM "kernel.change_marks" WHERE "moment" <= :moment')
_SET_HORIZON = Compiled('UPDATE "kernel.change_log" SET "horizon" = :last')
_FORGET = Compiled('DELETE FROM "kernel.changes" WHERE "id" <= :last')
RESTART = """
DELETE FROM "kernel.changes";
DELETE FROM "kernel.change_marks";
UPDATE "kernel.change_log" SET "epoch" = lower(hex(randomblob(8)))
"""
"""What makes the log of a copied file one of its own, so that cursors of the original are refused."""

START = ""
"""The cursor while there is no log yet."""


class SqliteChangeLog:
    """The log in the file."""

    def __init__(self, database: SqliteDatabase, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    def close(self) -> None:
        """Do nothing: it has nothing open."""

    def prepare(self) -> None:
        """Do nothing: whoever publishes a table on SQLite gives it its triggers."""

    def now(self) -> str:
        """Return a cursor behind all that has been committed so far."""
        if not self._exists():
            return START
        ((epoch, last),) = self._database.query(_NOW)
        return _cursor(epoch, last)

    def read(self, after: str, limit: int = 1000) -> ChangeBatch:
        """Return at most `limit` changes after a cursor."""
        epoch, place = _read_cursor(after)
        if not self._exists():
            if after != START:
                raise ChangesLost("the cursor belongs to another database")
            return ChangeBatch((), START)
        rows = self._database.query(_READ, {"after": place, "limit": limit})
        current, horizon = rows[0][:2]
        if place < horizon or place > rows[0][-1] or epoch not in (current, START):
            raise ChangesLost("the log does not hold what came after the cursor")
        changes = tuple(RowChange(*row[2:-1]) for row in rows if row[2] is not None)
        return ChangeBatch(changes, _cursor(current, changes[-1].id if changes else place))

    def follow(self, after: str, limit: int = 1000) -> LogFollowing:
        """Return what yields batches of changes after a cursor, and waits for more."""
        return LogFollowing(self, self._signals, after, limit)

    def prune(self, retention: float) -> int:
        """Forget the changes that a call at least `retention` seconds ago has seen."""
        if not self._exists():
            return 0
        with self._database.transaction() as transaction:
            transaction.execute(_MARK)
            ((moment, last),) = transaction.query(_OLD_MARKS, {"retention": retention})
            if moment is None:
                return 0
            transaction.execute(_FORGET_MARKS, {"moment": moment})
            transaction.execute(_SET_HORIZON, {"last": last})
            return transaction.execute(_FORGET, {"last": last})

    def _exists(self) -> bool:
        return bool(self._database.query(_EXISTS)[0][0])


def _cursor(epoch: str, last: int) -> str:
    return f"{epoch}-{last}"


def _read_cursor(cursor: str) -> tuple[str, int]:
    if cursor == START:
        return START, 0
    epoch, _, last = cursor.partition("-")
    if not epoch.isalnum() or not last.isdecimal():
        raise ChangesLost("the cursor is none of this log's")
    return epoch, int(last)


def drop_triggers(connection: apsw.Connection, catalogue: Catalogue, changes: Iterable[Change]) -> None:
    """Take the triggers off the tables that a statement is about to change: they name the columns of before."""
    for change in changes:
        table = catalogue.table(change.name, change.schema)
        if table is not None and table.published:
            for command in _ROWS:
                connection.execute(f"DROP TRIGGER IF EXISTS {_trigger(table, command)}")


def create_triggers(connection: apsw.Connection, catalogue: Catalogue, changes: Iterable[Change]) -> None:
    """Give triggers to those of the changed tables that are published."""
    for change in changes:
        table = catalogue.table(change.name, change.schema)
        if table is not None and table.published:
            connection.execute(_CREATE)
            for command in _ROWS:
                connection.execute(f"DROP TRIGGER IF EXISTS {_trigger(table, command)}")
                connection.execute(_trigger_sql(table, command, catalogue))


_ROWS: Mapping[str, tuple[str, str]] = {
    "INSERT": ("NULL", "NEW"),
    "UPDATE": ("OLD", "NEW"),
    "DELETE": ("OLD", "NULL"),
}


def _trigger(table: Table, command: str) -> str:
    return quote(f"kernel.changes/{engine_name(table.schema, table.name)}/{command.lower()}")


def _trigger_sql(table: Table, command: str, catalogue: Catalogue) -> str:
    old, new = (_row(table, row, catalogue) for row in _ROWS[command])
    names = ", ".join(map(text_literal, (table.schema, table.name, command)))
    return (
        f"CREATE TRIGGER {_trigger(table, command)} AFTER {command}"  # noqa: S608 - names are quoted
        f" ON {quote(engine_name(table.schema, table.name))} BEGIN"
        ' INSERT INTO "kernel.changes" ("transaction", "moment", "schema", "table", "command", "old", "new")'
        f" VALUES (pg_transaction({LAST}), pg_now(), {names}, {old}, {new}); END"
    )


def _row(table: Table, row: str, catalogue: Catalogue) -> str:
    if row == "NULL":
        return row
    members = (
        f"{text_literal(name)}, "
        + describe(resolve(column.type, catalogue)).to_json.replace("{}", f"{row}.{quote(name)}")
        for name, column in table.columns.items()
    )
    return f"json_object({', '.join(members)})"
