"""What the README says is refused on SQLite is refused there, by name; the README says it of all of these."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from plugins.database.parser import split

HERE = Path(__file__).parent
README = re.sub(r"\s+", " ", (HERE.parents[3] / "plugins/database/README.md").read_text())
REFUSALS: dict[str, str] = tomllib.loads((HERE / "refusals.toml").read_text())
SETUP = """
create table t (id int primary key, name text, at timestamptz, j jsonb, tags text[]);
create view v as select id, name from t;
create function f(x int) returns setof int language sql as 'select x';
"""


@pytest.mark.parametrize(("named", "script"), REFUSALS.items(), ids=REFUSALS)
def test_what_the_readme_names_is_refused(embedded: Any, named: str, script: str) -> None:
    assert named in README
    with embedded.schema_transaction() as transaction:
        transaction.script(SETUP)
    *before, last = split(script)
    with pytest.raises(DatabaseError) as caught, embedded.schema_transaction() as transaction:
        transaction.script(";".join(before))
        transaction.query(last)
    assert caught.value.sqlstate == "0A000", caught.value
    assert "SQLite" in caught.value.message


def test_the_readme_names_nothing_else_as_refused() -> None:
    """Each of its lists is what the file of statements holds."""
    lists = re.findall(r"Refused(?: for now|, by name): (.*?)\.(?: |$)(?=[A-Z#])", README)
    assert len(lists) == 2
    named = {item.strip() for text in lists for item in re.split(r", (?![^(]*\))", text)}
    assert named == set(REFUSALS)
