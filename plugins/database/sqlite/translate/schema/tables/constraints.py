"""Constraints: the names PostgreSQL gives them, and what foreign keys point at."""

from __future__ import annotations

from typing import Any

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import Definition, definitions
from plugins.database.sqlite.names import object_name
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.nodes import Node, refused, strings
from plugins.database.sqlite.translate.scope import Expr, check_name, missing_relation, relation_name

# Types whose values compare across one family's types; others need a conversion to the referenced column's.
_COMPARABLE = (types.INTEGERS, ("real", "double precision"), types.MOMENTS)
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}


_OF_INDEXES = ("pkey", "key", "idx")
"""The labels of names that indexes have; only ``idx`` is no constraint's."""


class Names:
    """Chooses names for constraints and indexes: the one given, or one that PostgreSQL would choose.

    Indexes share their names with tables; a constraint's chosen name is no other constraint's of its schema.
    """

    def __init__(self, catalogue: Catalogue, table: Definition) -> None:
        self._table = table
        neighbours = [other for other in definitions(catalogue) if other.schema == table.schema]
        neighbours.append(table)  # as it is now: the catalogue has it as it was
        self._relations = {
            name for other in neighbours for name in (other.name, *(index.name for index in other.indexes))
        }
        self._constraints = {name for other in neighbours for name in constraint_names(other)}
        self._own = set(constraint_names(table))

    def new(self, fields: Node, parts: list[str], label: str) -> str:
        """Return the name that `fields` gives, or a free one like ``table_column_key``; raises 42P07 or 42710."""
        given = fields.get("conname") or fields.get("idxname")
        is_relation = label in _OF_INDEXES
        if given is not None:
            self._check_free(given, label)
            return self._take(str(given), label)
        count = 0
        while True:
            name = object_name(parts, label + (str(count) if count else ""))
            in_use = (is_relation and name in self._relations) or (
                label != "idx" and name in self._constraints
            )
            if not in_use:
                return self._take(name, label)
            count += 1

    def _take(self, name: str, label: str) -> str:
        if label != "idx":
            self._constraints.add(name)
            self._own.add(name)
        if label in _OF_INDEXES:
            self._relations.add(name)
        return name

    def _check_free(self, name: str, label: str) -> None:
        check_name(name)
        if label in _OF_INDEXES and name in self._relations:
            raise DatabaseError(f'relation "{name}" already exists', sqlstate="42P07")
        if label != "idx" and name in self._own:
            raise DatabaseError(
                f'constraint "{name}" for relation "{self._table.name}" already exists',
                sqlstate="42710",
            )


def check_new_name(name: str, old: str, table: Definition, catalogue: Catalogue) -> None:
    """Raise 42P07 or 42710 unless a constraint or an index of a table may have that name instead of `old`."""
    if old == table.primary or old in table.unique:
        label = "key"
    else:
        label = "check" if old in constraint_names(table) else "idx"
    Names(catalogue, table).new({"conname": name}, [], label)


def constraint_names(table: Definition) -> list[str]:
    """Return the names of all constraints of a table."""
    return [
        *([table.primary] if table.primary else []),
        *table.unique,
        *(check.name for check in table.checks),
        *(key.name for key in table.foreign_keys),
    ]


def columns_in(tree: Any) -> set[str]:
    """Return the names of all columns that an expression, or an index's key, mentions."""
    if isinstance(tree, list):
        return set().union(*(columns_in(item) for item in tree)) if tree else set()
    if not isinstance(tree, dict):
        return set()
    if "ColumnRef" in tree:
        return {strings(tree["ColumnRef"]["fields"])[-1]}
    if "ordering" in tree and "name" in tree:
        return {tree["name"]}
    return columns_in(list(tree.values()))


def referenced(
    fields: Node, name: str, keys: tuple[str, ...], own: Definition, catalogue: Catalogue
) -> ForeignKey:
    """Read a foreign key; raises 42P01, 42703 or 42830 where it points at nothing unique."""
    if fields.get("fk_matchtype", "s") != "s":
        raise refused("MATCH FULL and MATCH PARTIAL")
    schema, table_name = relation_name(fields["pktable"])
    target = own if (schema, table_name) == (own.schema, own.name) else catalogue.table(table_name, schema)
    if target is None or target.kind != "table":
        raise missing_relation(fields["pktable"])
    columns = tuple(strings(fields["pk_attrs"])) if "pk_attrs" in fields else target.primary_key
    if not columns:
        raise DatabaseError(f'there is no primary key for referenced table "{table_name}"', sqlstate="42704")
    for column in columns:
        if column not in target.columns:
            raise DatabaseError(
                f'column "{column}" referenced in foreign key constraint does not exist',
                sqlstate="42703",
                column=column,
            )
    unique = [set(index.columns) for index in target.indexes if index.unique and not index.partial]
    if set(columns) not in unique:
        raise DatabaseError(
            f'there is no unique constraint matching given keys for referenced table "{table_name}"',
            sqlstate="42830",
        )
    if len(columns) != len(keys):
        raise DatabaseError(
            "number of referencing and referenced columns for foreign key disagree", sqlstate="42830"
        )
    check_comparable(
        name, [(own.columns[key], target.columns[to]) for key, to in zip(keys, columns, strict=True)]
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


def check_comparable(name: str, pairs: list[tuple[Column, Column]]) -> None:
    """Raise 42804 unless the columns of a foreign key compare with those that they reference."""
    for one, other in pairs:
        kinds = base_type(one.type), base_type(other.type)
        if any(kinds[0] in family and kinds[1] in family for family in _COMPARABLE):
            continue
        try:
            types.coerce(Expr("", kinds[0]), kinds[1])
        except DatabaseError as error:
            raise DatabaseError(
                f'foreign key constraint "{name}" cannot be implemented',
                sqlstate="42804",
                detail=f'Key columns "{one.name}" and "{other.name}" are of incompatible types: '
                f"{kinds[0]} and {kinds[1]}.",
            ) from error
