"""Policies and views follow when what they read gets another name, as PostgreSQL has them do."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.identity import Identity

ANN = Identity("authenticated", "11111111-1111-1111-1111-111111111111", {"team": 1})

SCHEMA = """
drop schema if exists other cascade;
drop table if exists labels, notes, teams, entries, groups cascade;
create schema other;
grant usage on schema other to authenticated;
create table teams (id int primary key, name text, open boolean default true);
create table labels (team int, label text);
grant select on labels to authenticated;
create table notes (id int primary key, team int references teams, owner uuid, "Odd name" text default 'x');
alter table notes enable row level security;
alter table teams enable row level security;
create policy teams_own on teams using (teams.id = (auth.jwt() ->> 'team')::int);
create policy notes_own on notes using (
    notes.owner = auth.uid() or exists (select 1 from teams where teams.id = notes.team and open)
    or team in (select t.id from teams t join labels on labels.team = t.id where "Odd name" = labels.label)
) with check (owner is null or owner = auth.uid() or team = any (array(select q.id from (select id from teams) q)));
grant all on notes, teams to authenticated;
create view open_notes with (security_invoker = true) as
    select n.id, n.owner, notes_of_team.name from notes n join teams as notes_of_team on n.team = notes_of_team.id;
create view own_notes with (security_invoker = true) as select id, team, "Odd name" from notes where owner is null;
grant all on open_notes, own_notes to authenticated;
insert into labels values (2, 'x');
insert into teams values (1, 'one'), (2, 'two');
insert into notes values (1, 1, null), (2, 2, null), (3, 2, '11111111-1111-1111-1111-111111111111');
"""

RENAMES = [
    "alter table notes rename column owner to author",
    "alter table notes rename column team to team_id",
    'alter table notes rename column "Odd name" to "Odder name"',
    'alter table teams rename column id to "number"',
    "alter table teams rename column open to is_open",
    "alter table notes rename to entries",
    "alter table teams rename to groups",
    "alter table teams set schema other",
    "alter table notes set schema other",
]


def seen(database: Any) -> list[object]:
    names = {name: schema for schema, name in database.catalogue.tables}
    notes = "entries" if "entries" in names else "notes"
    teams = "groups" if "groups" in names else "teams"
    found: list[object] = []
    for name in (notes, teams, "open_notes", "own_notes"):
        full = f"{names[name]}.{name}"
        found.append(sorted(database.query(f"select * from {full}", identity=ANN), key=repr))
    with database.transaction(ANN) as transaction:
        full = f"{names[notes]}.{notes}"
        found.append(sorted(transaction.query(f"update {full} set id = id + 10 returning id")))
        found.append(sorted(transaction.query("update own_notes set id = id + 10 returning id, team")))
    return found


@pytest.mark.parametrize("rename", RENAMES)
def test_the_same_rows_are_seen_under_another_name(engines: Any, rename: str) -> None:
    results = []
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA)
        before = seen(database)
        with database.schema_transaction() as transaction:
            transaction.script(
                "update notes set id = id - 10 where id > 10; update notes set id = id - 10 where id > 10"
            )
            transaction.query(rename)
        results.append((before, seen(database)))
    sqlite, postgresql = results
    assert sqlite == postgresql
    assert sqlite[0] == sqlite[1]


def test_all_of_them_one_after_the_other(engines: Any) -> None:
    results = []
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA)
            for rename in RENAMES[:7]:
                transaction.query(rename.replace("table notes set", "table entries set"))
        results.append(seen(database))
    assert results[0] == results[1]
    assert results[0][0]


def test_the_name_of_a_joins_column_is_refused_with_its_policy(engines: Any) -> None:
    sqlite, _ = engines
    with sqlite.schema_transaction() as transaction:
        transaction.script(SCHEMA)
        transaction.query(
            "create policy joined on teams using (exists (select 1 from notes join teams t using (id)))"
        )
    with (
        pytest.raises(Exception, match='the policy "joined" on teams') as raised,
        sqlite.schema_transaction() as transaction,
    ):
        transaction.query("alter table notes rename column id to key")
    assert getattr(raised.value, "sqlstate", None) == "0A000"
