"""Random queries: they parse into the tree they were written from, and find what a model in Python finds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import Database
from kernel.contracts.queries import Comparison, Condition, Field, Is, Item, Logic, Membership, Order, Step
from kernel.testing.client import Client
from plugins.rest.language.query import Query, QueryParser

RELAXED = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

# Writing a tree as a query string


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written_field(field: Field) -> str:
    steps = [
        ("->>" if step.as_text else "->") + (str(step.key) if isinstance(step.key, int) else quoted(step.key))
        for step in field.path
    ]
    return quoted(field.column) + "".join(steps)


def written_operation(condition: Condition, *, in_tree: bool) -> str:
    negation = "not." if condition.negated else ""
    match condition:
        case Membership():
            return f"{negation}in.({','.join(quoted(value) for value in condition.values)})"
        case Is():
            return f"{negation}is.{condition.value.upper()}"
        case Comparison():
            value = condition.value
            if condition.operator in ("like", "ilike"):
                value = value.replace("%", "*")
            quantifier = f"({condition.quantifier})" if condition.quantifier else ""
            return f"{negation}{condition.operator}{quantifier}.{quoted(value) if in_tree else value}"
    raise TypeError(condition)


def written_node(condition: Condition) -> str:
    if isinstance(condition, Logic):
        name, value = written_logic(condition)
        return name + value
    return f"{written_field(condition.field)}.{written_operation(condition, in_tree=True)}"


def written_logic(logic: Logic) -> tuple[str, str]:
    name = ("not." if logic.negated else "") + logic.operator
    return name, f"({', '.join(written_node(child) for child in logic.conditions)})"


def written_item(item: Item) -> str:
    if item.field is None:
        return "*"
    alias = "" if item.alias is None else f"{quoted(item.alias)}:"
    return alias + written_field(item.field) + (f"::{item.cast}" if item.cast else "")


def written_order(term: Order) -> str:
    nulls = {None: "", "first": ".nullsfirst", "last": ".nullslast"}[term.nulls]
    return written_field(term.field) + (".desc" if term.descending else "") + nulls


def written(query: Query) -> str:
    pairs = [("select", ",".join(map(written_item, query.items)))]
    for condition in query.where:
        if isinstance(condition, Logic):
            pairs.append(written_logic(condition))
        else:
            pairs.append((written_field(condition.field), written_operation(condition, in_tree=False)))
    if query.order:
        pairs.append(("order", ", ".join(map(written_order, query.order))))
    if query.limit is not None:
        pairs.append(("limit", str(query.limit)))
    if query.offset:
        pairs.append(("offset", str(query.offset)))
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


# Trees of any names and values

NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=6)
TRICKY = st.sampled_from(
    ["order", "or", "a.or", "not.and", 'x"y', "\\", "a,b)", "->", "count", "apikey", "*"]
)
STEPS = st.builds(Step, NAMES | TRICKY | st.integers(-99, 99), st.booleans())
ANY_FIELDS = st.builds(Field, NAMES | TRICKY, st.lists(STEPS, max_size=3).map(tuple))
ANY_VALUES = st.text(
    st.characters(exclude_characters="\x00*", exclude_categories=["Cs"]), max_size=8
) | st.sampled_from(["(a,b)", "{a,b}", 'x".y', "\\", "not.eq.1", "1,2)", " "])
ANY_LEAVES = st.one_of(
    st.builds(
        Comparison,
        ANY_FIELDS,
        st.sampled_from(["eq", "gt", "like", "match"]),
        ANY_VALUES,
        st.booleans(),
        st.sampled_from([None, "any", "all"]),
    ),
    st.builds(Comparison, ANY_FIELDS, st.sampled_from(["neq", "isdistinct"]), ANY_VALUES, st.booleans()),
    st.builds(
        Membership,
        ANY_FIELDS,
        # A list of one empty text is PostgREST's empty list.
        st.lists(ANY_VALUES, max_size=3).map(tuple).filter(lambda values: values != ("",)),
        st.booleans(),
    ),
    st.builds(
        Is, ANY_FIELDS, st.sampled_from(["null", "not_null", "true", "false", "unknown"]), st.booleans()
    ),
)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return conditions over `leaves`, alone or nested in logic."""
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            Logic,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        max_leaves=6,
    )


