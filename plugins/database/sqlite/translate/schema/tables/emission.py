"""Definitions in SQLite's words: CREATE TABLE, its indexes, and the names they have in the file."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey, Index
from plugins.database.sqlite.catalogue.definitions import VALUE, Check, Definition
from plugins.database.sqlite.catalogue.kinds import DomainType
from plugins.database.sqlite.errors import DOMAIN_CHECK, RANGE_CHECK
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.stored import base_type, fit, form_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.schema.tables.defaults import (
    default_of,
    default_value,
    makes_own_value,
)
from plugins.database.sqlite.translate.scope import Expr, Item, Scope, file_name


def create_sql(table: Definition, catalogue: Catalogue) -> list[str]:
    """Return the statements that make a table and its indexes."""
    return [table_sql(table, catalogue, file_name(table)), *indexes_sql(table, catalogue)]


def table_sql(table: Definition, catalogue: Catalogue, name: str) -> str:
    """Return the CREATE TABLE of a definition under a quoted name."""
    if not table.columns:
        raise refused("a table without columns")
    body = [column_sql(column, table, catalogue) for column in table.columns.values()]
    if table.primary_key and numbered(table) is None:
        body.append(f"PRIMARY KEY ({', '.join(map(quote, table.primary_key))})")
    # PostgreSQL looks at them in the order of their names.
    ordered = sorted(table.checks, key=lambda check: check.name)
    body += [check_sql(check, table, catalogue) for check in ordered]
    body += [foreign_key_sql(key, deferred=key.name in table.deferred) for key in table.foreign_keys]
    return f"CREATE TABLE {name} ({', '.join(body)}) STRICT"


def column_sql(column: Column, table: Definition, catalogue: Catalogue) -> str:
    """Return one column's definition."""
    form = form_of(column.type)
    own_value = makes_own_value(column)
    parts = [quote(column.name), "INTEGER PRIMARY KEY AUTOINCREMENT" if own_value else form.affinity]
    if form.collation is not None:
        parts.append(f"COLLATE {form.collation}")
    if not column.nullable:
        parts.append("NOT NULL")
    if column.name in table.generated:
        value = expressions.emit(table.generated[column.name], table_scope(table, catalogue))
        value = types.coerce(value, column.type, assign=True)
        parts.append(f"GENERATED ALWAYS AS ({fit(column.type, value.sql)}) STORED")
    elif default_of(column) is not None and not own_value:
        parts.append(f"DEFAULT ({default_value(column, catalogue).sql})")
    if form.check is not None:
        label = quote(f"{RANGE_CHECK}{base_type(column.type)}")
        parts.append(f"CONSTRAINT {label} CHECK ({form.check.replace('{}', quote(column.name))})")
    if isinstance(column.type, DomainType):
        parts += _domain_checks(column.type, quote(column.name))
    return " ".join(parts)


def _domain_checks(domain: DomainType, value: str) -> list[str]:
    tests = [("", f"{value} IS NOT NULL")] if not domain.nullable else []
    tests += [(name, sql.replace(VALUE, value)) for name, sql in domain.tests]
    return [f"CONSTRAINT {quote(f'{DOMAIN_CHECK}{domain}/{name}')} CHECK ({sql})" for name, sql in tests]


def numbered(table: Definition) -> str | None:
    """Return the column that numbers the rows by itself."""
    return next((name for name, column in table.columns.items() if makes_own_value(column)), None)


def table_scope(table: Definition, catalogue: Catalogue) -> Scope:
    """Return the scope of a table's checks, generated columns and indexes: its own bare columns."""
    scope = Scope(catalogue, ())
    columns = {name: column.type for name, column in table.columns.items()}
    scope.add(Item(table.name, columns, qualified=False))
    return scope


def check_label(name: str, table: Definition) -> str:
    """Return a check's quoted name in the file: it carries the table's, for SQLite reports nothing else."""
    return quote(f"{engine_name(table.schema, table.name)}/{name}")


def check_sql(check: Check, table: Definition, catalogue: Catalogue) -> str:
    """Return a check as a table's constraint."""
    test = expressions.condition(check.expression, table_scope(table, catalogue), "CHECK")
    return f"CONSTRAINT {check_label(check.name, table)} CHECK ({test})"


def foreign_key_sql(key: ForeignKey, *, deferred: bool, inline: bool = False) -> str:
    """Return a foreign key as a table's constraint, or (`inline`) as that of the one column it belongs to."""
    target = quote(engine_name(key.referenced_schema, key.referenced_table))
    own = "" if inline else f"FOREIGN KEY ({', '.join(map(quote, key.columns))}) "
    return (
        f"CONSTRAINT {quote(key.name)} {own}REFERENCES {target} ({', '.join(map(quote, key.referenced_columns))})"
        f" ON DELETE {key.on_delete.upper()} ON UPDATE {key.on_update.upper()}"
        f"{' DEFERRABLE INITIALLY DEFERRED' if deferred else ''}"
    )


def indexes_sql(table: Definition, catalogue: Catalogue) -> list[str]:
    """Return the CREATE INDEX of all indexes that stand beside their table."""
    return [index_sql(index, table, catalogue) for index in table.indexes if stands_beside(index, table)]


def stands_beside(index: Index, table: Definition) -> bool:
    """Tell whether an index is one of its own in the file, not a part of the table."""
    source = table.indexed.get(index.name)
    if index.name != table.primary:
        return source is None or source.is_built
    number = numbered(table)
    return number is not None and table.primary_key != (number,)


def index_sql(index: Index, table: Definition, catalogue: Catalogue) -> str:
    """Return the CREATE INDEX of one index."""
    source = table.indexed.get(index.name)
    scope = table_scope(table, catalogue)
    if source is None:
        keys, where = [quote(str(name)) for name in index.columns], ""
    else:
        # What a unique index includes must not count for its uniqueness.
        nodes = source.keys if index.unique else (*source.keys, *source.included)
        keys = [key_sql(key, index_key(key, scope)) for key in nodes]
        where = f" WHERE {expressions.condition(source.where, scope, 'WHERE')}" if source.where else ""
    return (
        f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {index_name(table, index.name)}"
        f" ON {file_name(table)} ({', '.join(keys)}){where}"
    )


def index_name(table: Definition, name: str) -> str:
    """Return an index's quoted name in the file."""
    return quote(engine_name(table.schema, name))


def index_key(fields: Node, scope: Scope) -> Expr:
    """Return one key of an index as an expression."""
    only(fields, "an index's key", "name", "expr", "ordering", "nulls_ordering", "collation", "opclass")
    return scope.column(fields["name"]) if "name" in fields else expressions.emit(fields["expr"], scope)


def key_sql(fields: Node, expr: Expr) -> str:
    """Return one key of an index; where its nulls stand changes no answer, and SQLite has no clause for it."""
    return types.collated(expr) + (" DESC" if fields["ordering"] == "SORTBY_DESC" else "")
