"""What names mean at one place of a statement: tables, columns and the types they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from kernel.contracts.catalogue import Catalogue, Origin, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.names import engine_name, is_ambiguous, quote, without_mark
from plugins.database.sqlite.stored import base_type, output

if TYPE_CHECKING:
    from plugins.database.sqlite.rights.access import Access
    from plugins.database.sqlite.rights.role import RoleRights
    from plugins.database.sqlite.translate.mentions import Mentions
    from plugins.database.sqlite.translate.queries.writing.snapshots import Snapshot


class Expr(NamedTuple):
    """An emitted expression: its SQL, its base type (None while unknown, as of a literal or a parameter).

    `literal` holds the text of an untyped string or of a number, so that it can take another type's form;
    `argument` is the name it was given as a function's argument, `name` what PostgreSQL would call the column in a
    select list; `modified` is the declared type, with its modifier, of a plain column, `row` what a whole row holds,
    `origin` the column of a table or view that it is.
    """

    sql: str
    type: str | None = None
    literal: str | None = None
    name: str = "?column?"
    modified: str | None = None
    is_null: bool = False
    argument: str | None = None
    row: WholeRow | None = None
    origin: Origin | None = None


class WholeRow(NamedTuple):
    """A row as one value: the expressions of its columns, the table that it is of, if any, and when there is none."""

    table: Table | None
    fields: Mapping[str, Expr]
    absent: str | None = None


class Common(NamedTuple):
    """A WITH query: its columns' types, what FROM reads for it, and what columns of tables and views its own are."""

    columns: Mapping[str, str]
    source: str
    origins: Mapping[str, Origin] = {}


class Item(msgspec.Struct, frozen=True):
    """One entry of a FROM clause: the name it goes by and its columns' types.

    `qualified` is false where SQLite wants bare column names, as in RETURNING; `table` is what it stands for, if
    that is a table or a view, and `access` notes which of its columns are read. `computed` gives the SQL of columns
    that stand for something else, `scalar` tells that the entry's name is also that of its one column's value.
    Without `bare`, its columns are found by their qualified names alone. `origins` tells what columns of tables and
    views those of a subquery are.
    """

    alias: str
    columns: Mapping[str, str]
    qualified: bool = True
    table: Table | None = None
    computed: Mapping[str, str] = {}
    scalar: bool = False
    access: Access | None = None
    bare: bool = True
    origins: Mapping[str, Origin] = {}

    def column(self, name: str) -> Expr:
        """Return a column of this entry as an expression."""
        sql = self.computed.get(name) or (
            f"{quote(self.alias)}.{quote(name)}" if self.qualified else quote(name)
        )
        declared = self.columns[name]
        return Expr(
            sql, base_type(declared), name=without_mark(name), modified=declared, origin=self._origin(name)
        )

    def _origin(self, name: str) -> Origin | None:
        if self.table is None:
            return self.origins.get(name)
        return Origin(self.table.schema, self.table.name, name)


