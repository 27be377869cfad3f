"""What a statement does not need takes no rights, on SQLite as on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from kernel.identity import Identity

TABLES = """
drop table if exists open_rows, secrets;
create table secrets (id int, v int); create table open_rows (id int, v int);
insert into secrets values (1, 1); insert into open_rows values (1, 1), (2, null);
grant select, update on open_rows to anon;
"""

STATEMENTS = """
select id from open_rows where true or exists (select 1 from secrets)
select id from open_rows where exists (select 1 from secrets) or id = 5 or true
select id from open_rows where false and exists (select 1 from secrets)
select id from open_rows where false and (select count(*) from secrets) > 0
select id from open_rows where false and exists (select 1 from secrets where secrets.id = open_rows.id)
select id from open_rows where false and not exists (select 1 from secrets where secrets.id = open_rows.id)
select id from open_rows where (false and exists (select 1 from secrets)) or id = 1
select id from open_rows where 1 = 2 and id in (select id from secrets)
select id from open_rows where 1 = 2 and id not in (select id from secrets)
select id from open_rows where null and id not in (select id from secrets)
select (null and (select count(*) from secrets) > 0) from open_rows
select id from open_rows where not (true or exists (select 1 from secrets))
select id from open_rows where 'a' = 'a' or exists (select 1 from secrets)
select id from open_rows where 'a' <> 'a' or exists (select 1 from secrets)
select id from open_rows where 2 > 1 or exists (select 1 from secrets)
select id from open_rows where null is null or exists (select 1 from secrets)
select id from open_rows where now() is not null or exists (select 1 from secrets)
select id from open_rows where id = id or exists (select 1 from secrets)
select id from open_rows where true and exists (select 1 from secrets)
select (true or exists (select 1 from secrets))::text from open_rows
select id from open_rows where exists (select 1 from open_rows where true or exists (select 1 from secrets))
select open_rows.id from open_rows join open_rows o on true or exists (select 1 from secrets)
select id from open_rows order by (true or exists (select 1 from secrets)), id
select id from open_rows group by id having true or exists (select 1 from secrets)
with x as (select id from secrets) select id from open_rows
with x as (select id from secrets) select id from open_rows where true or exists (select 1 from x)
with x as (select id from secrets), y as (select id from x) select id from open_rows
with x as (select id from secrets) select id from x where false
select id from secrets where false
select id from (select id from secrets) x where false
update open_rows set v = 2 where true or exists (select 1 from secrets)
update open_rows set v = 2 where exists (select 1 from secrets)
""".strip().splitlines()


@pytest.fixture(scope="module", autouse=True)
def tables(engines: Any) -> Iterator[None]:
    """Make one table that the caller may read, and one that it may not."""
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(TABLES)
    yield
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script("drop table open_rows, secrets")


def outcome(database: Any, statement: str) -> Any:
    try:
        with database.transaction(Identity("anon")) as transaction:
            return sorted(map(repr, transaction.query(statement)))
    except DatabaseError as error:
        return error.sqlstate, error.message


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_a_constant_decides_takes_no_rights(engines: Any, statement: str) -> None:
    ours, theirs = (outcome(database, statement) for database in engines)
    assert ours == theirs
