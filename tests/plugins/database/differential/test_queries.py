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
