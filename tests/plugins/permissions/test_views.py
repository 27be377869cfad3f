"""Writing through a view takes rights on the view, and its reader's below it only where it is a security_invoker."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from kernel.identity import Identity

ANN = Identity("authenticated", "11111111-1111-1111-1111-111111111111", {"team": 1})

SCHEMA = """
drop table if exists notes cascade;
create table notes (id int primary key, team int not null, body text default 'empty', secret text);
alter table notes enable row level security;
create policy own on notes using (team = (auth.jwt() ->> 'team')::int);
grant select (id, team, body), insert (id, team), update (body), delete on notes to authenticated;
create view owned as select id, team, body, secret from notes;
create view invoked with (security_invoker = true) as select id, team, body, secret from notes;
create view over_invoked as select id, team, body from invoked;
create view invoked_over_owned with (security_invoker = true) as select id, team, body from owned;
insert into notes values (1, 1, 'mine', 's'), (2, 2, 'theirs', 's');
"""

STATEMENTS = [
    "insert into owned (id, team) values (3, 2)",
    "insert into owned (id, team) values (3, 1) returning id, body",
    "update owned set secret = 'x' returning id",
    "delete from owned where id = 2 returning id",
    "insert into invoked (id, team) values (3, 1)",
    "insert into invoked (id, team) values (3, 1) returning id, body",
    "insert into invoked (id, team) values (3, 1) returning secret",
    "insert into invoked (id, team) values (3, 2)",
    "insert into invoked (id, team, secret) values (3, 1, 'x')",
    "update invoked set body = 'x' returning id",
    "update invoked set body = secret",
    "update invoked set team = 2",
    "update invoked set body = 'x' where secret = 's'",
    "delete from invoked returning id",
    "delete from invoked where body = 'theirs' returning id",
    "insert into invoked (id, team) values (1, 1) on conflict (id) do update set body = 'again' returning body",
    "insert into invoked (id, team) values (2, 1) on conflict (id) do update set body = 'again' returning body",
    "insert into over_invoked (id, team) values (3, 2)",
    "update over_invoked set body = 'x' returning id",
    "update over_invoked set team = 1 where id = 1",
    "update invoked_over_owned set body = 'x' returning id",
    "delete from invoked_over_owned returning id",
]
ALL = "grant all on owned, invoked, over_invoked, invoked_over_owned to authenticated"
SOME = "grant select (id), update (id), insert (id, team) on owned, invoked, over_invoked to authenticated"


def outcome(database: Any, statement: str) -> object:
    class Undone(Exception):
        pass

    try:
        with database.transaction(ANN) as transaction:
            rows = transaction.query(statement)
            raise Undone
    except Undone:
        return sorted(rows)
    except DatabaseError as error:
        return error.sqlstate, error.message


@pytest.mark.parametrize("grants", ["", ALL, SOME], ids=["nothing", "all", "columns"])
def test_both_engines_let_the_same_writes_through(engines: Any, grants: str) -> None:
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(f"{SCHEMA}{grants}")
    sqlite, postgresql = ([outcome(database, one) for one in STATEMENTS] for database in engines)
    differing = [
        (statement, one, other)
        for statement, one, other in zip(STATEMENTS, sqlite, postgresql, strict=True)
        if one != other
    ]
    assert not differing, "\n".join(map(str, differing))
    assert any(isinstance(one, list) for one in sqlite) == bool(grants)


STARS = """
drop table if exists notes cascade;
create table notes (id int primary key, team int, "Odd name" text);
create view plain with (security_invoker = on) as select * from notes;
create view joined with (security_invoker = on) as
    select n.*, o.* from notes n join (select id as other, team as side from notes) as o on o.other = n.id;
create view inside with (security_invoker = on) as with q as (select * from notes) select q.* from q;
create view over with (security_invoker = on) as select * from plain;
create view whole with (security_invoker = on) as with "table" as (table only notes) table "table";
grant all on notes, plain, joined, inside, over, whole to authenticated;
insert into notes values (1, 2, 'x');
alter table notes add column later int default 5;
alter table notes rename column team to team_id;
"""


def test_a_star_stands_for_the_columns_that_were_there(engines: Any) -> None:
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(STARS)
    for name in ("plain", "joined", "inside", "over", "whole"):
        sqlite, postgresql = (database.query(f"select * from {name}", identity=ANN) for database in engines)
        assert sqlite == postgresql == [(1, 2, "x") if name != "joined" else (1, 2, "x", 1, 2)]
