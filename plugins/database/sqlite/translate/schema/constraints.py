"""Constraints: the names PostgreSQL gives them, and what foreign keys point at."""

from __future__ import annotations

from typing import Any

from kernel.contracts.catalogue import Catalogue, ForeignKey, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.translate.nodes import Node, refused, strings
from plugins.database.sqlite.translate.scope import missing_relation, relation_name

_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
_LONGEST = 63


class Names:
    """Chooses names for constraints and indexes: the one given, or one that PostgreSQL would choose."""

    def __init__(self, catalogue: Catalogue, schema: str, table: Table | None = None) -> None:
        self._taken = {
            name
            for (owner_schema, relation), other in catalogue.tables.items()
            if owner_schema == schema
            for name in (relation, *(index.name for index in other.indexes))
        }
        if table is not None:
            self._taken |= {key.name for key in table.foreign_keys}

    def new(self, fields: Node, parts: list[str], label: str) -> str:
        """Return the name that `fields` gives, or a free one like ``table_column_key``; raises 42P07."""
        given = fields.get("conname") or fields.get("idxname")
        if given is not None:
            if given in self._taken:
                raise DatabaseError(f'relation "{given}" already exists', sqlstate="42P07", constraint=given)
            self._taken.add(given)
            return str(given)
        count = 0
        while True:
            name = _joined(parts, label + (str(count) if count else ""))
            if name not in self._taken:
                self._taken.add(name)
                return name
            count += 1


def _joined(parts: list[str], label: str) -> str:
    """Join a table's and its columns' names within PostgreSQL's limit, shortening the longer of the two."""
    table, columns = parts[0], "_".join(parts[1:])
    room = _LONGEST - len(label.encode()) - 1 - (1 if columns else 0)
    while len(table.encode()) + len(columns.encode()) > room:
        if len(table.encode()) > len(columns.encode()):
            table = table[:-1]
        else:
            columns = columns[:-1]
    return "_".join(part for part in (table, columns, label) if part)


def columns_in(tree: Any) -> set[str]:
    """Return the names of all columns that an expression mentions."""
    if isinstance(tree, list):
        return set().union(*(columns_in(item) for item in tree)) if tree else set()
    if not isinstance(tree, dict):
        return set()
    if "ColumnRef" in tree:
        return {strings(tree["ColumnRef"]["fields"])[-1]}
    return columns_in(list(tree.values()))


def referenced(
    fields: Node, name: str, keys: tuple[str, ...], own: Table, catalogue: Catalogue
) -> ForeignKey:
    """Read a foreign key; raises 42P01, 42703 or 42830 where it points at nothing unique."""
    if fields.get("fk_matchtype", "s") != "s":
        raise refused("MATCH FULL and MATCH PARTIAL")
    schema, table_name = relation_name(fields["pktable"])
    target = own if (schema, table_name) == (own.schema, own.name) else catalogue.table(table_name, schema)
    if target is None or target.kind != "table":
        raise missing_relation(fields["pktable"])
    columns = tuple(strings(fields["pk_attrs"])) if "pk_attrs" in fields else target.primary_key
    for column in columns:
        if column not in target.columns:
            raise DatabaseError(
                f'column "{column}" referenced in foreign key constraint does not exist',
                sqlstate="42703",
                column=column,
            )
    unique = [set(index.columns) for index in target.indexes if index.unique and not index.partial]
    if not columns or set(columns) not in unique:
        raise DatabaseError(
            f'there is no unique constraint matching given keys for referenced table "{table_name}"',
            sqlstate="42830",
        )
    if len(columns) != len(keys):
        raise DatabaseError(
            "number of referencing and referenced columns for foreign key disagree", sqlstate="42830"
        )
    return ForeignKey(
        name=name,
        columns=keys,
        referenced_schema=schema,
        referenced_table=table_name,
        referenced_columns=columns,
        on_delete=_ACTIONS[fields.get("fk_del_action", "a")],
        on_update=_ACTIONS[fields.get("fk_upd_action", "a")],
    )


def foreign_key_sql(key: ForeignKey, *, deferred: bool = False, inline: bool = False) -> str:
    """Emit a foreign key for a table, or (`inline`) for the column it belongs to."""
    target = quote(engine_name(key.referenced_schema, key.referenced_table))
    columns = ", ".join(map(quote, key.referenced_columns))
    own = "" if inline else f"FOREIGN KEY ({', '.join(map(quote, key.columns))}) "
    timing = " DEFERRABLE INITIALLY DEFERRED" if deferred else ""
    return (
        f"CONSTRAINT {quote(key.name)} {own}REFERENCES {target} ({columns}) "
        f"ON DELETE {key.on_delete.upper()} ON UPDATE {key.on_update.upper()}{timing}"
    )
