"""SQLite's errors as PostgreSQL's: SQLSTATE, the names of constraint, table and column, and the message."""

from __future__ import annotations

import errno
import re

import apsw

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from plugins.database import timeouts
from plugins.database.sqlite.names import split_name

RANGE_CHECK = "kernel range of "
DOMAIN_CHECK = "kernel domain "

_MISSING_TABLE = re.compile(r"no such (?:table|view): (.+)")
_MISSING_COLUMN = re.compile(r"(?:no such column: |table .+ has no column named )(.+)")
_MISSING_FUNCTION = re.compile(r"no such function: (.+)")
_MISSING_CONSTRAINT = re.compile(r"no such constraint: (.+)")
_PHRASES = {
    "pattern too complex": ("the pattern is longer than SQLite takes", "54000"),
    "integer overflow": ("bigint out of range", "22003"),
    "malformed JSON": ("invalid input syntax for type json", "22P02"),
}
_AMBIGUOUS = re.compile(r"ambiguous column name: (.+)")


def extended(error: apsw.Error) -> int:
    """Return SQLite's extended result code of an error."""
    return int(getattr(error, "extendedresult", 0))


def is_reference(error: BaseException) -> bool:
    """Tell whether a statement failed because of a foreign key; one that restricts fails as a trigger does."""
    return isinstance(error, apsw.ConstraintError) and (
        extended(error) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY or "FOREIGN KEY" in str(error)
    )


_OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a file may not grow; SQLite knows some of it as any other failure."""


def translate(
    error: BaseException, catalogue: Catalogue, connection: apsw.Connection | None = None
) -> DatabaseError:
    """Return the `DatabaseError` for what apsw raised.

    `connection` is the one that it was raised for, where that is open: it knows what the system said.
    """
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, apsw.ConstraintError):
        return _constraint(error, catalogue)
    if isinstance(error, apsw.Error):
        return engine_error(error, connection)
    if isinstance(error, OverflowError):
        return DatabaseError("bigint out of range", sqlstate="22003")
    if isinstance(error, UnicodeEncodeError):
        return DatabaseError("invalid Unicode surrogate in a text value", sqlstate="22021")
    if isinstance(error, KeyError):
        return DatabaseError(f"there is no value for the parameter :{error.args[0]}", sqlstate="42P02")
    if isinstance(error, TypeError):
        return DatabaseError(
            f"a parameter has a type that does not travel: {error}",
            sqlstate="42804",
            hint="Pass None, bool, int, float, str or bytes; other types as text.",
        )
    if isinstance(error, RecursionError):
        # Of a function whose argument nests too deep or has too many parts.
        return DatabaseError("stack depth limit exceeded", sqlstate="54001")
    return DatabaseError(f"the statement failed: {type(error).__name__}", sqlstate="XX000")


def refused_value(domain: str, constraint: str | None) -> DatabaseError:
    """Return the error for a value that a domain's check refuses, or for a null where it takes none."""
    if constraint is None:
        return DatabaseError(f"domain {domain} does not allow null values", sqlstate="23502")
    return DatabaseError(
        f'value for domain {domain} violates check constraint "{constraint}"',
        sqlstate="23514",
        constraint=constraint,
    )


