"""Files whose statements run outside a transaction; and rehearsals by logins that may do little."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kernel.contracts.database import Database
from plugins.migrations.errors import MigrationError

NOTES = "-- up\ncreate table notes (id int primary key, n int);\n-- down\ndrop table notes;\n"
INDEX = (
    "-- no-transaction\n-- up\ncreate index concurrently notes_n on notes (n);\n"
    "-- down\ndrop index concurrently notes_n;\n"
)
postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def indexes(project: Any) -> set[str]:
    kernel = project.kernel()
    kernel.register()
    return {index.name for index in kernel.services[Database].catalogue.tables["public", "notes"].indexes}


def execute(project: Any, sql: str) -> None:
    kernel = project.kernel()
    kernel.register()
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(sql)
    kernel.stop()


def test_an_index_is_made_concurrently_and_undone_so_too(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_index.sql", INDEX)

    project.migrate("up")
    assert indexes(project) == {"notes_pkey", "notes_n"}

    assert project.does("down") == ["undone 2_index of (project)"]
    assert indexes(project) == {"notes_pkey"}
    assert project.does("up") == ["applied 2_index of (project)"]


def test_it_is_rehearsed_as_it_is_run(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_index.sql", INDEX)

    result = project.migrate("verify")

    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)[0]["migrations"][1]["again"] == "ok"


@postgresql
def test_without_the_directive_the_server_refuses_it(project: Any) -> None:
    project.write(
        "1_notes.sql", NOTES + INDEX.replace("-- no-transaction\n-- up\n", "").partition("-- down")[0]
    )
    project.write("1_notes.sql", "create table notes (n int); create index concurrently on notes (n);")

    with pytest.raises(MigrationError, match="25001"):
        project.boot()


@postgresql
def test_statements_before_the_one_that_fails_stay_and_the_file_counts_as_pending(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    path = project.write(
        "2_unique.sql",
        "-- no-transaction\ncreate index concurrently if not exists notes_n on notes (n);\n"
        "create unique index concurrently notes_unique on notes (n);\n",
    )
    execute(project, NOTES.partition("-- down")[0] + "insert into notes values (1, 7), (2, 7);")
    (project.folder / "migrations" / "1_notes.sql").write_text("-- the table is there\n")

    with pytest.raises(MigrationError) as caught:
        project.boot()

    message = str(caught.value)
    assert f"{path}, line 3" in message
    assert "23505" in message
    assert "runs outside a transaction, so the statements before this one stay" in message
    assert "notes_n" in indexes(project)
    execute(project, "delete from notes where id = 2; drop index notes_unique;")
    assert "notes_unique" in {
        index.name for index in project.boot().catalogue.tables["public", "notes"].indexes
    }


@postgresql
def test_a_plan_says_that_it_runs_outside_a_transaction(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write("2_index.sql", INDEX)

    (planned,) = json.loads(project.migrate("plan").stdout)

    assert planned["transaction"] is False
    assert planned["steps"][0]["locks"][0]["mode"] == "share update exclusive"


@pytest.fixture
def poor(postgresql_server: str, make_postgresql_database: Callable[[], str]) -> Iterator[str]:
    """The URL of a database for the login that owns it, which may make neither databases nor roles."""
    import psycopg

    url, name = make_postgresql_database(), f"kernel_poor_{uuid.uuid4().hex[:12]}"
    database = url.removeprefix("postgresql:///").partition("?")[0]
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"create role {name} login password '{name}'".encode())
        server.execute(f"alter database {database} owner to {name}".encode())
        yield re.sub(r"&?(user|password)=[^&]*", "", url).replace("?&", "?") + f"&user={name}&password={name}"
        server.execute(f"alter database {database} owner to current_user".encode())
        with psycopg.connect(url, autocommit=True) as inside:
            inside.execute(f"reassign owned by {name} to current_user; drop owned by {name}".encode())
        server.execute(f"drop role {name}".encode())


@postgresql
def test_a_login_that_may_not_make_databases_rehearses_in_a_transaction(project: Any, poor: str) -> None:
    project.url = poor
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    execute(project, "insert into notes values (1, 1);")
    project.write("2_n.sql", "-- up\nalter table notes drop n;\n-- down\nalter table notes add n int;\n")

    result = project.migrate("verify", "--all")

    rehearsal, copy = json.loads(result.stdout)
    assert copy["not_tried"] == "the login may not make a database; let it: alter role ... createdb"
    assert rehearsal["where"] == "the database itself, in a transaction that is rolled back"
    assert rehearsal["problems"] == []
    assert [one["again"] for one in rehearsal["migrations"]] == ["ok", "ok"]
    assert project.boot().query("select count(*) from notes") == [(1,)]


@postgresql
def test_a_login_that_owns_nothing_leaves_it_to_the_owners(
    project: Any, postgresql_server: str, make_postgresql_database: Callable[[], str]
) -> None:
    import psycopg

    owner, name = make_postgresql_database(), f"kernel_runtime_{uuid.uuid4().hex[:12]}"
    project.settings = {"owner_url": owner}
    project.url = (
        re.sub(r"&?(user|password)=[^&]*", "", owner).replace("?&", "?") + f"&user={name}&password={name}"
    )
    project.write("1_notes.sql", NOTES)
    project.write("2_index.sql", INDEX)
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"create role {name} login password '{name}'".encode())
        try:
            project.migrate("up")
            result = project.migrate("verify", "--all")
            assert project.migrate("down", "--to", "0").exit_code == 0
        finally:
            server.execute(f"drop role {name}".encode())

    (rehearsal,) = json.loads(result.stdout)
    assert rehearsal["where"] == "a database of its own"
    assert rehearsal["problems"] == []
    assert [one["again"] for one in rehearsal["migrations"]] == ["ok", "ok"]


@postgresql
def test_there_it_cannot_see_locks_nor_run_outside_a_transaction(project: Any, poor: str) -> None:
    project.url = poor
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write("2_m.sql", "alter table notes add m int;")

    (planned,) = json.loads(project.migrate("plan").stdout)
    assert planned["steps"][0]["locks"] is None

    project.write("3_index.sql", INDEX)
    with pytest.raises(MigrationError, match=r"3_index\.sql.*Let it: alter role \.\.\. createdb"):
        project.migrate("plan")


@postgresql
def test_roles_are_the_servers_and_left_alone_by_a_rehearsal(project: Any, postgresql_server: str) -> None:
    import psycopg

    there, new = (f"kernel_role_{uuid.uuid4().hex[:12]}" for _ in range(2))
    project.write("1_notes.sql", NOTES)
    project.write(
        "2_roles.sql",
        f"-- up\ncreate role {there};\ncreate role {new};\nalter role {there} createdb;\n"
        f"grant select on notes to {there}, {new};\n"
        f"-- down\nrevoke all on notes from {there}, {new};\ndrop role {there};\ndrop role {new};\n",
    )
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"create role {there}".encode())
        try:
            result = project.migrate("verify")
            roles = server.execute(
                "select rolname, rolcreatedb from pg_roles where rolname in (%s, %s)", (there, new)
            ).fetchall()
        finally:
            server.execute(f"drop role if exists {there}".encode())
            server.execute(f"drop role if exists {new}".encode())

    assert roles == [(there, False)]
    assert json.loads(result.stdout)[0]["migrations"][1]["up"] == "ok"


@postgresql
def test_nothing_is_left_of_the_database_that_was_made(
    project: Any, postgresql_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from plugins.database.schema_work import postgresql as tested

    given: list[uuid.UUID] = []
    original = uuid.uuid4
    monkeypatch.setattr(tested.uuid, "uuid4", lambda: given.append(original()) or given[-1])
    project.write("1_bad.sql", "create table a (id int primary key); insert into nowhere values (1);")

    assert project.migrate("verify").exit_code == 1

    names = [f"kernel_scratch_{one.hex}" for one in given]
    assert names
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        assert (
            server.execute("select datname from pg_database where datname = any(%s)", [names]).fetchall()
            == []
        )
