"""CREATE TABLE: STRICT tables whose columns keep PostgreSQL's types in the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey, Index, Table
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.errors import RANGE_CHECK
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.stored import base_type, fit, form_of
from plugins.database.sqlite.translate import expressions, types
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.schema.constraints import (
    Names,
    columns_in,
    foreign_key_sql,
    referenced,
)
from plugins.database.sqlite.translate.schema.defaults import default_text, default_value
from plugins.database.sqlite.translate.scope import Item, Scope, check_name, relation_name


def create_table(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE TABLE."""
    only(fields, "CREATE TABLE", "relation", "tableElts", "oncommit", "if_not_exists")
    relation = fields["relation"]
    only(relation, "CREATE TABLE", "schemaname", "relname", "inh", "relpersistence")
    if relation["relpersistence"] != "p":
        raise refused("a temporary or unlogged table")
    schema, name = relation_name(relation)
    if not is_new(catalogue, schema, name, missing_ok=bool(fields.get("if_not_exists"))):
        return Plan("schema", "", "CREATE TABLE")
    builder = TableBuilder(schema, name, parsed, catalogue)
    for kind, element in map(kind_of, fields.get("tableElts", ())):
        if kind == "ColumnDef":
            builder.add_column(element)
        elif kind == "Constraint":
            builder.constraints.append(element)
        else:
            raise refused(f"CREATE TABLE with {kind}")
    return builder.plan()


def is_new(catalogue: Catalogue, schema: str, name: str, *, missing_ok: bool) -> bool:
    """Tell whether a relation is still to be made; raises 42P07 where it is there and should not be."""
    if schema not in catalogue.schemas:
        raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
    if (schema, name) in catalogue.tables:
        if missing_ok:
            return False
        raise DatabaseError(f'relation "{name}" already exists', sqlstate="42P07", table=name)
    for other_schema, other in catalogue.tables:
        if (other_schema.lower(), other.lower()) == (schema.lower(), name.lower()):
            raise refused(f'a table "{name}" beside "{other}", whose names differ in case only,')
    return True


