"""Tables as they are written down: columns and constraints read into a definition, under PostgreSQL's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, Index
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Check, Definition
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, placeless, refused, strings
from plugins.database.sqlite.translate.schema.tables.constraints import Names, columns_in, referenced
from plugins.database.sqlite.translate.schema.tables.defaults import (
    default_text,
    is_null,
    makes_own_value,
    serial_default,
)
from plugins.database.sqlite.translate.schema.tables.emission import table_scope
from plugins.database.sqlite.translate.scope import check_name

_COLLATIONS = ("C", "POSIX", "default")
# Keys first: foreign keys of a table to itself need to find them.
_ORDER = {"CONSTR_PRIMARY": 0, "CONSTR_UNIQUE": 1}


class TableBuilder:
    """Adds columns and constraints to a definition, which `table` holds as far as it has come."""

    def __init__(self, table: Definition, parsed: Parsed, catalogue: Catalogue) -> None:
        self.table = table
        self._parsed = parsed
        self._catalogue = catalogue
        self._names = Names(catalogue, table)
        self._waiting: list[Node] = []
        self._keys_made: list[tuple[str, ...]] = []

    def add(self, **values: Any) -> None:
        """Give the definition other values."""
        self.table = msgspec.structs.replace(self.table, **values)

    def add_column(self, fields: Node) -> Column:
        """Read a column's definition; its constraints wait for `finish`."""
        only(fields, "a column", "colname", "typeName", "is_local", "constraints", "collClause")
        name = fields["colname"]
        check_name(name)
        self.check_new_column(name)
        check_collation(fields)
        declared = types.type_name(fields["typeName"], self._catalogue)
        column = Column(name=name, type=types.SERIALS.get(declared, declared))
        if declared in types.SERIALS:
            self.check_first_number()
            column = msgspec.structs.replace(
                column, nullable=False, default=serial_default(self.table.schema, self.table.name, name)
            )
        self.put(column)
        for item in fields.get("constraints", ()):
            self._column_constraint(name, item["Constraint"])
        return self.table.columns[name]

    def check_new_column(self, name: str) -> None:
        """Raise 42701 for a column that is there."""
        if name in self.table.columns:
            raise DatabaseError(f'column "{name}" specified more than once', sqlstate="42701", column=name)
        check_case(name, self.table)

    def put(self, column: Column) -> None:
        """Add a column, or put it in the place of the one of its name."""
        self.add(columns={**self.table.columns, column.name: column})

    def check_first_number(self) -> None:
        """Refuse a second column that numbers the rows by itself."""
        if any(map(makes_own_value, self.table.columns.values())):
            raise refused("a second identity or serial column in one table")

    def _change(self, name: str, **values: Any) -> None:
        self.put(msgspec.structs.replace(self.table.columns[name], **values))

    def _column_constraint(self, name: str, fields: Node) -> None:
        kind = fields["contype"]
        if kind == "CONSTR_NOTNULL":
            self._change(name, nullable=False)
        elif kind == "CONSTR_DEFAULT":
            self._default(name, fields)
        elif kind == "CONSTR_IDENTITY":
            self.add_identity(name, fields)
            self._change(name, nullable=False)
        elif kind == "CONSTR_GENERATED":
            only(
                fields, "a generated column", "contype", "raw_expr", "generated_when", "generated_kind", "conname"
            )  # fmt: skip
            if fields.get("generated_kind", "s") != "s":
                raise refused("a virtual generated column")
            self._check_first_value(name)
            self.add(generated={**self.table.generated, name: placeless(fields["raw_expr"])})
            self._change(name, generated=True)
        elif kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            self.add_constraint({**fields, "keys": [{"String": {"sval": name}}]})
        elif kind == "CONSTR_FOREIGN":
            self.add_constraint({**fields, "fk_attrs": [{"String": {"sval": name}}]})
        elif kind == "CONSTR_CHECK":
            self.add_constraint(fields)
        elif kind.startswith("CONSTR_ATTR_"):
            self._attribute(kind)
        elif kind != "CONSTR_NULL":
            raise refused(f"a column with {kind.removeprefix('CONSTR_').lower()}")

    def _default(self, name: str, fields: Node) -> None:
        self._check_first_value(name)
        if is_null(fields["raw_expr"]):
            return
        self._change(name, default=default_text(self._parsed, fields["location"]))
        if makes_own_value(self.table.columns[name]):
            raise refused("a default of nextval()", hint="Number rows with an identity column.")

    def _attribute(self, kind: str) -> None:
        """Read DEFERRABLE and its kin, which stand behind the column's foreign key as nodes of their own."""
        if not self._waiting or self._waiting[-1]["contype"] != "CONSTR_FOREIGN":
            raise refused(f"a constraint that is {kind.removeprefix('CONSTR_ATTR_').lower()}")
        if kind == "CONSTR_ATTR_DEFERRED":
            self._waiting[-1] = {**self._waiting[-1], "initdeferred": True}

    def _check_first_value(self, name: str) -> None:
        column = self.table.columns[name]
        if column.default is not None or column.identity or column.generated:
            raise DatabaseError(
                f'multiple default values specified for column "{name}" of table "{self.table.name}"',
                sqlstate="42601",
                column=name,
            )

    def add_identity(self, name: str, fields: Node) -> None:
        """Have a column number the rows."""
        only(fields, "an identity column", "contype", "generated_when", "conname", "options")
        _check_sequence(fields.get("options", ()))
        self._check_first_value(name)
        self.check_first_number()
        column = self.table.columns[name]
        if base_type(column.type) not in types.INTEGERS:
            raise DatabaseError(
                "identity column type must be smallint, integer, or bigint", sqlstate="22023", column=name
            )
        self._change(name, identity=True, generated=fields["generated_when"] == "a")

    def add_constraint(self, fields: Node) -> None:
        """Have a table's constraint wait for `finish`."""
        if fields["contype"] == "CONSTR_PRIMARY" and any(
            waiting["contype"] == "CONSTR_PRIMARY" for waiting in self._waiting
        ):
            raise self._second_primary_key()
        self._waiting.append(fields)

    def finish(self) -> Definition:
        """Read the constraints that wait, and return the definition."""
        for fields in sorted(self._waiting, key=lambda one: _ORDER.get(one["contype"], 2)):
            function = getattr(self, _READERS.get(fields["contype"], ""), None)
            if function is None:
                raise refused(f"a constraint of kind {fields['contype'].removeprefix('CONSTR_').lower()}")
            function(fields)
        self._waiting.clear()
        return self.table

    def _keys(self, fields: Node, feature: str, key: str = "keys") -> tuple[str, ...]:
        names = tuple(strings(fields[key]))
        for name in names:
            if name not in self.table.columns:
                raise DatabaseError(
                    f'column "{name}" {feature} does not exist', sqlstate="42703", column=name
                )
            if names.count(name) > 1:
                raise DatabaseError(
                    f'column "{name}" appears twice in constraint', sqlstate="42701", column=name
                )
        return names

    def _second_primary_key(self) -> DatabaseError:
        return DatabaseError(
            f'multiple primary keys for table "{self.table.name}" are not allowed', sqlstate="42P16"
        )

    def _primary(self, fields: Node) -> None:
        if "keys" in fields:
            self._keys(fields, "named in key")
        if self.table.primary_key:
            raise self._second_primary_key()
        index = self._key(fields, "PRIMARY KEY", [self.table.name], "pkey")
        for name in index.columns:
            self._change(str(name), nullable=False)
        self.add(
            primary_key=index.columns, primary=index.name, indexes=(index, *self.table.indexes)
        )  # fmt: skip
        self._keys_made.append(self.table.primary_key)

    def _unique(self, fields: Node) -> None:
        keys = self._keys(fields, "named in key") if "keys" in fields else ()
        if keys in self._keys_made:
            return  # PostgreSQL makes one index of two equal keys of one statement
        index = self._key(fields, "UNIQUE", [self.table.name, *keys], "key")
        self.add(unique=(*self.table.unique, index.name), indexes=(*self.table.indexes, index))
        self._keys_made.append(keys)

    def _key(self, fields: Node, feature: str, parts: list[str], label: str) -> Index:
        if "indexname" in fields:
            return self._promoted(fields, feature)
        only(fields, feature, "contype", "conname", "keys")
        keys = self._keys(fields, "named in key")
        return Index(self._names.new(fields, parts, label), keys, unique=True)

    def _promoted(self, fields: Node, feature: str) -> Index:
        """Make an index that is there the constraint's own."""
        only(fields, feature, "contype", "conname", "indexname")
        name = fields["indexname"]
        index = next((index for index in self.table.indexes if index.name == name), None)
        if index is None:
            raise DatabaseError(f'index "{name}" does not exist', sqlstate="42704")
        if not index.unique or index.partial or None in index.columns or name not in self.table.indexed:
            raise DatabaseError(f'"{name}" is not a plain unique index', sqlstate="42809")
        if fields.get("conname", name) != name:
            raise refused("USING INDEX under another name")
        indexed = {other: source for other, source in self.table.indexed.items() if other != name}
        others = tuple(other for other in self.table.indexes if other is not index)
        self.add(indexed=indexed, indexes=others)
        return index

    def _foreign(self, fields: Node) -> None:
        only(
            fields, "FOREIGN KEY", "contype", "conname", "pktable", "fk_attrs", "pk_attrs", "fk_matchtype",
            "fk_upd_action", "fk_del_action", "deferrable", "initdeferred", "is_enforced", "initially_valid",
        )  # fmt: skip
        given = self._names.new(fields, [], "fkey") if "conname" in fields else None
        keys = self._keys(fields, "referenced in foreign key constraint", "fk_attrs")
        name = given or self._names.new(fields, [self.table.name, *keys], "fkey")
        key = referenced(fields, name, keys, self.table, self._catalogue)
        self.add(foreign_keys=(*self.table.foreign_keys, key))
        if fields.get("initdeferred"):
            self.add(deferred=(*self.table.deferred, name))

    def _check(self, fields: Node) -> None:
        only(
            fields, "CHECK", "contype", "conname", "raw_expr", "is_enforced", "initially_valid", "is_no_inherit",
            "skip_validation",
        )  # fmt: skip
        if fields.get("skip_validation"):
            raise refused("CHECK ... NOT VALID")
        used = sorted(columns_in(fields["raw_expr"]))
        expressions.condition(fields["raw_expr"], table_scope(self.table, self._catalogue), "CHECK")
        name = self._names.new(fields, [self.table.name, *(used if len(used) == 1 else [])], "check")
        self.add(checks=(*self.table.checks, Check(name, placeless(fields["raw_expr"]))))


