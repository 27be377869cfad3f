"""ALTER TABLE: random sequences of alterations leave PostgreSQL's catalogue and rows, or PostgreSQL's refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from kernel.events import Event
from plugins.database.postgresql import connections
from plugins.database.postgresql.database import PostgresDatabase

SETUP = """
create schema s;
create table t (id int primary key, a int, b text, c numeric(8,2) check (c > 0));
insert into t values (1, 1, 'one', 1.5), (2, 2, '22', 2.25), (3, null, null, null);
create table u (id int primary key, t_id int references t, a text default 'x', unique (t_id, a));
insert into u values (1, 1), (2, 2), (3, null);
create view v as select id, b from t;
create index b_index on t (lower(b)) where a > 0;
"""
TABLES = st.sampled_from(["t", "t", "t", "u", "s.t", "w"])
COLUMNS = st.sampled_from(["id", "a", "b", "c", "d", "t_id"])
TYPES = st.sampled_from(["int", "bigint", "text", "varchar(3)", "numeric(8,2)", "numeric", "smallint"])
NAMES = st.sampled_from(
    ["one", "two", "t_pkey", "t_c_check", "u_t_id_fkey", "u_t_id_a_key", "t_a_key", "t_d_fkey"]
)
CASCADE = st.sampled_from(["", "", " cascade"])
DEFAULTS = st.sampled_from(["5", "'7'", "null", "2 + 3"])


def clause(template: str, **strategies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.fixed_dictionaries(strategies).map(lambda values: template.format(**values))


ADDED = st.sampled_from([
    "", "", " default 5", " not null default 5", " not null", " unique", " check ({column} > 3)",
    " references t (id)", " default 1 references t (id)", " default 5 unique", " default 5 check ({column} < 5)",
    " generated always as (a) stored", " primary key",
])  # fmt: skip
CONSTRAINTS = st.sampled_from([
    "check ({column} > 1)", "check ({column} is not null)", "unique ({column})", "unique ({column}, id)",
    "primary key ({column})", "foreign key ({column}) references t (id)", "foreign key ({column}) references t",
    "foreign key ({column}) references u (id) on delete cascade", "foreign key ({column}) references t (a)",
])  # fmt: skip
CLAUSES = st.one_of(
    st.tuples(COLUMNS, TYPES, ADDED).map(
        lambda it: f"add column {it[0]} {it[1]}{it[2].format(column=it[0])}"
    ),
    clause("drop column {column}{cascade}", column=COLUMNS, cascade=CASCADE),
    clause("alter column {column} type {type}", column=COLUMNS, type=TYPES),
    clause("alter column {column} type {type} using {column}::text::{type}", column=COLUMNS, type=TYPES),
    clause("alter column {column} set default {value}", column=COLUMNS, value=DEFAULTS),
    clause("alter column {column} drop default", column=COLUMNS),
    clause("alter column {column} set not null", column=COLUMNS),
    clause("alter column {column} drop not null", column=COLUMNS),
    clause("alter column {column} drop expression if exists", column=COLUMNS),
    st.tuples(COLUMNS, CONSTRAINTS).map(lambda it: f"add {it[1].format(column=it[0])}"),
    st.tuples(NAMES, COLUMNS, CONSTRAINTS).map(
        lambda it: f"add constraint {it[0]} {it[2].format(column=it[1])}"
    ),
    clause("drop constraint {name}{cascade}", name=NAMES, cascade=CASCADE),
)
STATEMENTS = st.one_of(
    clause("alter table {table} {clause}", table=TABLES, clause=CLAUSES),
    clause("alter table {table} {clause}", table=TABLES, clause=CLAUSES),
    clause("alter table {table} {one}, {other}", table=TABLES, one=CLAUSES, other=CLAUSES),
    clause("alter table {table} rename column {one} to {other}", table=TABLES, one=COLUMNS, other=COLUMNS),
    clause("alter table {table} rename constraint {one} to {other}", table=TABLES, one=NAMES, other=NAMES),
    clause("alter table {table} rename to w", table=TABLES),
    clause("alter table {table} set schema s", table=TABLES),
    clause("alter index {one} rename to {other}", one=NAMES, other=NAMES),
    clause("create index on {table} ({column} desc)", table=TABLES, column=COLUMNS),
    clause("create index two on {table} ((lower({column}::text)), id) where {column} is not null",
           table=TABLES, column=COLUMNS),
    clause("drop table {table}{cascade}", table=TABLES, cascade=CASCADE),
    st.sampled_from([
        "create view x as select * from v", "create view x as select t.a, u.a as b from t join u on u.t_id = t.id",
        "drop view v", "drop view v cascade", "drop schema s", "drop schema s cascade",
        "insert into t (id) values (4)", "insert into u (id, t_id) values (4, 3)", "delete from t where id = 2",
    ]),
)  # fmt: skip


@pytest.fixture
def postgres(postgresql_url: str) -> Iterator[PostgresDatabase]:
    limits = connections.Limits(connections=12, statement_timeout=10.0, lock_timeout=5.0)
    database = PostgresDatabase(postgresql_url, limits, ignored)
    yield database
    database.close()


def ignored(_: Event) -> None:
    """Publish nothing."""


def outcome(database: Any, statement: str) -> str:
    try:
        with database.schema_transaction() as transaction:
            transaction.query(statement)
    except DatabaseError as error:
        return error.sqlstate
    return "done"


def agree(statement: str, ours: str, theirs: str) -> bool:
    """Two clauses may have an error each, of which either may be reported."""
    several = statement.startswith("alter table") and any(
        f", {word} " in statement for word in ("add", "drop", "alter")
    )
    return ours == theirs or (several and "done" not in (ours, theirs))


def emptied(database: PostgresDatabase) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(
            "drop schema public cascade; drop schema if exists s cascade; create schema public"
        )
        transaction.script(SETUP)


def plain(catalogue: Catalogue) -> dict[Any, Any]:
    return {
        key: {
            "kind": table.kind,
            "columns": [
                (c.name, c.type, c.nullable, default(c.default), c.generated, c.identity)
                for c in table.columns.values()
            ],
            "primary_key": table.primary_key,
            "foreign_keys": sorted(table.foreign_keys, key=lambda one: one.name),
            "indexes": sorted(table.indexes, key=lambda one: one.name),
        }
        for key, table in catalogue.tables.items()
    }


def default(text: str | None) -> str | None:
    """Take off the casts and parentheses that PostgreSQL writes; it keeps a NULL that it had to cast."""
    plain_text = re.sub(r"::[a-z ]+(\([0-9,]+\))?|[()']", "", text or "")
    return None if plain_text.lower() in ("", "null") else plain_text


def rows(database: Any) -> dict[Any, Any]:
    found = {}
    for (schema, name), table in database.catalogue.tables.items():
        listed = ", ".join(f'"{column}"' for column in table.columns)
        found[schema, name] = sorted(database.query(f'select {listed} from "{schema}"."{name}"'), key=repr)
    return found


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
    deadline=None,
)
@given(statements=st.lists(STATEMENTS, min_size=3, max_size=12))
def test_any_sequence_of_alterations_ends_alike(
    make_database: Callable[[], Any], postgres: PostgresDatabase, statements: list[str]
) -> None:
    emptied(postgres)
    embedded = make_database()
    with embedded.schema_transaction() as transaction:
        transaction.script(SETUP)
    done = []
    for statement in statements:
        done.append((statement, outcome(embedded, statement), outcome(postgres, statement)))
        assert agree(*done[-1]), done
        assert plain(embedded.catalogue) == plain(postgres.catalogue), done
    assert rows(embedded) == rows(postgres), done
    embedded.close()