class Scope:
    """The names visible in one query, and those of the queries around it.

    `arguments` are those of the function whose body this is in, by name and as ``$1``, `inlined` that function and
    those around it, `returned` the types that a write's RETURNING has to give, `as_owner` that one of the functions
    runs with its owner's rights. `reads` gathers the columns of tables and views that the whole statement reads,
    `mentions` the places that name them. `inside` counts the aggregates and GROUP BY expressions being emitted,
    `bare` the columns outside of them, `outer` the FROM entries for which an outer join may find no row; `keys` are
    what grouping sets group by, `absent` those not in the present one. The `snapshot`, where there is one, is that of
    a statement whose parts run one after the other. `rights` are those of the role that the statement is emitted for,
    or None where they do not matter.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        parameters: tuple[str, ...],
        parent: Scope | None = None,
        rights: RoleRights | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.parameters = parameters
        self.parent = parent
        self.rights: RoleRights | None = rights if parent is None else parent.rights
        self.items: list[Item] = []
        self.snapshot: Snapshot | None = snapshot if parent is None else parent.snapshot
        self.ctes: dict[str, Common] = {} if parent is None else dict(parent.ctes)
        self.reads: set[tuple[str, str, str]] = set() if parent is None else parent.reads
        self.arguments: Mapping[str, Expr] | None = None if parent is None else parent.arguments
        self.inlined: frozenset[tuple[str, str]] = frozenset() if parent is None else parent.inlined
        self.as_owner: bool = False if parent is None else parent.as_owner
        self.mentions: Mentions | None = None if parent is None else parent.mentions
        self.returned: Sequence[str] = ()
        self.merged: dict[str, Expr] = {}
        self.windows: set[str] = set()
        self.aggregated = False
        self.inside = 0
        self.grouped: frozenset[bytes] = frozenset()
        self.bare: list[tuple[Item, str]] | None = None
        self.outer: set[str] = set()
        self.keys: frozenset[str] = frozenset()
        self.absent: frozenset[str] = frozenset()
        self.spread: list[str] | None = None

    def nested(self) -> Scope:
        """Return the scope of a query inside this one."""
        return Scope(self.catalogue, self.parameters, self)

    def beside(self) -> Scope:
        """Return the scope of a subquery in FROM, which does not see what stands beside it there."""
        scope = Scope(self.catalogue, self.parameters, self.parent, self.rights)
        scope.ctes = dict(self.ctes)
        scope.reads, scope.mentions, scope.snapshot = self.reads, self.mentions, self.snapshot
        scope.arguments, scope.inlined, scope.as_owner = self.arguments, self.inlined, self.as_owner
        return scope

    def apart(self) -> Scope:
        """Return the scope of an expression that sees no rows: parameters, WITH queries and a function's arguments."""
        scope = self.beside()
        scope.parent = None
        return scope

    def add(self, item: Item) -> None:
        """Make a FROM entry visible; raises 42712 when its name is taken."""
        if any(item.alias.lower() == other.alias.lower() for other in self.items):
            raise DatabaseError(f'table name "{item.alias}" specified more than once', sqlstate="42712")
        if item.table is not None:
            self.reads.add((item.table.schema, item.table.name, ""))
        self.items.append(item)

    def table(self, range_var: dict[str, Any]) -> Table:
        """Return the table or view that a RangeVar names; raises 42P01."""
        table = self.find_table(range_var)
        if table is None:
            raise missing_relation(range_var)
        return table

    def find_table(self, range_var: dict[str, Any]) -> Table | None:
        """Return the table or view that a RangeVar names, or None."""
        schema, name = relation_name(range_var)
        if self.rights is not None:
            self.rights.enter(schema)
        return self.catalogue.table(name, schema)

    def column(self, name: str) -> Expr:
        """Resolve a bare column name; raises 42703 or 42702."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.merged:
                scope.note(next(item for item in scope.items if name in item.columns), name)
                return scope.merged[name]
            found = [item for item in scope.items if item.bare and name in item.columns]
            if len(found) > 1 or any(is_ambiguous(name, item.columns) for item in scope.items):
                raise DatabaseError(f'column reference "{name}" is ambiguous', sqlstate="42702")
            if found:
                scope.note(found[0], name)
                return self.read(found[0], name)
            scope = scope.parent
        if self.arguments is not None and name in self.arguments:
            return self.arguments[name]
        return self._row(name)

    def _row(self, name: str) -> Expr:
        """Return the whole row of a FROM entry, or the one value that it stands for."""
        try:
            scope, item = self.find(name)
        except DatabaseError:
            raise DatabaseError(f'column "{name}" does not exist', sqlstate="42703", column=name) from None
        for column in item.columns:
            scope.note(item, column)
            scope.read(item, column)
        if item.scalar:
            return item.column(next(iter(item.columns)))._replace(name=name)
        fields = {column: item.column(column) for column in item.columns}
        row = WholeRow(item.table, fields, scope.absence(item))
        return row_value(row, item.columns)._replace(name=name)

    def absence(self, item: Item) -> str | None:
        """Return the SQL that tells that an outer join found no row for an entry; None where there always is one."""
        if item.alias not in self.outer:
            return None
        columns = item.table.columns if item.table is not None else {}
        sure = [name for name, column in columns.items() if not column.nullable]
        # Without a column that is never null, a row of nulls is taken for none.
        return " AND ".join(f"{item.column(name).sql} IS NULL" for name in sure[:1] or item.columns)

    def qualified(self, qualifier: str, name: str) -> Expr:
        """Resolve ``alias.column``; raises 42P01 or 42703."""
        if self.arguments is not None and f"{qualifier}.{name}" in self.arguments:
            return self.arguments[f"{qualifier}.{name}"]
        scope, item = self.find(qualifier)
        if is_ambiguous(name, item.columns):
            raise DatabaseError(f'column reference "{name}" is ambiguous', sqlstate="42702")
        if name not in item.columns:
            raise DatabaseError(f"column {qualifier}.{name} does not exist", sqlstate="42703", column=name)
        scope.note(item, name)
        return self.read(item, name)

    def read(self, item: Item, name: str) -> Expr:
        """Return a column of a FROM entry, and keep in mind that it is read."""
        if item.table is not None:
            self.reads.add((item.table.schema, item.table.name, name))
        if item.access is not None:
            item.access.read(name)
        if self.mentions is not None:
            self.mentions.read(item, name)
        return item.column(name)

    def has_bare_names(self) -> bool:
        """Tell whether columns stand here without their table's name, which a subquery's own columns would hide."""
        scope: Scope | None = self
        while scope is not None:
            if any(not item.qualified for item in scope.items):
                return True
            scope = scope.parent
        return False

    def note(self, item: Item, name: str) -> None:
        """Keep in mind a column that stands outside of aggregates, to be checked against GROUP BY."""
        if self.bare is not None and not self.inside:
            self.bare.append((item, name))

    def item(self, alias: str) -> Item:
        """Return the FROM entry of that name; raises 42P01."""
        return self.find(alias)[1]

    def find(self, alias: str) -> tuple[Scope, Item]:
        """Return the FROM entry of that name and the scope it is in; raises 42P01."""
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items:
                if item.alias == alias:
                    return scope, item
            scope = scope.parent
        raise DatabaseError(f'missing FROM-clause entry for table "{alias}"', sqlstate="42P01")


def row_value(row: WholeRow, columns: Mapping[str, str]) -> Expr:
    """Return a row as a value, given the declared types of its columns: it is kept as PostgreSQL writes it."""
    values = ", ".join(output(kind, row.fields[name].sql) for name, kind in columns.items())
    sql = f"pg_row({values})"
    if row.absent is not None:
        sql = f"iif({row.absent}, NULL, {sql})"
    return Expr(sql, RowType.of(columns.items(), row.table), row=row)


def relation_name(range_var: dict[str, Any]) -> tuple[str, str]:
    """Return schema and name of a RangeVar; raises where a name cannot be kept."""
    if "catalogname" in range_var:
        raise DatabaseError("cross-database references are not implemented", sqlstate="0A000")
    schema, name = range_var.get("schemaname", "public"), range_var["relname"]
    check_name(name)
    check_name(schema)
    return schema, name


def check_name(name: str) -> None:
    """Refuse names that would be ambiguous once schemas are prefixes, or that SQLite keeps for itself."""
    if "." in name:
        raise DatabaseError(
            f'the name "{name}" holds a dot, which SQLite cannot keep apart', sqlstate="0A000"
        )
    if name.lower().startswith("sqlite_"):
        raise DatabaseError(f'the name "{name}" is reserved by SQLite', sqlstate="42939")


def missing_relation(range_var: dict[str, Any]) -> DatabaseError:
    """Return the error for a table that does not exist."""
    name = range_var["relname"]
    full = f"{range_var['schemaname']}.{name}" if "schemaname" in range_var else name
    return DatabaseError(f'relation "{full}" does not exist', sqlstate="42P01", table=name)


def table_types(table: Table) -> dict[str, str]:
    """Return the declared types of a table's columns."""
    return {name: column.type for name, column in table.columns.items()}


def file_name(table: Table) -> str:
    """Return a table's quoted name in the file."""
    return quote(engine_name(table.schema, table.name))