def _check_sequence(options: Sequence[Node]) -> None:
    """Refuse options of an identity's sequence that have it count otherwise than from 1 in steps of 1."""
    for item in options:
        option = item["DefElem"]
        name, value = option["defname"], option.get("arg")
        number = None if value is None else value.get("Integer", {}).get("ival", 0)
        if name not in ("sequence_name", "cache") and not (
            (name in ("start", "increment", "minvalue") and number == 1)
            or (name in ("minvalue", "maxvalue") and value is None)
        ):
            raise refused(f"an identity column whose sequence has {name.upper()}")


_READERS = {
    "CONSTR_PRIMARY": "_primary",
    "CONSTR_UNIQUE": "_unique",
    "CONSTR_FOREIGN": "_foreign",
    "CONSTR_CHECK": "_check",
}


def check_case(name: str, table: Definition) -> None:
    """Refuse a column whose name differs from another's in case only: SQLite takes both for one."""
    for other in table.columns:
        if name != other and name.lower() == other.lower():
            raise refused(f'a column "{name}" beside "{other}", whose names differ in case only,')


def check_collation(fields: Node) -> None:
    """Refuse a COLLATE of another collation than the one there is."""
    if "collClause" in fields and strings(fields["collClause"]["collname"])[-1] not in _COLLATIONS:
        raise refused("COLLATE with another collation than C")
