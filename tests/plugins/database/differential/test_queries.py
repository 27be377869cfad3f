"""Statements written by hand, a file to a subject: SQLite answers each as PostgreSQL does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugins.database import parser

HERE = Path(__file__).parent
FILES = sorted((HERE / "queries").glob("*.sql"))


@pytest.fixture(scope="module")
def known(engines: Any) -> Any:
    """Both engines with the tables that the statements use."""
    engines.schema((HERE / "schema.sql").read_text())
    return engines


@pytest.mark.parametrize("count", [1664, 1665])
def test_a_row_has_as_many_columns_as_postgresql_allows(known: Any, count: int) -> None:
    ((ours, theirs),) = known.outcomes(f"select {', '.join(['1'] * count)}")
    assert ours.agrees(theirs), (ours, theirs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sqlite_answers_as_postgresql_does(known: Any, path: Path) -> None:
    different = []
    for statement in parser.split(path.read_text()):
        ((ours, theirs),) = known.outcomes(statement)
        if "order by" not in statement.rpartition(")")[2]:
            ours, theirs = ours.sorted(), theirs.sorted()
        if not ours.agrees(theirs):
            different.append(f"{statement}\n  SQLite:     {ours}\n  PostgreSQL: {theirs}")
    assert not different, "\n".join(different)


@pytest.mark.parametrize(
    "statement",
    [
        "select to_jsonb(:x)",
        "select jsonb_build_object('a', :x)",
        "select jsonb_build_array(:x, 1)",
        "select jsonb_build_object('a', :x::int)",
        "select row(:x, 1)",
        "select pg_typeof(:x)",
        "select concat(:x, 1)",
        "select format('%s', :x)",
        "select jsonb_object_agg(:x, 1)",
        "select sum(:x)",
        "select max(:x), coalesce(:x, 'a'), greatest(:x, 'a'), 'a' || :x, array[:x]",
        "select id from t where id = :x and (:x is null or id > 0)",
    ],
)
def test_a_parameter_without_a_type_is_taken_where_postgresql_takes_it(known: Any, statement: str) -> None:
    ((ours, theirs),) = known.outcomes(statement, params={"x": "5"})
    assert ours.agrees(theirs), (ours, theirs)