def engine_error(error: apsw.Error, connection: apsw.Connection | None = None) -> DatabaseError:
    """Return the error for a failure that no table or constraint has a part in."""
    text = str(error)
    if isinstance(error, apsw.InterruptError):
        message = "canceling statement due to statement timeout"
        return DatabaseError(message, sqlstate="57014", hint=timeouts.HINT)
    if isinstance(error, apsw.ReadOnlyError):
        return DatabaseUnavailable("the database file is read-only", sqlstate="25006")
    if isinstance(error, apsw.FullError) or _is_out_of_space(error, connection):
        return DatabaseUnavailable("could not write: the disk is full", sqlstate="53100")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return DatabaseUnavailable(
            "the database is locked by another writer",
            sqlstate="55P03",
            hint="Try again, or raise busy_timeout.",
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return DatabaseUnavailable("the database file is damaged or not a database", sqlstate="XX001")
    if isinstance(error, (apsw.IOError, apsw.CantOpenError, apsw.PermissionsError)):
        return DatabaseUnavailable(f"the database file cannot be read or written ({text})", sqlstate="58030")
    if isinstance(error, (apsw.TooBigError, apsw.NoMemError)):
        return DatabaseError("a value or a result is too large", sqlstate="54000")
    if isinstance(error, apsw.BindingsError):
        return DatabaseError("a parameter of the statement has no value", sqlstate="42P02")
    return _statement(text)


def _is_out_of_space(error: apsw.Error, connection: apsw.Connection | None) -> bool:
    if connection is None or not isinstance(error, (apsw.IOError, apsw.CantOpenError)):
        return False
    return connection.system_errno in _OUT_OF_SPACE


def _statement(text: str) -> DatabaseError:
    if match := _MISSING_TABLE.fullmatch(text):
        return DatabaseError(f'relation "{match[1]}" does not exist', sqlstate="42P01")
    if match := _MISSING_COLUMN.fullmatch(text):
        return DatabaseError(f'column "{match[1]}" does not exist', sqlstate="42703", column=match[1])
    if match := _MISSING_FUNCTION.fullmatch(text):
        return DatabaseError(f"function {match[1]} does not exist", sqlstate="42883")
    if match := _AMBIGUOUS.fullmatch(text):
        return DatabaseError(f'column reference "{match[1]}" is ambiguous', sqlstate="42702")
    if text.startswith("Cannot add a NOT NULL column"):
        return DatabaseError("the new column would be null in rows that are there", sqlstate="23000")
    if "after drop column" in text:
        return DatabaseError(
            "cannot drop the column because other objects depend on it", sqlstate="2BP01", detail=text
        )
    if text.startswith(("Cannot add a column", "cannot add a ", "Cannot add a ")):
        return DatabaseError(f"{text} on SQLite while the table has rows", sqlstate="0A000")
    if text.startswith("ON CONFLICT clause does not match"):
        message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        return DatabaseError(message, sqlstate="42P10")
    for phrase, (message, sqlstate) in _PHRASES.items():
        if phrase in text:
            return DatabaseError(message, sqlstate=sqlstate)
    if match := _MISSING_CONSTRAINT.fullmatch(text):
        schema_table, _, name = match[1].partition("/")
        table = split_name(schema_table)[1]
        return DatabaseError(f'constraint "{name}" of relation "{table}" does not exist', sqlstate="42704")
    return DatabaseError(text, sqlstate="42601")


def _constraint(error: apsw.ConstraintError, catalogue: Catalogue) -> DatabaseError:
    kind = extended(error)
    subject = str(error).partition(": ")[2]
    if kind in (
        apsw.SQLITE_CONSTRAINT_UNIQUE,
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
        apsw.SQLITE_CONSTRAINT_ROWID,
    ):
        return _unique(subject, catalogue)
    if kind == apsw.SQLITE_CONSTRAINT_NOTNULL:
        schema, table, columns = _columns(subject)
        return DatabaseError(
            f'null value in column "{columns[0]}" of relation "{table}" violates not-null constraint',
            sqlstate="23502",
            schema=schema,
            table=table,
            column=columns[0],
        )
    if is_reference(error):
        return DatabaseError("a row references a missing row, or is still referenced", sqlstate="23503")
    if kind == apsw.SQLITE_CONSTRAINT_CHECK:
        return _check(subject, catalogue)
    if kind == apsw.SQLITE_CONSTRAINT_DATATYPE:
        return DatabaseError(f"a value does not have the column's type: {error}", sqlstate="42804")
    return DatabaseError(f"integrity constraint violation: {subject}", sqlstate="23000")


def _columns(subject: str) -> tuple[str, str, list[str]]:
    """Read SQLite's ``table.a, table.b``; our table names may hold one dot themselves."""
    names = [part.rpartition(".") for part in subject.split(", ")]
    schema, table = split_name(names[0][0])
    return schema, table, [column for _, _, column in names]


def _unique(subject: str, catalogue: Catalogue) -> DatabaseError:
    if subject.startswith("index "):
        name = split_name(subject[6:].strip("'"))[1]
        owner = next(
            (
                table
                for table in catalogue.tables.values()
                if any(index.name == name for index in table.indexes)
            ),
            None,
        )
        return _duplicate(name, owner)
    schema, table_name, columns = _columns(subject)
    table = catalogue.table(table_name, schema)
    name = f"{table_name}_{'_'.join(columns)}_key"
    if table is not None:
        name = _unique_name(table, columns) or name
    return _duplicate(name, table)


def _unique_name(table: Table, columns: list[str]) -> str | None:
    matching = [index.name for index in table.indexes if index.unique and list(index.columns) == columns]
    return matching[0] if matching else None


def _duplicate(name: str, table: Table | None) -> DatabaseError:
    return DatabaseError(
        f'duplicate key value violates unique constraint "{name}"',
        sqlstate="23505",
        schema=table.schema if table else None,
        table=table.name if table else None,
        constraint=name,
    )


def _check(name: str, catalogue: Catalogue) -> DatabaseError:
    if name.startswith(RANGE_CHECK):
        type_name = name.removeprefix(RANGE_CHECK).partition(" ")[0]
        return DatabaseError(f"{type_name} out of range", sqlstate="22003")
    if name.startswith(DOMAIN_CHECK):
        domain, _, constraint = name.removeprefix(DOMAIN_CHECK).partition("/")
        return refused_value(domain, constraint or None)
    schema_table, _, constraint = name.partition("/")
    schema, table = split_name(schema_table)
    return DatabaseError(
        f'new row for relation "{table}" violates check constraint "{constraint}"',
        sqlstate="23514",
        schema=schema,
        table=table,
        constraint=constraint,
    )
