"""Selections: the members of an answer's objects, related rows and aggregates among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Aggregate, Call, Embed, Field, Item, Order, Select, Selected
from kernel.contracts.records import NotEmbedded, NotToOne, Unsupported
from kernel.contracts.relationships import Relationship, Side
from plugins.records.compiling.conditions import Conditions, balanced, ordering
from plugins.records.compiling.operands import cast, operand
from plugins.records.compiling.statement import Operand, Scope, Statement
from plugins.records.dialects.dialect import Member, fill

MAX_MEMBERS = 1664
"""How many members an answer's object may have; PostgreSQL's own limit."""

_COUNT = Field("count")

T = TypeVar("T")

Reading = Select | Call | Embed

_AGGREGATES_IN_SPREADS = "Aggregates are not implemented for one-to-many or many-to-many spreads."


class Rows(msgspec.Struct, frozen=True):
    """Rows as they are selected: their members, where they come from, and in what order and part.

    `counted` is what a count of all of them is taken from.
    """

    members: list[Member]
    source: str
    ending: str
    counted: str


class Selection:
    """Writes the selections of one statement."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._dialect = statement.dialect
        self.conditions = Conditions(statement, self._exists)

    def rows(self, scope: Scope, query: Reading, joins: Joins | None = None) -> Rows:
        """Return what `query` selects of a scope's table, which `joins` relate to another scope."""
        query = msgspec.structs.replace(query, items=tuple(self._counting(scope, one) for one in query.items))
        self.enter(scope, query.items)
        if _has_aggregates(scope, query.items) or (isinstance(query, Select) and query.distinct):
            from plugins.records.compiling.grouping import Grouping

            return Grouping(self, self._statement, scope).rows(query, joins)
        as_text = isinstance(query, Select | Call) and query.as_text
        members = self.members(scope, query.items, as_text=as_text)
        tests = self.tests(scope, query, joins)
        order = self._order(scope, query.order)
        source = self.source(scope, joins, tests)
        locks = self._dialect.locks if isinstance(query, Select) and query.locked else ""
        return Rows(members, source, f"{order}{self.part(query)}{locks}", source)

    def _counting(self, scope: Scope, item: Selected) -> Selected:
        """Take ``count`` for ``count()`` where no column has that name: to PostgreSQL, ``t.count`` is ``count(t)``."""
        if not isinstance(item, Item) or item.field != _COUNT or _COUNT.column in scope.table.columns:
            return item
        if self._statement.relationships.computed.column(scope.table, _COUNT.column) is not None:
            return item
        return Aggregate("count", None, item.alias, result_cast=item.cast)

    def enter(self, scope: Scope, items: tuple[Selected, ...]) -> None:
        """Find the relationships of what is embedded beside a scope's columns.

        Raises `DatabaseError` 42712 where two of them go by one name, as PostgreSQL does in PostgREST's statement.
        """
        find = self._statement.relationships.find
        for item in items:
            if isinstance(item, Embed):
                name, found = item.alias or item.relation, find(scope.table, item.relation, item.hint)
                if name in scope.embeds:
                    named = f"{scope.label}_{name}_{scope.depth + 1}"
                    message = f'table name "{named}" specified more than once'
                    raise DatabaseError(message, sqlstate="42712")
                scope.embeds[name] = (item, found)

    def members(self, scope: Scope, items: tuple[Selected, ...], *, as_text: bool = False) -> list[Member]:
        """Return the members of one row's object, plain ones `as_text` or as JSON."""
        members: list[Member] = []
        write = _text if as_text else _json
        for item in items:
            if isinstance(item, Embed):
                members.extend(self.embedded(scope, item))
            elif isinstance(item, Item):
                members.extend(Member(name, write(value)) for name, value in self.values(scope, item))
            if len(members) > MAX_MEMBERS:
                raise Unsupported(f"An answer's objects have at most {MAX_MEMBERS} members.")
        return members

    def values(self, scope: Scope, item: Item) -> Iterable[tuple[str, Operand]]:
        """Return the names and values that a plain item stands for."""
        if item.field is None:
            for column in scope.table.columns:
                yield column, operand(self._statement, scope, Field(column))
            return
        value = operand(self._statement, scope, item.field)
        if item.cast is not None:
            value = cast(self._statement, value, item.cast)
        keys = [step.key for step in item.field.path if isinstance(step.key, str)]
        yield item.alias or (keys[-1] if keys else item.field.column), value

    def inner(self, scope: Scope, items: tuple[Selected, ...]) -> list[str]:
        """Return a test for each embed that rows must have something of."""
        names = [item.alias or item.relation for item in items if isinstance(item, Embed) and item.inner]
        return [self._exists(scope, name) for name in names]

    def part(self, query: Reading) -> str:
        """Write which part of the rows is wanted."""
        if query.limit is None and query.offset <= 0:
            return ""
        if isinstance(query, Embed):
            return self._dialect.part(query.limit, str(query.offset) if query.offset > 0 else None)
        return self._dialect.part(query.limit, ":offset" if query.offset > 0 else None)

    def nested(self, scope: Scope, embed: Embed) -> Rows:
        """Return the rows of an embed that belong to one of the scope's."""
        child, joins = self.child(scope, embed)
        return self.rows(child, embed, joins)

    def within(self, scope: Scope, embed: Embed, write: Callable[[Scope], T]) -> tuple[T, str]:
        """Return what `write` makes of an embed's own scope, and the source to read it from."""
        child, joins = self.child(scope, embed)
        self.enter(child, embed.items)
        written = write(child)
        return written, self.source(child, joins, self.tests(child, embed, joins))

    def embedded(self, scope: Scope, embed: Embed) -> list[Member]:
        """Return the members that an embed stands for: one, or those that it spreads."""
        _, relationship = scope.embeds[embed.alias or embed.relation]
        if _is_empty(embed):
            return []
        if not embed.spread:
            rows = self.nested(scope, embed)
            write = self._dialect.single if relationship.to_one else self._dialect.array
            ending = rows.ending
            if relationship.function is not None and relationship.to_one and embed.limit is None:
                ending += self._dialect.part(1, None)  # what it promises is not what it must keep
            name = embed.alias or embed.relation
            return [Member(name, f"({write(rows.members, rows.source, ending)})", True)]
        if not relationship.to_one and any(isinstance(item, Aggregate) for item in embed.items):
            raise Unsupported(_AGGREGATES_IN_SPREADS)
        # Each member is a subquery of its own.
        rows = self.nested(scope, embed)
        each = self._dialect.scalar if relationship.to_one else self._dialect.values
        return [
            Member(member.name, f"({each(member, rows.source, rows.ending)})", True)
            for member in rows.members
        ]

    def _exists(self, scope: Scope, name: str) -> str:
        embed, _ = scope.embeds[name]
        _, source = self.within(scope, embed, lambda child: None)
        # A row that limit or offset leave out does not count. Other limits do not change whether there are any, and
        # SQLite's planner would not make a join of an EXISTS that has one.
        part = self.part(embed) if embed.offset > 0 or embed.limit == 0 else ""
        return f"EXISTS (SELECT 1 {source}{part})"

    def child(self, scope: Scope, embed: Embed) -> tuple[Scope, Joins]:
        """Return a scope for an embed's table, and what relates it to this one."""
        _, relationship = scope.embeds[embed.alias or embed.relation]
        return _join(self._statement, scope, relationship)

    def tests(self, scope: Scope, query: Reading, joins: Joins | None) -> list[str]:
        """Return what must hold of a row."""
        tests = [] if joins is None else list(joins.tests)
        if joins is None:
            tests += self.conditions.tests(scope, query.where)
        else:
            # A row that no other is related to has its values looked at all the same.
            tests += self._statement.checking_always(lambda: self.conditions.tests(scope, query.where))
        return tests + self.inner(scope, query.items)

    def source(self, scope: Scope, joins: Joins | None, tests: list[str]) -> str:
        """Write FROM and WHERE, once it is known what is read."""
        beside = (
            "" if joins is None or joins.junction is None else f", {self._statement.source(joins.junction)}"
        )
        where = f" WHERE {balanced(tests, 'AND')}" if tests else ""
        return f"FROM {self._statement.source(scope)}{beside}{where}"

    def _order(self, scope: Scope, terms: tuple[Order, ...]) -> str:
        return ordered([self._term(scope, term) for term in terms])

    def _term(self, scope: Scope, term: Order) -> str:
        column = scope.table.columns.get(term.field.column)
        nullable = bool(term.related or term.field.path) or column is None or column.nullable
        return ordering(self._statement, self.key(scope, term), term, nullable=nullable)

    def key(self, scope: Scope, term: Order) -> Operand:
        """Return what a term orders by."""
        if term.related is not None:
            return self.related(scope, term)
        return operand(self._statement, scope, term.field)

    def related(self, scope: Scope, term: Order) -> Operand:
        """Return a related row's value to order by."""
        found = scope.embeds.get(term.related or "")
        if found is None:
            raise NotEmbedded(term.related or "")
        embed, relationship = found
        if not relationship.to_one:
            raise NotToOne(scope.table.name, embed.relation)
        field = _renamed(embed, term.field)
        value, source = self.within(scope, embed, lambda child: operand(self._statement, child, field))
        return Operand(f"(SELECT {value.sql} {source})", value.stored)


