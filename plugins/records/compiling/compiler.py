"""From a query's template to one statement: names resolved against the catalogue, rights and types applied."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kernel.contracts.catalogue import Table, Write
from kernel.contracts.database import Compiled, DatabaseError
from kernel.contracts.queries import ALL, Conflict, Delete, Insert, Select, Update
from kernel.contracts.records import UnknownColumn
from kernel.contracts.stored import StoredType
from plugins.records.compiling.conditions import balanced, ordering
from plugins.records.compiling.selection import Selection
from plugins.records.compiling.statement import Operand, Scope, Statement
from plugins.records.dialects.dialect import Assignment, Upsert
from plugins.records.plans import Plan


class Compiler:
    """Compiles one statement over `table`; a write returns each row `whole`, too, as a second column."""

    def __init__(self, statement: Statement, table: Table, *, whole: bool = False) -> None:
        self._whole = whole
        self._statement = statement
        self._dialect = statement.dialect
        self._scope = Scope(table, statement.dialect.alias(table))
        self._selection = Selection(statement)
        self._keys: list[StoredType] = []

    def select(self, query: Select) -> Plan:
        """Compile a read."""
        rows = self._selection.rows(self._scope, query)
        ranged = query.limit is not None or query.offset > 0
        counted = rows.counted if query.counted and ranged else None
        plans = query.counted and query.planned is not None and self._dialect.explain is not None
        if plans and query.planned is not None:
            above = query.planned.above
            counted = None if above is None else self._dialect.at_most(above + 1, rows.counted)
        plan = self._statement.plan(self._dialect.page(rows.members, rows.source, rows.ending, counted))
        if not plans:
            return plan
        expected = Compiled(f"{self._dialect.explain} SELECT 1 {rows.counted}", self._statement.role)
        return msgspec.structs.replace(plan, expected=expected)

    def stream(self, query: Select) -> Plan:
        """Compile a read whose rows come one by one, each as its JSON."""
        rows = self._selection.rows(self._scope, query)
        return self._statement.plan(self._dialect.single(rows.members, rows.source, rows.ending))

    def insert(self, insert: Insert) -> Plan:
        """Compile an insert of `insert.columns`; of none, it inserts one row of defaults."""
        self._enter("insert")
        row, statement, table = self._returning(insert), self._statement, self._scope.table
        if not insert.columns:
            rights = statement.rights(self._scope, "insert")
            return self._sorted(insert, statement.plan(self._dialect.insert_defaults(table, rights, row)))
        merged = self._merged(insert)
        upsert = self._upsert(insert.conflict, merged) if insert.conflict else None
        columns = self._assignments(insert.columns)
        rights = statement.rights(self._scope, "insert", insert.columns, merged if upsert is not None else ())
        return self._sorted(insert, statement.plan(self._dialect.insert(table, rights, columns, upsert, row)))

    def has_new(self, insert: Insert) -> Plan | None:
        """Compile the question whether an upsert has new rows; None where every row is sure to be new."""
        target = self._target(insert.conflict) if insert.conflict else ()
        if not target or not set(target) <= set(insert.columns):
            return None
        self._scope.reads |= set(target)
        rights = self._statement.rights(self._scope, "select")
        return self._statement.plan(
            self._dialect.has_new(self._scope.table, rights, self._assignments(target))
        )

    def update(self, update: Update) -> Plan:
        """Compile an update."""
        self._enter("update")
        table, statement = self._scope.table, self._statement
        columns = self._assignments(update.columns)
        where, row = self._found(update)
        statement.checks.extend(self._dialect.read_row(table, columns))
        rights = statement.rights(self._scope, "update", update.columns)
        return self._sorted(update, statement.plan(self._dialect.update(table, rights, columns, where, row)))

    def delete(self, delete: Delete) -> Plan:
        """Compile a delete."""
        self._enter("delete")
        where, row = self._found(delete)
        rights = self._statement.rights(self._scope, "delete")
        plan = self._statement.plan(self._dialect.delete(self._scope.table, rights, where, row))
        return self._sorted(delete, plan)

    def _enter(self, command: Write) -> None:
        """Go through a view to what is below it, where the engine does not."""
        table = self._scope.table
        if table.kind == "view":
            through = self._statement.database.through(self._statement.role, table, command)
            if through is not None:
                self._scope = Scope(table, through.name, through=through)

    def _found(self, write: Update | Delete) -> tuple[str | None, str | None]:
        """Return the condition of a write and what it returns of each row."""
        row = self._returning(write)
        tests = self._selection.conditions.tests(self._scope, write.where)
        return balanced(tests, "AND") if tests else None, row

    def _returning(self, write: Insert | Update | Delete) -> str | None:
        row = self._wanted(write)
        keys = [self._selection.key(self._scope, term) for term in write.order] if row is not None else []
        self._keys = [value.stored for value in keys]
        if not self._whole and not keys:
            return row
        whole = self._dialect.object(self._selection.members(self._scope, ALL)) if self._whole else "NULL"
        return ", ".join([row or "NULL", whole, *(self._dialect.key(value.sql) for value in keys)])

    def _sorted(self, write: Insert | Update | Delete, plan: Plan) -> Plan:
        """Return a plan whose rows are put in order, by what it returns of them behind the first two values."""
        if not self._keys:
            return plan
        terms = [
            ordering(
                self._statement,
                Operand(self._dialect.kept_key(place, stored.type), stored),
                term,
                nullable=True,
            )
            for place, (stored, term) in enumerate(zip(self._keys, write.order, strict=True))
        ]
        return msgspec.structs.replace(
            plan, sorting=Compiled(self._dialect.sorting(terms), self._statement.role)
        )

    def _wanted(self, write: Insert | Update | Delete) -> str | None:
        items = write.returning
        if items is None:
            return None
        self._selection.enter(self._scope, items)
        row = self._dialect.object(self._selection.members(self._scope, items, as_text=write.as_text))
        inner = self._selection.inner(self._scope, items)
        return f"CASE WHEN {balanced(inner, 'AND')} THEN {row} END" if inner else row

    # Writes

    def _assignments(self, columns: Sequence[str]) -> list[Assignment]:
        assignments = []
        for name in columns:
            column = self._scope.table.columns.get(name)
            if column is None:
                raise UnknownColumn(self._scope.table.name, name)
            if self._scope.through is not None:
                column = self._scope.through.below(name)
            if column.generated:
                message = f'cannot insert a non-DEFAULT value into column "{name}"'
                detail = f'Column "{name}" is a generated column.'
                raise DatabaseError(message, sqlstate="428C9", detail=detail, column=name)
            template = self._statement.database.stored(column.type).assign_json
            assignments.append(Assignment(column.name, template, name))
        return assignments

    def _target(self, conflict: Conflict) -> tuple[str, ...]:
        return conflict.columns or self._scope.table.primary_key

    def _merged(self, insert: Insert) -> tuple[str, ...]:
        """Return the columns that an upsert writes over those of old rows."""
        conflict, known = insert.conflict, self._scope.table.columns
        if conflict is None or conflict.action == "ignore":
            return ()
        wanted = insert.columns if conflict.merged is None else conflict.merged
        return tuple(
            name for name in wanted if name in insert.columns or (name in known and not known[name].numbered)
        )

    def _upsert(self, conflict: Conflict, merged: tuple[str, ...]) -> Upsert | None:
        target = self._target(conflict)
        if not target:
            return None
        for name in target:
            if name not in self._scope.table.columns:
                raise DatabaseError(f'column "{name}" does not exist', sqlstate="42703", column=name)
        if not self._is_unique(target):
            message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
            raise DatabaseError(message, sqlstate="42P10")
        self._scope.reads |= set(target)
        return Upsert(self._below(target), self._below(merged))

    def _below(self, columns: Sequence[str]) -> tuple[str, ...]:
        through = self._scope.through
        return tuple(columns) if through is None else tuple(through.below(name).name for name in columns)

    def _is_unique(self, columns: tuple[str, ...]) -> bool:
        through = self._scope.through
        if self._scope.table.kind == "view" and through is None:
            return True  # the server knows what is below it
        table = self._scope.table if through is None else through.table
        wanted = set(self._below(columns))
        if wanted == set(table.primary_key):
            return True
        return any(
            index.unique and not index.partial and set(index.columns) == wanted for index in table.indexes
        )
