"""Copying all rows from one database into another, whichever engines keep them.

Rows travel as PostgreSQL's text of each value, which both engines read and write. Afterwards both sides are read
again: the number of rows and a checksum over that text, the same whatever the order of the rows, must agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import msgspec

from kernel.config import Config
from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.errors import KernelError, explain
from kernel.kernel import Kernel

Cells = tuple[str | None, ...]
"""A row: PostgreSQL's text of each value."""

Progress = Callable[[int, int | None], None]

MARKER = ("kernel", "unfinished_copy")
_MARK = "create schema if not exists kernel; create table kernel.unfinished_copy (id integer primary key)"
_UNMARK = "drop table if exists kernel.unfinished_copy"


class CopyError(KernelError):
    """The copy cannot be made, or did not come out the same."""


class Reader(Protocol):
    """Reads a database as it is at one moment."""

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""

    def rows(self, table: Table, columns: tuple[str, ...]) -> Iterator[Cells]:
        """Yield a table's rows, a few at a time in memory."""

    def counter(self, table: Table, column: str) -> int | None:
        """Return the last number that an identity or serial column has given out."""


class Writer(Protocol):
    """Writes into a database, in one transaction, with no trigger firing."""

    def clear(self, tables: Iterable[Table]) -> None:
        """Remove all rows; tables come before those they reference."""

    def write(self, table: Table, columns: tuple[str, ...], rows: Iterable[Cells]) -> None:
        """Add rows."""

    def count_on(self, table: Table, column: str, last: int | None) -> None:
        """Have an identity or serial column count on from `last`."""


class Side(Protocol):
    """One of the two databases."""

    @property
    def database(self) -> Database:
        """The database."""

    def reading(self) -> AbstractContextManager[Reader]:
        """Read as of one moment."""

    def writing(self, catalogue: Catalogue) -> AbstractContextManager[Writer]:
        """Write; all of it is there at the block's end, or nothing if it raises."""


class TableSum(msgspec.Struct, frozen=True):
    """What was copied of one table."""

    table: str
    rows: int
    checksum: str


class _Sum:
    """The number of rows and their checksum: the sum of their hashes, so that their order plays no part."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def through(self, rows: Iterable[Cells], told: Callable[[], None]) -> Iterator[Cells]:
        """Yield rows and take them in."""
        encode = msgspec.json.Encoder().encode
        for row in rows:
            self.rows += 1
            self._sum += int.from_bytes(hashlib.sha256(encode(row)).digest(), "big")
            told()
            yield row

    def of(self, table: Table) -> TableSum:
        """Return the result."""
        return TableSum(f"{table.schema}.{table.name}", self.rows, f"{self._sum % 2**128:032x}")


def begin(target: Database, *, confirmed: bool) -> None:
    """Take the target over: an empty one, one that an earlier copy left unfinished, or any if `confirmed`.

    Raises `CopyError`.
    """
    tables = target.catalogue.tables
    if MARKER in tables:
        return
    if tables and not confirmed:
        raise CopyError("there are tables in the target, whose rows this would replace; add --yes if it may")
    with target.schema_transaction() as transaction:
        transaction.script(_MARK)


def copy(source: Side, target: Side, progress: Progress) -> list[TableSum]:
    """Copy all rows into a target whose schema is there already; raises `CopyError`.

    What is interrupted, or does not come out the same, is begun again by the next call.
    """
    wanted = target.database.catalogue
    pairs = [_Pair(table, _counterpart(table, wanted)) for table in in_order(source.database.catalogue)]
    try:
        with source.reading() as reading:
            told = _Counting(progress, 2 * sum(reading.count(pair.source) for pair in pairs))
            with target.writing(wanted) as writing:
                writing.clear(list(reversed(in_order(wanted))))
                sums = [_copied(pair, reading, writing, told) for pair in pairs]
        with target.reading() as reading:
            for pair, expected in zip(pairs, sums, strict=True):
                _compare(pair, expected, reading, told)
        with target.database.schema_transaction() as transaction:
            transaction.script(_UNMARK)
    except DatabaseError as error:
        where = f" in {error.table}" if error.table else ""
        raise CopyError(f"the rows cannot be copied{where}: {explain(error)}") from error
    return sums


class _Pair(msgspec.Struct, frozen=True):
    """A table on both sides."""

    source: Table
    target: Table

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are copied: all but those that compute themselves."""
        return tuple(
            name for name, column in self.source.columns.items() if column.identity or not column.generated
        )

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns that count by themselves."""
        return tuple(
            name
            for name, column in self.target.columns.items()
            if column.identity or (column.default or "").startswith("nextval(")
        )


class _Counting:
    """Tells how many rows are done, not too often."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        if self._done % 1000 == 0:
            self._progress(self._done, self._total)