ANY_QUERIES = st.builds(
    Query,
    st.lists(
        st.builds(Item, ANY_FIELDS, st.none() | NAMES, st.none() | st.sampled_from(["text", "numeric"]))
        | st.just(Item()),
        min_size=1,
        max_size=3,
    ).map(tuple),
    st.lists(trees(ANY_LEAVES), max_size=3).map(tuple),
    st.lists(
        st.builds(Order, ANY_FIELDS, st.booleans(), st.sampled_from([None, "first", "last"])), max_size=3
    ).map(tuple),
    st.none() | st.integers(-5, 10**9),
    st.integers(0, 10**9),
)


@RELAXED
@given(ANY_QUERIES)
def test_a_query_parses_into_the_tree_it_was_written_from(query: Query) -> None:
    assert QueryParser().parse(written(query)).query == query


# A table, and what a model of it says

TEXTS = (
    None,
    "",
    "a",
    "A",
    "ab",
    "aB",
    "a%b",
    "a_b",
    "a\\b",
    'a"b',
    "a,b",
    "(x)",
    "{a}",
    "É",
    "éa",
    "null",
    " a ",
)
NUMBERS = (None, -2, 0, 7, 2**31 - 1)
AMOUNTS = (None, "-1.50", "0.00", "9.99", "10.00", "1234567890.12")
TRUTHS = (None, True, False)
DATES = (None, "1999-12-31", "2024-02-29", "infinity")
ROWS = [
    {
        "id": number,
        "n": NUMBERS[number % 5],
        "x": AMOUNTS[number % 6],
        "t": TEXTS[number % 17],
        "b": TRUTHS[number % 3],
        "d": DATES[number % 4],
    }
    for number in range(1, 69)
]
READ: dict[str, Any] = {
    "id": int,
    "n": int,
    "x": Decimal,
    "t": str,
    "b": {"true": True, "f": False, "no": False, "1": True}.__getitem__,
    "d": str,
}
LITERALS = {
    "id": ["1", "33", "67", "99"],
    "n": ["-2", " 0", "7", "+7", "8", "2147483647"],
    "x": ["-1.5", "0", "9.990", "1e1", "1234567890.12", "1234567890.121"],
    "t": [text for text in TEXTS if text is not None] + ["b", "Z"],
    "b": ["true", "f", "no", "1"],
    "d": ["1999-12-31", "2024-02-29", "infinity", "-infinity"],
}
PATTERNS = ["%", "_", "a%", "%b", "A_b", r"a\%b", r"%\_%", "É%", "é_", "", "a\\\\b", "%a%", "%É%", "{%"]
COLUMNS = st.sampled_from(list(LITERALS))


def array(values: list[str | None]) -> str:
    return "{" + ",".join("NULL" if value is None else quoted(value) for value in values) + "}"