class TableBuilder:
    """Collects a table's columns and constraints, then writes them down."""

    def __init__(
        self, schema: str, name: str, parsed: Parsed, catalogue: Catalogue, table: Table | None = None
    ) -> None:
        self.schema = schema
        self.name = name
        self.parsed = parsed
        self.catalogue = catalogue
        self.columns: dict[str, Column] = dict(table.columns) if table else {}
        self.constraints: list[Node] = []
        self.foreign_keys: list[ForeignKey] = list(table.foreign_keys) if table else []
        self.indexes: list[Index] = list(table.indexes) if table else []
        self.primary_key: tuple[str, ...] = table.primary_key if table else ()
        self.names = Names(catalogue, schema, table)
        self.after: list[str] = []
        self.inline: dict[str, list[str]] = {}
        self._generated: dict[str, Node] = {}
        self._numbered: str | None = None

    @property
    def file_name(self) -> str:
        """The table's quoted name in the file."""
        return quote(engine_name(self.schema, self.name))

    def add_column(self, fields: Node) -> str:
        """Read a column's definition; returns its name."""
        only(fields, "a column", "colname", "typeName", "is_local", "constraints", "collClause")
        name = fields["colname"]
        check_name(name)
        if any(name.lower() == other.lower() for other in self.columns):
            raise DatabaseError(f'column "{name}" specified more than once', sqlstate="42701", column=name)
        if "collClause" in fields and strings(fields["collClause"]["collname"])[-1] not in (
            "C",
            "POSIX",
            "default",
        ):
            raise refused("COLLATE with another collation than C")
        declared = types.type_name(fields["typeName"])
        column = Column(name=name, type=types.SERIALS.get(declared, declared))
        if declared in types.SERIALS:
            self._number(name)
            column = msgspec.structs.replace(
                column, nullable=False, default=f"nextval('{self.name}_{name}_seq'::regclass)"
            )
        self.columns[name] = column
        for item in fields.get("constraints", ()):
            self._column_constraint(name, item["Constraint"])
        return str(name)

    def _number(self, name: str) -> None:
        if self._numbered is not None:
            raise refused("a second identity or serial column in one table")
        self._numbered = name

    def _change(self, name: str, **values: Any) -> None:
        self.columns[name] = msgspec.structs.replace(self.columns[name], **values)

    def _column_constraint(self, name: str, fields: Node) -> None:
        kind = fields["contype"]
        if kind == "CONSTR_NOTNULL":
            self._change(name, nullable=False)
        elif kind == "CONSTR_DEFAULT":
            self._change(name, default=default_text(self.parsed, fields["location"]))
        elif kind == "CONSTR_IDENTITY":
            only(fields, "an identity column", "contype", "generated_when", "conname")
            self._number(name)
            self._change(name, identity=True, generated=fields["generated_when"] == "a", nullable=False)
        elif kind == "CONSTR_GENERATED":
            only(
                fields,
                "a generated column",
                "contype",
                "raw_expr",
                "generated_when",
                "generated_kind",
                "conname",
            )
            if fields.get("generated_kind", "s") != "s":
                raise refused("a virtual generated column")
            self._generated[name] = fields["raw_expr"]
            self._change(name, generated=True)
        elif kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            self.constraints.append({**fields, "keys": [{"String": {"sval": name}}]})
        elif kind == "CONSTR_FOREIGN":
            self.constraints.append({**fields, "fk_attrs": [{"String": {"sval": name}}]})
        elif kind == "CONSTR_CHECK":
            self.constraints.append(fields)
        elif kind != "CONSTR_NULL":
            raise refused(f"a column with {kind.removeprefix('CONSTR_').lower()}")

    def add_constraint(self, fields: Node) -> str | None:
        """Read a table's constraint; returns its SQL where it stands by itself inside CREATE TABLE.

        What concerns one column stands with it, in `inline`: SQLite then drops both together.
        """
        kind = fields["contype"]
        if kind == "CONSTR_PRIMARY":
            return self._primary(fields)
        if kind == "CONSTR_UNIQUE":
            self._unique(fields)
            return None
        if kind == "CONSTR_FOREIGN":
            return self._foreign(fields)
        if kind == "CONSTR_CHECK":
            used = columns_in(fields["raw_expr"])
            return self._placed(self.check(fields), tuple(used))
        raise refused(f"a constraint of kind {kind.removeprefix('CONSTR_').lower()}")

    def _keys(self, fields: Node, feature: str, key: str = "keys") -> tuple[str, ...]:
        names = tuple(strings(fields[key]))
        for name in names:
            if name not in self.columns:
                raise DatabaseError(
                    f'column "{name}" {feature} does not exist', sqlstate="42703", column=name
                )
        return names

    def _primary(self, fields: Node) -> str | None:
        only(fields, "PRIMARY KEY", "contype", "conname", "keys")
        if self.primary_key:
            raise DatabaseError(
                f'multiple primary keys for table "{self.name}" are not allowed', sqlstate="42P16"
            )
        keys = self._keys(fields, "named in key")
        self.primary_key = keys
        for name in keys:
            self._change(name, nullable=False)
        index = Index(self.names.new(fields, [self.name], "pkey"), keys, unique=True)
        self.indexes.insert(0, index)
        if self._numbered is None:
            return f"PRIMARY KEY ({', '.join(map(quote, keys))})"
        if keys != (self._numbered,):
            self._unique_index(index)
        return None

    def _unique(self, fields: Node) -> None:
        only(fields, "UNIQUE", "contype", "conname", "keys")
        keys = self._keys(fields, "named in key")
        index = Index(self.names.new(fields, [self.name, *keys], "key"), keys, unique=True)
        self.indexes.append(index)
        self._unique_index(index)

    def _unique_index(self, index: Index) -> None:
        listed = ", ".join(quote(name) for name in index.columns if name)
        self.after.append(
            f"CREATE UNIQUE INDEX {quote(engine_name(self.schema, index.name))} ON {self.file_name} ({listed})"
        )

    def _foreign(self, fields: Node) -> str | None:
        only(
            fields, "FOREIGN KEY", "contype", "conname", "pktable", "fk_attrs", "pk_attrs", "fk_matchtype",
            "fk_upd_action", "fk_del_action", "deferrable", "initdeferred", "is_enforced", "initially_valid",
        )  # fmt: skip
        keys = self._keys(fields, "referenced in foreign key constraint", "fk_attrs")
        name = self.names.new(fields, [self.name, *keys], "fkey")
        own = Table(self.schema, self.name, "table", self.columns, self.primary_key, (), tuple(self.indexes))
        key = referenced(fields, name, keys, own, self.catalogue)
        self.foreign_keys.append(key)
        sql = foreign_key_sql(key, deferred=bool(fields.get("initdeferred")), inline=len(keys) == 1)
        return self._placed(sql, keys)

    def _placed(self, sql: str, columns: tuple[str, ...]) -> str | None:
        if len(columns) != 1:
            return sql
        self.inline.setdefault(columns[0], []).append(sql)
        return None

    def scope(self) -> Scope:
        """Return the scope of checks and generated columns: this table's bare columns."""
        scope = Scope(self.catalogue, ())
        columns = {name: column.type for name, column in self.columns.items()}
        scope.add(Item(self.name, columns, qualified=False))
        return scope

    def check(self, fields: Node) -> str:
        """Emit a CHECK; its name in the file carries the table's, for SQLite reports nothing else."""
        only(
            fields,
            "CHECK",
            "contype",
            "conname",
            "raw_expr",
            "is_enforced",
            "initially_valid",
            "skip_validation",
        )
        if fields.get("skip_validation"):
            raise refused("CHECK ... NOT VALID")
        used = sorted(columns_in(fields["raw_expr"]))
        name = self.names.new(fields, [self.name, *(used if len(used) == 1 else [])], "check")
        file_label = quote(f"{engine_name(self.schema, self.name)}/{name}")
        test = expressions.condition(fields["raw_expr"], self.scope(), "CHECK")
        return f"CONSTRAINT {file_label} CHECK ({test})"

    def column_sql(self, name: str) -> str:
        """Emit one column's definition."""
        column = self.columns[name]
        form = form_of(column.type)
        parts = [quote(name)]
        if name == self._numbered:
            parts.append("INTEGER PRIMARY KEY AUTOINCREMENT")
        else:
            parts.append(form.affinity)
        if form.collation is not None:
            parts.append(f"COLLATE {form.collation}")
        if not column.nullable:
            parts.append("NOT NULL")
        if name in self._generated:
            value = types.coerce(
                expressions.emit(self._generated[name], self.scope()), column.type, assign=True
            )
            parts.append(f"GENERATED ALWAYS AS ({fit(column.type, value.sql)}) STORED")
        elif column.default is not None and name != self._numbered:
            parts.append(f"DEFAULT ({default_value(column, self.catalogue).sql})")
        if form.check is not None:
            label = quote(f"{RANGE_CHECK}{base_type(column.type)}")
            parts.append(f"CONSTRAINT {label} CHECK ({form.check.replace('{}', quote(name))})")
        parts += self.inline.get(name, ())
        return " ".join(parts)

    def table(self) -> Table:
        """Return the table as the catalogue keeps it."""
        return Table(
            schema=self.schema,
            name=self.name,
            kind="table",
            columns=self.columns,
            primary_key=self.primary_key,
            foreign_keys=tuple(self.foreign_keys),
            indexes=tuple(self.indexes),
        )

    def plan(self) -> Plan:
        """Return the plan that creates the table."""
        if not self.columns:
            raise refused("a table without columns")
        # Keys first: foreign keys of a table to itself need to find them.
        order = {"CONSTR_PRIMARY": 0, "CONSTR_UNIQUE": 1}
        pieces = [
            self.add_constraint(fields)
            for fields in sorted(self.constraints, key=lambda one: order.get(one["contype"], 2))
        ]
        body = [*(self.column_sql(name) for name in self.columns), *filter(None, pieces)]
        sql = [f"CREATE TABLE {self.file_name} ({', '.join(body)}) STRICT", *self.after]
        return Plan("schema", "; ".join(sql), "CREATE TABLE", (Change(self.schema, self.name, self.table()),))


def dependents(catalogue: Catalogue, table: Table) -> Iterable[tuple[Table, ForeignKey]]:
    """Return the foreign keys of other tables that reference `table`."""
    for other in catalogue.tables.values():
        for key in other.foreign_keys:
            target = (key.referenced_schema, key.referenced_table)
            if target == (table.schema, table.name) and other is not table:
                yield other, key