def _copied(pair: _Pair, reading: Reader, writing: Writer, told: _Counting) -> TableSum:
    found = _Sum()
    rows = reading.rows(pair.source, pair.columns)
    writing.write(pair.target, pair.columns, found.through(rows, told))
    for column in pair.counted:
        writing.count_on(pair.target, column, reading.counter(pair.source, column))
    return found.of(pair.source)


def _compare(pair: _Pair, expected: TableSum, reading: Reader, told: _Counting) -> None:
    found = _Sum()
    for _ in found.through(reading.rows(pair.target, pair.columns), told):
        pass
    if found.of(pair.source) != expected:
        raise CopyError(
            f"the rows of {expected.table} are not the same in the target: {expected.rows} were read and {found.rows} "
            "are there; if nobody else writes to it, this is a defect of ours"
        )


def _counterpart(table: Table, catalogue: Catalogue) -> Table:
    found = catalogue.table(table.name, table.schema)
    if found is None or found.kind != "table":
        raise CopyError(
            f"the migrations make no table {table.schema}.{table.name}, which the source has; write one that does"
        )
    if set(found.columns) != set(table.columns):
        names = ", ".join(sorted(set(found.columns) ^ set(table.columns)))
        raise CopyError(
            f"the columns of {table.schema}.{table.name} in the source are not those that the migrations make: {names}"
        )
    return found


def in_order(catalogue: Catalogue) -> list[Table]:
    """Return all tables but the kernel's own, each after those that it references; cycles are cut somewhere."""
    ordered: dict[tuple[str, str], Table] = {}
    visiting: set[tuple[str, str]] = set()

    def visit(key: tuple[str, str]) -> None:
        table = catalogue.tables.get(key)
        if table is None or table.kind != "table" or key[0] == "kernel" or key in visiting:
            return
        visiting.add(key)
        for reference in table.foreign_keys:
            visit((reference.referenced_schema, reference.referenced_table))
        ordered[key] = table

    for key in sorted(catalogue.tables):
        visit(key)
    return list(ordered.values())


_A_DAY = 86_400.0


def between(
    kernel: Kernel, source: str | None, target: str, progress: Progress, *, confirmed: bool
) -> list[TableSum]:
    """Copy from one URL (the project's own if it is None) to another, where the project's plugins make the tables."""
    with _elsewhere(kernel, source) as reading, _elsewhere(kernel, target) as writing:
        url = reading.config.tables["database"]["url"]
        if url == target:
            raise CopyError("the source and the target are the same database")
        from plugins.database.sqlite.database import path_of

        path = path_of(url, lambda: reading.data) if url.startswith("sqlite:") else None
        if path is not None and not path.exists():  # looking into it would make it
            raise CopyError(f"there are no tables in the source: there is no file {path}")
        if not in_order(reading.services[Database].catalogue):
            raise CopyError("there are no tables in the source")
        begin(writing.services[Database], confirmed=confirmed)
        writing.prepare()
        return copy(_side(reading), _side(writing), progress)


@contextmanager
def _elsewhere(kernel: Kernel, url: str | None) -> Iterator[Kernel]:
    """Give a registered kernel like `kernel` whose database is another."""
    config = Config(kernel.config.tables, project=kernel.config.project)
    config.variables = {name: dict(fields) for name, fields in kernel.config.variables.items()}
    own = config.settings("database", kernel.plugins["database"].Settings)
    settings = {"url": url or own.url.reveal(), "statement_timeout": _A_DAY}  # type: ignore[attr-defined]
    config.tables["database"] = {**config.tables.get("database", {}), **settings}
    variables = config.variables.get("database", {})
    for name in settings:
        variables.pop(name, None)
    other = Kernel(config, plugins=[record.cls for record in kernel.records], role=kernel.role)
    try:
        other.register()
        yield other
    finally:
        other.stop()


def _side(kernel: Kernel) -> Side:
    side: Side = kernel.plugins["database"].side()  # type: ignore[attr-defined]
    return side
