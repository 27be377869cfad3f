"""Selections with aggregates: an inner query makes the values, an outer one groups them."""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Aggregate, Embed, Item, Order, Selected
from kernel.contracts.records import NotEmbedded
from plugins.records.compiling.conditions import ordering
from plugins.records.compiling.operands import cast, operand
from plugins.records.compiling.selection import Joins, Reading, Rows, Selection, ordered
from plugins.records.compiling.statement import Operand, Scope, Statement
from plugins.records.dialects.dialect import Member, fill

Wrap = Callable[[str], str]


class Grouping:
    """A selection with aggregates: an inner query makes the values, an outer one groups them."""

    _NAME = '".g"'

    def __init__(self, selection: Selection, statement: Statement, scope: Scope) -> None:
        self._selection = selection
        self._statement = statement
        self._dialect = statement.dialect
        self._scope = scope
        self._cells: list[str] = []
        self._keys: list[str] = []
        self._members: list[Member] = []
        self._named: dict[tuple[str | None, str], Operand] = {}
        self._spread: str | None = None

    def rows(self, query: Reading, joins: Joins | None) -> Rows:
        """Return the groups."""
        selection = self._selection
        self._items(self._scope, query.items, lambda sql: sql)
        order = ordered([self._term(term) for term in query.order])
        tests = selection.tests(self._scope, query, joins)
        cells = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(self._cells)) or "1 AS c0"
        inner = f"(SELECT {cells} {selection.source(self._scope, joins, tests)}) AS {self._NAME}"
        groups = f" GROUP BY {', '.join(self._keys)}" if self._keys else ""
        counted = f"FROM (SELECT count(*) FROM {inner}{groups}) AS {self._NAME}"
        return Rows(self._members, f"FROM {inner}{groups}", f"{order}{selection.part(query)}", counted)

    def _items(self, scope: Scope, items: tuple[Selected, ...], wrap: Wrap) -> None:
        for item in items:
            match item:
                case Aggregate():
                    self._aggregate(scope, item, wrap)
                case Item():
                    for name, value in self._selection.values(scope, item):
                        cell = self._cell(wrap(value.sql))
                        self._keys.append(cell)
                        self._named.setdefault((self._spread, name), Operand(cell, value.stored))
                        self._members.append(Member(name, fill(value.stored.to_json, cell)))
                case Embed():
                    self._embed(scope, item, wrap)

    def _embed(self, scope: Scope, embed: Embed, wrap: Wrap) -> None:
        _, relationship = scope.embeds[embed.alias or embed.relation]
        if embed.spread and relationship.to_one:
            outermost, self._spread = self._spread, self._spread or embed.alias or embed.relation
            self._lift(scope, embed, wrap)
            self._spread = outermost
            return
        for member in self._selection.embedded(scope, embed):
            cell = self._cell(wrap(self._dialect.groupable(member)))
            self._keys.append(cell)
            self._members.append(Member(member.name, self._dialect.ungrouped(cell), True))

    def _lift(self, scope: Scope, embed: Embed, wrap: Wrap) -> None:
        child, joins = self._selection.child(scope, embed)
        self._selection.enter(child, embed.items)

        def within(sql: str) -> str:
            tests = self._selection.tests(child, embed, joins)
            return wrap(f"(SELECT {sql} {self._selection.source(child, joins, tests)})")

        self._items(child, embed.items, within)

    def _aggregate(self, scope: Scope, aggregate: Aggregate, wrap: Wrap) -> None:
        database = self._statement.database
        if aggregate.field is None:
            value = Operand("count(*)", database.stored("bigint"))
        else:
            given = operand(self._statement, scope, aggregate.field)
            if aggregate.cast is not None:
                given = cast(self._statement, given, aggregate.cast)
            found = database.expression(f"{aggregate.function}({{value}})", {"value": given.stored.type})
            value = Operand(found.over(value=self._cell(wrap(given.sql))), database.stored(found.type))
        if aggregate.result_cast is not None:
            value = cast(self._statement, value, aggregate.result_cast)
        self._members.append(
            Member(aggregate.alias or aggregate.function, fill(value.stored.to_json, value.sql))
        )

    def _cell(self, sql: str) -> str:
        self._cells.append(sql)
        return f"{self._NAME}.c{len(self._cells) - 1}"

    def _term(self, term: Order) -> str:
        """Order by one of the values that rows are grouped by, named as in the answer or by its column."""
        if term.related is not None and term.related not in self._scope.embeds:
            raise NotEmbedded(term.related)
        value = self._named.get((term.related, term.field.column)) if not term.field.path else None
        if value is None and term.related is None:
            column = operand(self._statement, self._scope, term.field)
            keys = (key for key in self._keys if self._cells[int(key.rpartition("c")[2])] == column.sql)
            value = next((Operand(key, column.stored) for key in keys), None)
        if value is None:
            name = f"{term.related or self._scope.table.name}.{term.field.column}"
            message = (
                f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function'
            )
            raise DatabaseError(message, sqlstate="42803", column=term.field.column)
        return ordering(self._statement, value, term, nullable=True)
