"""Conditions and orders: which rows, and in what sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import (
    Comparison,
    Condition,
    Field,
    Is,
    Logic,
    Membership,
    Order,
    Search,
)
from kernel.contracts.records import Unsupported
from plugins.records.compiling.arrays import elements
from plugins.records.compiling.operands import no_operator, operand
from plugins.records.compiling.statement import Operand, Scope, Statement
from plugins.records.dialects.dialect import fill
from plugins.records.functions import base_of

Exists = Callable[[Scope, str], str]
"""Writes the test that a scope's embed of some name has a row."""

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
_CONTAINERS = {
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
_SEARCHES = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
_TESTS = {
    "null": "IS NULL",
    "not_null": "IS NOT NULL",
    "true": "IS TRUE",
    "false": "IS FALSE",
    "unknown": "IS NULL",
}
_TEXTS = ("text", "character", "name", "citext")

_encode = msgspec.json.Encoder().encode


class Conditions:
    """Writes the conditions of one statement; `exists` is asked about embeds."""

    def __init__(self, statement: Statement, exists: Exists) -> None:
        self._statement = statement
        self._exists = exists

    def tests(self, scope: Scope, conditions: tuple[Condition, ...]) -> list[str]:
        """Return a test for each condition."""
        return [self._condition(scope, condition) for condition in conditions]

    def _condition(self, scope: Scope, condition: Condition) -> str:
        match condition:
            case Comparison():
                test = self._comparison(scope, condition)
            case Membership():
                test = self._membership(scope, condition)
            case Is():
                test = self._is(scope, condition)
            case Search():
                test = self._search(scope, condition)
            case Logic():
                test = self._logic(scope, condition)
        return f"NOT ({test})" if condition.negated else f"({test})"

    def _logic(self, scope: Scope, logic: Logic) -> str:
        def tests() -> list[str]:
            return self.tests(scope, logic.conditions)

        if logic.operator == "or" or logic.negated:
            return balanced(self._statement.checking_always(tests), logic.operator.upper())
        return balanced(tests(), logic.operator.upper())

    def _comparison(self, scope: Scope, comparison: Comparison) -> str:
        value = self._comparable(scope, comparison.field, comparison.operator)
        statement, read = self._statement, value.stored.from_text
        if comparison.operator in _PATTERNS:
            left, read = fill(value.stored.to_text, value.sql), "{}"
            test = self._expressed(_PATTERNS[comparison.operator], left, "{}", "text")
        elif comparison.operator in _CONTAINERS:
            test = self._expressed(_CONTAINERS[comparison.operator], value.sql, read, value.stored.type)
        else:
            left = fill(value.stored.compared, value.sql)
            test = f"{left} {_SYMBOLS[comparison.operator]} {read}"
        if comparison.quantifier is None:
            parameter = statement.value(comparison.value)
            statement.check(read, fill(read, parameter))
            return fill(test, parameter)
        values = statement.value(comparison.value, _array)
        statement.check(read, statement.dialect.read_all(read, values))
        quantify = statement.dialect.any_of if comparison.quantifier == "any" else statement.dialect.all_of
        return quantify(test, values)

    def _expressed(self, operator: str, left: str, right: str, type_name: str) -> str:
        operands = {"left": type_name, "right": type_name}
        found = self._statement.database.expression(f"{{left}} {operator} {{right}}", operands)
        return found.over(left=left, right=right)

    def _search(self, scope: Scope, search: Search) -> str:
        statement, database = self._statement, self._statement.database
        value = operand(statement, scope, search.field)
        language = "" if search.language is None else f"'{search.language.replace(chr(39), chr(39) * 2)}', "
        is_vector = self._base(value.stored.type) == "tsvector"
        vector = "{left}" if is_vector else f"to_tsvector({language}{{left}})"
        text = f"{vector} @@ {_SEARCHES[search.syntax]}({language}{{right}})"
        test = database.expression(text, {"left": value.stored.type, "right": "text"})
        return test.over(left=value.sql, right=statement.value(search.value))

    def _membership(self, scope: Scope, membership: Membership) -> str:
        statement, dialect = self._statement, self._statement.dialect
        value = self._comparable(scope, membership.field, "eq")
        read, values = value.stored.from_text, statement.value(membership.values[0], _list)
        statement.check(read, dialect.read_all(read, values))
        return dialect.member_of(fill(value.stored.compared, value.sql), read, values)

    def _comparable(self, scope: Scope, field: Field, operator: str) -> Operand:
        """Return the operand; refuse it, as PostgreSQL does, where its type has no such operator."""
        value = operand(self._statement, scope, field)
        stored = value.stored
        if field.path and not field.path[-1].as_text:
            value = Operand(fill(stored.from_text, value.sql), stored)
        if operator in _CONTAINERS:
            return value  # the database knows
        if operator in _PATTERNS:
            fits = self._base(stored.type).startswith(_TEXTS)
        else:
            fits = stored.comparable and (stored.ordered or operator in ("eq", "neq", "isdistinct"))
        if not fits:
            symbol = _PATTERN_SYMBOLS.get(operator) or _SYMBOLS[operator]
            raise no_operator(f"{stored.type} {symbol}", "unknown")
        return value

    def _base(self, type_name: str) -> str:
        return base_of(self._statement.database.catalogue, type_name)

    def _is(self, scope: Scope, test: Is) -> str:
        truth = test.value not in ("null", "not_null")
        if not truth and not test.field.path and test.field.column in scope.embeds:
            found = self._exists(scope, test.field.column)
            return f"NOT {found}" if test.value == "null" else found
        value = operand(self._statement, scope, test.field)
        if truth and value.stored.type != "boolean":
            message = (
                f"argument of IS {test.value.upper()} must be type boolean, not type {value.stored.type}"
            )
            raise DatabaseError(message, sqlstate="42804")
        return f"{value.sql} {_TESTS[test.value]}"


def ordering(statement: Statement, value: Operand, term: Order, *, nullable: bool) -> str:
    """Write one term of an order."""
    nulls: Literal["first", "last"] | None
    if not value.stored.comparable:
        message = f"could not identify an ordering operator for type {value.stored.type}"
        raise DatabaseError(message, sqlstate="42883")
    if not value.stored.ordered:
        raise Unsupported(f"Ordering by {value.stored.type} is not supported; order by text (->>) instead.")
    nulls = (term.nulls or ("first" if term.descending else "last")) if nullable else None
    compared = fill(value.stored.compared, value.sql)
    return statement.dialect.order(compared, descending=term.descending, nulls=nulls)


def balanced(tests: list[str], operator: str) -> str:
    """Join tests as a balanced tree: a chain of thousands would be too deep an expression for an engine."""
    while len(tests) > 1:
        pairs = [tests[i : i + 2] for i in range(0, len(tests), 2)]
        tests = [f"({pair[0]} {operator} {pair[1]})" if len(pair) == 2 else pair[0] for pair in pairs]
    return tests[0]


def _list(values: Any) -> str:
    return _encode(values).decode()


def _array(literal: Any) -> str:
    return _encode(elements(literal)).decode()
