"""From a query tree to one statement: names resolved against the catalogue, rights and types applied."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from kernel.contracts.catalogue import Column, Command, Table
from kernel.contracts.database import Compiled, Database, DatabaseError
from kernel.contracts.queries import (
    Comparison,
    Condition,
    Conflict,
    Delete,
    Field,
    Insert,
    Is,
    Item,
    Logic,
    Membership,
    Order,
    Search,
    Select,
    Selected,
    Update,
)
from kernel.contracts.records import UnknownColumn, Unsupported
from kernel.contracts.rights import Rights, Use
from kernel.contracts.stored import StoredType
from plugins.records.arrays import elements
from plugins.records.dialect import Assignment, Dialect, Member, Upsert, fill
from plugins.records.plans import Plan, Prepare

MAX_MEMBERS = 1664
"""How many members an answer's object may have; PostgreSQL's own limit."""

# Engines limit the columns of a result: PostgreSQL to 1,664, SQLite to 2,000.
_MAX_CHECKS = 1_000

_SYMBOLS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "isdistinct": "IS DISTINCT FROM",
}
_PATTERNS = {"like": "like", "ilike": "ilike", "match": "~", "imatch": "~*"}
_PATTERN_SYMBOLS = {"like": "~~", "ilike": "~~*", "match": "~", "imatch": "~*"}
_TESTS = {
    "null": "IS NULL",
    "not_null": "IS NOT NULL",
    "true": "IS TRUE",
    "false": "IS FALSE",
    "unknown": "IS NULL",
}
_TEXTS = ("text", "character", "name", "citext")

_encode = msgspec.json.Encoder().encode


class Operand(msgspec.Struct, frozen=True):
    """An expression and how its values are kept."""

    sql: str
    stored: StoredType


class Compiler:
    """Compiles one statement over `table` for `role`; None is without bounds."""

    def __init__(self, database: Database, dialect: Dialect, table: Table, role: str | None) -> None:
        self._database = database
        self._dialect = dialect
        self._table = table
        self._role = role
        self._reads: set[str] = set()
        self._slots: list[tuple[str, Prepare | None]] = []
        self._constants: dict[str, str] = {}
        self._checks: list[str] = []
        self._check_always = False

    def select(self, query: Select) -> Plan:
        """Compile a read."""
        row = self._object(query.items)
        where = self._where(query.where)
        order = self._order(query.order)
        ranged = query.limit is not None or query.offset > 0
        part = self._dialect.part(query.limit, skips=query.offset > 0) if ranged else ""
        rights = self._rights("select")
        counted = query.counted and ranged
        return self._plan(
            self._dialect.select(self._table, rights, row, where, f"{order}{part}", counted=counted)
        )

    def insert(self, insert: Insert) -> Plan:
        """Compile an insert of `insert.columns`; of none, it inserts one row of defaults."""
        row = self._returning(insert.returning)
        if not insert.columns:
            return self._plan(self._dialect.insert_defaults(self._table, self._rights("insert"), row))
        upsert = self._upsert(insert.conflict, insert.columns) if insert.conflict else None
        columns = self._assignments(insert.columns)
        rights = self._rights("insert", insert.columns, upsert.merged if upsert else ())
        return self._plan(self._dialect.insert(self._table, rights, columns, upsert, row))

    def has_new(self, insert: Insert) -> Plan | None:
        """Compile the question whether an upsert has new rows; None where every row is sure to be new."""
        target = self._target(insert.conflict) if insert.conflict else ()
        if not target or not set(target) <= set(insert.columns):
            return None
        self._reads |= set(target)
        rights = self._rights("select")
        return self._plan(self._dialect.has_new(self._table, rights, self._assignments(target)))

    def update(self, update: Update) -> Plan:
        """Compile an update."""
        columns = self._assignments(update.columns)
        where = self._where(update.where)
        row = self._returning(update.returning)
        self._checks.extend(self._dialect.read_row(self._table, columns))
        rights = self._rights("update", update.columns)
        return self._plan(self._dialect.update(self._table, rights, columns, where, row))

    def delete(self, delete: Delete) -> Plan:
        """Compile a delete."""
        where = self._where(delete.where)
        row = self._returning(delete.returning)
        return self._plan(self._dialect.delete(self._table, self._rights("delete"), where, row))

    def _plan(self, sql: str) -> Plan:
        checks = ", ".join(self._checks[:_MAX_CHECKS])
        check = Compiled(f"SELECT {checks}", self._role) if checks else None
        return Plan(Compiled(sql, self._role), tuple(self._slots), self._constants, check, self._check_always)

    def _rights(self, command: Command, writes: tuple[str, ...] = (), merges: tuple[str, ...] = ()) -> Rights:
        """Return what the role may do, now that it is known which columns the statement reads."""
        use = Use(command, frozenset(self._reads), writes, merges)
        return self._database.rights(self._role, self._table, use)

    # Members of the answer

    def _returning(self, items: tuple[Selected, ...] | None) -> str | None:
        return None if items is None else self._object(items)

    def _object(self, items: tuple[Selected, ...]) -> str:
        members: list[Member] = []
        for item in items:
            if not isinstance(item, Item):
                raise Unsupported("Related rows and aggregates are not supported yet.")
            if item.field is None:
                members.extend(self._column_member(column) for column in self._table.columns.values())
            else:
                members.append(self._member(item, item.field))
            if len(members) > MAX_MEMBERS:
                raise Unsupported(f"An answer's objects have at most {MAX_MEMBERS} members.")
        return self._dialect.object(members)

    def _column_member(self, column: Column) -> Member:
        operand = self._operand(Field(column.name))
        return Member(self._dialect.literal(column.name), fill(operand.stored.to_json, operand.sql))

    def _member(self, item: Item, field: Field) -> Member:
        operand = self._operand(field)
        if item.cast is not None:
            operand = self._cast(operand, item.cast)
        keys = [step.key for step in field.path if isinstance(step.key, str)]
        name = item.alias or (keys[-1] if keys else field.column)
        known = name in self._table.columns
        return Member(
            self._dialect.literal(name) if known else self._constant(name),
            fill(operand.stored.to_json, operand.sql),
        )

    def _cast(self, operand: Operand, type_name: str) -> Operand:
        target = self._database.stored(type_name)
        text = fill(operand.stored.to_text, operand.sql)
        return Operand(fill(target.assign_text, f"({text})"), target)

    # Fields

    def _operand(self, field: Field) -> Operand:
        column = self._table.columns.get(field.column)
        if column is None:
            raise self._no_column(field.column)
        self._reads.add(column.name)
        operand = Operand(self._dialect.column(self._table, column.name), self._database.stored(column.type))
        return self._at_path(operand, field) if field.path else operand

    def _at_path(self, operand: Operand, field: Field) -> Operand:
        *inner, last = field.path
        if any(step.as_text for step in inner):
            raise _no_operator("text ->", "unknown")
        path = self._constant(self._dialect.json_path(field.path))
        json = fill(operand.stored.to_json, operand.sql)
        jsonb = self._database.stored("jsonb")
        if not last.as_text:
            return Operand(self._dialect.json_at(json, path), jsonb)
        return Operand(self._dialect.text_at(json, path, jsonb.to_text), self._database.stored("text"))

    def _no_column(self, name: str) -> DatabaseError:
        table = self._table.name
        near = get_close_matches(name, self._table.columns, n=1, cutoff=0.7)
        hint = f'Perhaps you meant to reference the column "{table}.{near[0]}".' if near else None
        return DatabaseError(
            f"column {table}.{name} does not exist", sqlstate="42703", hint=hint, table=table, column=name
        )

    # Conditions

    def _where(self, conditions: tuple[Condition, ...]) -> str | None:
        if not conditions:
            return None
        return _balanced([self._condition(condition) for condition in conditions], "AND")

    def _condition(self, condition: Condition) -> str:
        match condition:
            case Comparison():
                test = self._comparison(condition)
            case Membership():
                test = self._membership(condition)
            case Is():
                test = self._is(condition)
            case Search():
                raise Unsupported("Full-text search is not supported yet.")
            case Logic():
                before = len(self._checks)
                inner = [self._condition(child) for child in condition.conditions]
                if condition.operator == "or" or condition.negated:
                    self._check_always |= len(self._checks) > before
                test = _balanced(inner, condition.operator.upper())
        return f"NOT ({test})" if condition.negated else f"({test})"

    def _comparison(self, comparison: Comparison) -> str:
        operand = self._comparable(comparison.field, comparison.operator)
        read = operand.stored.from_text
        if comparison.operator in _PATTERNS:
            left, read = fill(operand.stored.to_text, operand.sql), "{}"
            template = self._database.operator(_PATTERNS[comparison.operator])
            test = template.replace("{left}", left).replace("{right}", "{}")
        else:
            left = operand.sql
            test = f"{left} {_SYMBOLS[comparison.operator]} {read}"
        if comparison.quantifier is None:
            value = self._slot()
            self._check(read, fill(read, value))
            return fill(test, value)
        values = self._slot(_array)
        self._check(read, self._dialect.read_all(read, values))
        quantify = self._dialect.any_of if comparison.quantifier == "any" else self._dialect.all_of
        return quantify(test, values)

    def _membership(self, membership: Membership) -> str:
        operand = self._comparable(membership.field, "eq")
        read, values = operand.stored.from_text, self._slot(_list)
        self._check(read, self._dialect.read_all(read, values))
        return self._dialect.member_of(operand.sql, read, values)

    def _comparable(self, field: Field, operator: str) -> Operand:
        """Return the operand; refuse it, as PostgreSQL does, where its type has no such operator."""
        operand = self._operand(field)
        stored = operand.stored
        if field.path and not field.path[-1].as_text:
            operand = Operand(fill(stored.from_text, operand.sql), stored)
        if operator in _PATTERNS:
            fits = stored.type.startswith(_TEXTS)
        else:
            fits = stored.comparable and (stored.ordered or operator in ("eq", "neq", "isdistinct"))
        if not fits:
            symbol = (
                {"like": "~~", "ilike": "~~*"}.get(operator) or _PATTERNS.get(operator) or _SYMBOLS[operator]
            )
            raise _no_operator(f"{stored.type} {symbol}", "unknown")
        return operand

    def _is(self, test: Is) -> str:
        operand = self._operand(test.field)
        truth = test.value not in ("null", "not_null")
        if truth and operand.stored.type != "boolean":
            message = (
                f"argument of IS {test.value.upper()} must be type boolean, not type {operand.stored.type}"
            )
            raise DatabaseError(message, sqlstate="42804")
        return f"{operand.sql} {_TESTS[test.value]}"

    def _check(self, read: str, check: str) -> None:
        if read != "{}":  # any text is one
            self._checks.append(check)

    def _slot(self, prepare: Prepare | None = None) -> str:
        name = f"v{len(self._slots)}"
        self._slots.append((name, prepare))
        return f":{name}"

    def _constant(self, text: str) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = text
        return f":{name}"

    def _order(self, terms: tuple[Order, ...]) -> str:
        if not terms:
            return ""
        return " ORDER BY " + ", ".join(self._order_term(term) for term in terms)

    def _order_term(self, term: Order) -> str:
        nulls: Literal["first", "last"] | None
        operand = self._operand(term.field)
        if not operand.stored.comparable:
            message = f"could not identify an ordering operator for type {operand.stored.type}"
            raise DatabaseError(message, sqlstate="42883")
        if not operand.stored.ordered:
            raise Unsupported(
                f"Ordering by {operand.stored.type} is not supported; order by text (->>) instead."
            )
        nulls = term.nulls or ("first" if term.descending else "last")
        if not term.field.path and not self._table.columns[term.field.column].nullable:
            nulls = None
        return self._dialect.order(operand.sql, descending=term.descending, nulls=nulls)

    # Writes

    def _assignments(self, columns: Sequence[str]) -> list[Assignment]:
        assignments = []
        for name in columns:
            column = self._table.columns.get(name)
            if column is None:
                raise UnknownColumn(self._table.name, name)
            if column.generated:
                message = f'cannot insert a non-DEFAULT value into column "{name}"'
                detail = f'Column "{name}" is a generated column.'
                raise DatabaseError(message, sqlstate="428C9", detail=detail, column=name)
            assignments.append(Assignment(name, self._database.stored(column.type).assign_json))
        return assignments

    def _target(self, conflict: Conflict) -> tuple[str, ...]:
        return conflict.columns or self._table.primary_key

    def _upsert(self, conflict: Conflict, columns: tuple[str, ...]) -> Upsert | None:
        target = self._target(conflict)
        if not target:
            return None
        for name in target:
            if name not in self._table.columns:
                raise DatabaseError(f'column "{name}" does not exist', sqlstate="42703", column=name)
        if not self._is_unique(target):
            message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
            raise DatabaseError(message, sqlstate="42P10")
        self._reads |= set(target)
        return Upsert(target, columns if conflict.action == "merge" else ())

    def _is_unique(self, columns: tuple[str, ...]) -> bool:
        wanted = set(columns)
        if wanted == set(self._table.primary_key):
            return True
        return any(
            index.unique and not index.partial and set(index.columns) == wanted
            for index in self._table.indexes
        )


def _balanced(tests: list[str], operator: str) -> str:
    """Join tests as a balanced tree: a chain of thousands would be too deep an expression for an engine."""
    while len(tests) > 1:
        pairs = [tests[i : i + 2] for i in range(0, len(tests), 2)]
        tests = [f"({pair[0]} {operator} {pair[1]})" if len(pair) == 2 else pair[0] for pair in pairs]
    return tests[0]


def _list(values: Any) -> str:
    return _encode(values).decode()


def _array(literal: Any) -> str:
    return _encode(elements(literal)).decode()


def _no_operator(left: str, right: str) -> DatabaseError:
    hint = "No operator matches the given name and argument types. You might need to add explicit type casts."
    return DatabaseError(f"operator does not exist: {left} {right}", sqlstate="42883", hint=hint)