def _renamed(embed: Embed, field: Field) -> Field:
    """Return the field that an embed's rows show under the name of another."""
    if not field.path:
        for item in embed.items:
            if isinstance(item, Item) and item.field is not None and item.alias == field.column:
                return item.field
    return field


def _json(value: Operand) -> str:
    return fill(value.stored.to_json, value.sql)


def _text(value: Operand) -> str:
    """Write a value as PostgreSQL's output of rows does: a truth value is one letter there."""
    text = fill(value.stored.to_text, value.sql)
    return f"substr({text}, 1, 1)" if value.stored.type == "boolean" else text


class Joins(msgspec.Struct, frozen=True):
    """What relates a scope to the one it is embedded in: tests, and the table between them if there is one."""

    tests: tuple[str, ...]
    junction: Scope | None = None


def _join(statement: Statement, scope: Scope, relationship: Relationship) -> tuple[Scope, Joins]:
    child = statement.scope(relationship.target_schema, relationship.target, scope.depth + 1)
    junction = relationship.junction
    if relationship.function is not None:
        child.given = statement.call_of(scope, relationship.function)
        return child, Joins(())
    if junction is None:
        if relationship.side is None:
            raise AssertionError("a relationship has a side, a junction or a function")
        return child, Joins(_equal(scope, relationship.side, child))
    between = statement.scope(junction.schema, junction.table, scope.depth + 1)
    near = _equal(between, junction.near, scope)
    far = _equal(between, junction.far, child)
    return child, Joins((*near, *far), between)


def _equal(origin: Scope, side: Side, target: Scope) -> tuple[str, ...]:
    pairs = zip(side.columns, side.related_columns, strict=True)
    return tuple(f"{target.column(theirs)} = {origin.column(ours)}" for ours, theirs in pairs)


def _has_aggregates(scope: Scope, items: tuple[Selected, ...]) -> bool:
    """Tell whether a selection holds an aggregate, also one in the row that it spreads."""
    for item in items:
        if isinstance(item, Aggregate):
            return True
        if isinstance(item, Embed) and item.spread:
            _, relationship = scope.embeds[item.alias or item.relation]
            if relationship.to_one and _spreads_aggregates(item):
                return True
    return False


def _is_empty(embed: Embed) -> bool:
    """Tell whether nothing is selected of an embed, nor of what is embedded in it."""
    return all(isinstance(item, Embed) and _is_empty(item) for item in embed.items)


def _spreads_aggregates(embed: Embed) -> bool:
    return any(
        isinstance(item, Aggregate) or (isinstance(item, Embed) and item.spread and _spreads_aggregates(item))
        for item in embed.items
    )


def ordered(terms: list[str]) -> str:
    """Write ORDER BY."""
    return f" ORDER BY {', '.join(terms)}" if terms else ""
