"""Parse errors name the place and what was expected there, in PostgREST's own words."""

from __future__ import annotations

import pytest

from plugins.rest.errors import RestError
from plugins.rest.language.filters import MAX_DEPTH
from plugins.rest.language.query import QueryParser

FIELD = "field name (* or [a..z0..9_$])"
AFTER_NAME = 'letter, digit, "-", "->>", "->"'


@pytest.mark.parametrize(
    ("text", "what", "column", "details"),
    [
        (
            "or=()",
            "logic tree (())",
            4,
            f'")" expecting {FIELD}, negation operator (not) or logic operator (and, or)',
        ),
        ("or=(id.in.1,2)", "logic tree ((id.in.1,2))", 10, '"1" expecting "("'),
        ("or=)(", "logic tree ()()", 3, '")" expecting "("'),
        ("or=(a.eq.1", "logic tree ((a.eq.1)", 10, 'end of input expecting "," or ")"'),
        ("order=id.asc.nullslasttt", "order (id.asc.nullslasttt)", 17, "'t' expecting \",\" or end of input"),
        ("order=id.descc", "order (id.descc)", 8, "'c' expecting delimiter (.), \",\" or end of input"),
        ("order=id.ac", "order (id.ac)", 4, '"c" expecting "asc", "desc", "nullsfirst" or "nullslast"'),
        ("order=id.asc.x", "order (id.asc.x)", 8, '"x" expecting "nullsfirst" or "nullslast"'),
        ("id=0", "filter (0)", 1, '"0" expecting "not" or operator (eq, gt, ...)'),
        ("id=noop.0", "filter (noop.0)", 1, '"o" expecting "not" or operator (eq, gt, ...)'),
        ("id=not", "filter (not)", 4, "end of input expecting delimiter (.)"),
        ("id=notx.eq", "filter (notx.eq)", 4, '"x" expecting delimiter (.)'),
        ("id=n", "filter (n)", 1, 'end of input expecting "not" or operator (eq, gt, ...)'),
        ("id=", "filter ()", 1, 'end of input expecting "not" or operator (eq, gt, ...)'),
        ("id=is.x", "filter (is.x)", 4, '"x" expecting isVal: (null, not_null, true, false, unknown)'),
        ("id=eq().x", "filter (eq().x)", 4, '")" expecting operator (eq, gt, ...)'),
        ("id=fts().x", "filter (fts().x)", 5, '")" expecting operator (eq, gt, ...)'),
        ("id=is().x", "filter (is().x)", 3, '"(" expecting operator (eq, gt, ...)'),
        ("id=in().x", "filter (in().x)", 3, '"(" expecting operator (eq, gt, ...)'),
        ("id=likes.x", "filter (likes.x)", 5, '"s" expecting operator (eq, gt, ...)'),
        ("id=cs(any).x", "filter (cs(any).x)", 3, '"(" expecting operator (eq, gt, ...)'),
        (
            "select=id,clients(name[])",
            "select parameter (id,clients(name[]))",
            16,
            f'\'[\' expecting {AFTER_NAME}, "::", ".", ")", "," or end of input',
        ),
        ("select=*!x", "select parameter (*!x)", 2, '\'!\' expecting ")", "," or end of input'),
        (
            "select=a(id",
            "select parameter (a(id)",
            5,
            f'end of input expecting {AFTER_NAME}, "::", ".", ")" or ","',
        ),
        (
            "order=clients(name,id)",
            "order (clients(name,id))",
            8,
            f"'(' expecting {AFTER_NAME}, delimiter (.), \",\" or end of input",
        ),
        ("select=:", "select parameter (:)", 1, f'":" expecting "...", {FIELD}, "*" or "count()"'),
        ("select=a:", "select parameter (a:)", 3, f"end of input expecting {FIELD}"),
        (
            "select=a,b(c,)",
            "select parameter (a,b(c,))",
            7,
            f'")" expecting "...", {FIELD}, "*" or "count()"',
        ),
        (
            "select=a.med()",
            "select parameter (a.med())",
            3,
            '"m" expecting "sum", "avg", "count", "max" or "min"',
        ),
        ("select=a.sum", "select parameter (a.sum)", 6, 'end of input expecting "()"'),
        (
            "select=a!b",
            "select parameter (a!b)",
            2,
            f'\'!\' expecting {AFTER_NAME}, "::", ".", ")", "," or end of input',
        ),
        ("select=a::", "select parameter (a::)", 4, "end of input expecting letter or digit"),
        ("select=d->>--34", "select parameter (d->>--34)", 6, '"-" expecting digit'),
        (
            "select=d->(x",
            "select parameter (d->(x)",
            4,
            '"(" expecting "-", digit or any non reserved character different from: .,>()',
        ),
        ("columns=a,,b", "columns parameter (a,,b)", 3, f'"," expecting {FIELD}'),
    ],
)
def test_message(text: str, what: str, column: int, details: str) -> None:
    with pytest.raises(RestError) as caught:
        QueryParser().parse(text)
    error = caught.value
    assert (error.status, error.code) == (400, "PGRST100")
    assert error.message == f'"failed to parse {what}" (line 1, column {column})'
    assert error.details == f"unexpected {details}"


def test_positions_count_lines() -> None:
    with pytest.raises(RestError, match=r"\(line 2, column 3\)"):
        QueryParser().parse('select="a%0Ab"!')


@pytest.mark.parametrize("text", ['columns="a"b', 'select="a"b', "order=a)", '"a"b=eq.1', "id=in.(1)x"])
def test_what_follows_a_complete_value_is_an_error_too(text: str) -> None:
    with pytest.raises(RestError, match="failed to parse"):
        QueryParser().parse(text)


def test_but_behind_a_logic_tree_it_is_ignored() -> None:
    assert QueryParser().parse("or=(a.eq.1))x").query == QueryParser().parse("or=(a.eq.1)").query


def test_deep_trees_are_refused_not_recursed_into() -> None:
    deepest = "and(" * (MAX_DEPTH - 1) + "a.eq.1" + ")" * (MAX_DEPTH - 1)
    assert QueryParser().parse(f"or=({deepest})").query.where
    for depth in (MAX_DEPTH, 10_000, 200_000):
        with pytest.raises(RestError, match=f"at most {MAX_DEPTH} deep"):
            QueryParser().parse(f"or=({'and(' * depth}a.eq.1{')' * depth})")