@st.composite
def leaves(draw: Any) -> Condition:
    column = draw(COLUMNS)
    field, negated = Field(column), draw(st.booleans())
    literals = st.sampled_from(LITERALS[column])
    kind = draw(st.sampled_from(["plain", "array", "in", "is", "like"]))
    if kind == "is":
        words = ["null", "not_null", *(["true", "false", "unknown"] if column == "b" else [])]
        return Is(field, draw(st.sampled_from(words)), negated)
    if kind == "in":
        values = tuple(draw(st.lists(literals, max_size=4)))
        return Membership(field, () if values == ("",) else values, negated)
    if kind == "array":
        operator = draw(st.sampled_from(["eq", "gt", "lte"]))
        several = array(draw(st.lists(st.none() | literals, max_size=3)))
        return Comparison(field, operator, several, negated, draw(st.sampled_from(["any", "all"])))
    if kind == "like":
        operator = draw(st.sampled_from(["like", "ilike"]))
        return Comparison(Field("t"), operator, draw(st.sampled_from(PATTERNS)), negated)
    operator = draw(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte", "isdistinct"]))
    return Comparison(field, operator, draw(literals), negated)


QUERIES = st.builds(
    Query,
    st.just((Item(Field("id")), Item(Field("t"), "text"))),
    st.lists(trees(leaves()), max_size=3).map(tuple),
    st.lists(
        st.builds(Order, COLUMNS.map(Field), st.booleans(), st.sampled_from([None, "first", "last"])),
        max_size=3,
    ).map(lambda terms: (*terms, Order(Field("id")))),
    st.none() | st.integers(0, 40),
    st.integers(0, 30),
)

Truth = bool | None


def some(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def every(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def value(column: str, literal: Any) -> Any:
    """Return what can be compared of a row's value or a literal."""
    if literal is None or isinstance(literal, int):
        return literal
    found = READ[column](literal)
    return {"-infinity": "", "infinity": "a"}.get(found, found) if column == "d" else found


def compared(operator: str, left: Any, right: Any) -> Truth:
    if operator == "isdistinct":
        return bool(left != right)
    if left is None or right is None:
        return None
    match operator:
        case "eq":
            return bool(left == right)
        case "neq":
            return bool(left != right)
        case "gt":
            return bool(left > right)
        case "gte":
            return bool(left >= right)
        case "lt":
            return bool(left < right)
        case "lte":
            return bool(left <= right)
    if operator == "ilike":
        left, right = left.lower(), right.lower()
    pattern = re.sub(r"\\(.)|([%_])|(.)", _of_pattern, right, flags=re.DOTALL)
    return re.fullmatch(pattern, left, flags=re.DOTALL) is not None


def _of_pattern(part: re.Match[str]) -> str:
    return {"%": ".*", "_": "."}[part[2]] if part[2] else re.escape(part[1] or part[3])


def holds(condition: Condition, row: dict[str, Any]) -> Truth:
    truth = _holds(condition, row)
    return None if truth is None else truth is not condition.negated


def _holds(condition: Condition, row: dict[str, Any]) -> Truth:
    if isinstance(condition, Logic):
        truths = [holds(child, row) for child in condition.conditions]
        return every(truths) if condition.operator == "and" else some(truths)
    column = condition.field.column
    left = value(column, row[column])
    match condition:
        case Is(value="null") | Is(value="unknown"):
            return left is None
        case Is(value="not_null"):
            return left is not None
        case Is(value=word):
            return left is (word == "true")
        case Membership():
            return some([compared("eq", left, value(column, right)) for right in condition.values])
        case Comparison(quantifier=None):
            right = condition.value if condition.operator.endswith("like") else value(column, condition.value)
            return compared(condition.operator, left, right)
    elements = re.findall(r'NULL|"(?:[^"\\]|\\.)*"', condition.value)
    literals = [None if found == "NULL" else re.sub(r"\\(.)", r"\1", found[1:-1]) for found in elements]
    truths = [compared(condition.operator, left, value(column, right)) for right in literals]
    return some(truths) if condition.quantifier == "any" else every(truths)


def ordered(rows: list[dict[str, Any]], terms: tuple[Order, ...]) -> list[dict[str, Any]]:
    for term in reversed(terms):
        column = term.field.column
        nulls = [row for row in rows if row[column] is None]
        others = [row for row in rows if row[column] is not None]
        others.sort(key=lambda row: value(column, row[column]), reverse=term.descending)
        first = term.nulls == "first" or (term.nulls is None and term.descending)
        rows = nulls + others if first else others + nulls
    return rows


@pytest.fixture(scope="module")
def client(rest_kernel: Any) -> Client:
    with rest_kernel.services[Database].schema_transaction() as transaction:
        transaction.script(
            "create table model (id bigint primary key, n integer, x numeric, t text, b boolean, d date)"
        )
        for row in ROWS:
            transaction.execute("insert into model values (:id, :n, :x, :t, :b, :d)", row)
    client: Client = rest_kernel.client
    return client.with_headers({"x-role": "service_role"})


@RELAXED
@given(QUERIES)
def test_a_query_finds_the_rows_that_a_model_finds(client: Client, query: Query) -> None:
    found = [row for row in ROWS if all(holds(condition, row) for condition in query.where)]
    rows = ordered(found, query.order)[query.offset :][: query.limit]
    reply = client.get("/rest/v1/model", query=written(query), headers={"prefer": "count=exact"})
    if query.offset > len(found):
        assert reply.expect(416).json()["code"] == "PGRST103"
        return
    assert reply.expect(206 if len(rows) < len(found) else 200).json() == [
        {"id": row["id"], "text": row["t"]} for row in rows
    ]
    span = f"{query.offset}-{query.offset + len(rows) - 1}" if rows else "*"
    assert reply.header("content-range") == f"{span}/{len(found)}"
