"""Roles of several databases of one server: made by the first, shared, and dropped by the last."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from kernel.contracts.database import DatabaseError
from kernel.identity import Identity
from plugins.database.postgresql.connections import Limits
from plugins.database.postgresql.database import PostgresDatabase


@pytest.fixture
def role(postgresql_url: str) -> Iterator[str]:
    """The name of a role that nobody has made."""
    name = f"editor_{uuid.uuid4().hex[:8]}"
    yield name
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"drop role if exists {name}".encode())


@pytest.fixture
def two(make_postgresql_database: Callable[[], str], role: str) -> Iterator[list[PostgresDatabase]]:
    """Two databases on one server; they go before the role does."""
    urls = [make_postgresql_database(), make_postgresql_database()]
    databases = [_open(url) for url in urls]
    yield databases
    for database, url in zip(databases, urls, strict=True):
        database.close()
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute("select from pg_roles where rolname = %s", [role]).fetchall():
                connection.execute(f"drop owned by {role}".encode())


def _open(url: str, owner: str | None = None) -> PostgresDatabase:
    database = PostgresDatabase(url, Limits(2, 10.0, 10.0), lambda _: None, owner)
    database.prepare()
    return database


def _script(database: PostgresDatabase, sql: str) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(sql)


def _refused(database: PostgresDatabase, sql: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        _script(database, sql)
    return caught.value


def _exists(database: PostgresDatabase, role: str) -> bool:
    return bool(database.query("select 1 from pg_roles where rolname = :role", {"role": role}))


def test_the_second_database_takes_over_the_role_and_the_last_one_drops_it(two: Any, role: str) -> None:
    first, second = two
    for database in two:
        _script(database, f"create role {role}")
        assert _refused(database, f"create role {role}").sqlstate == "42710"
    _script(first, f"drop role {role}")
    assert _exists(first, role)
    _script(first, f"create role {role}; drop role if exists {role}")
    _script(second, f"drop role {role}")
    assert not _exists(first, role)
    assert _refused(first, f"drop role {role}").sqlstate == "42704"
    _script(first, f"drop role if exists {role}")


def test_a_role_that_has_rights_here_is_not_dropped(two: Any, role: str) -> None:
    first, second = two
    _script(first, f"create role {role}; create table notes (id bigint); grant select on notes to {role}")
    _script(second, f"create role {role}")
    error = _refused(first, f"drop role {role}")
    assert error.sqlstate == "2BP01"
    _script(second, f"drop role {role}")
    _script(first, f"revoke select on notes from {role}; drop role {role}")
    assert not _exists(first, role)


def test_what_is_rolled_back_takes_over_nothing(two: Any, role: str) -> None:
    first, second = two
    _script(first, f"create role {role}")
    assert _refused(second, f"create role {role}; select nothing").sqlstate == "42703"
    _script(first, f"drop role {role}")
    assert not _exists(second, role)


@pytest.mark.parametrize(
    "options", ["bypassrls", "login", "noinherit", "createdb", "password 'x'", "superuser"]
)
def test_another_role_by_that_name_is_not_taken_over(
    two: Any, postgresql_url: str, role: str, options: str
) -> None:
    """Or rights would be granted to somebody else than the migration means."""
    first, second = two
    _script(first, f"create role {role}")
    error = _refused(second, f"create role {role} with {options}")
    assert error.sqlstate == "42710"
    assert options.split()[0].removeprefix("no").removeprefix("can") in (error.detail or "")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"alter role {role} with {options}".encode())
    if not options.startswith("password"):
        assert _refused(second, f"create role {role}").sqlstate == "42710"


def test_memberships_come_with_the_role_that_is_taken_over(two: Any, role: str) -> None:
    first, second = two
    _script(first, f"create role {role}")
    _script(second, f"create role {role} in role authenticated")
    assert "authenticated" in second.catalogue.acting_as(role)


def _make_and_drop(url: str, role: str, rounds: int, ready: Any, failed: Any) -> None:
    database = _open(url)
    try:
        ready.wait(60)
        for _ in range(rounds):
            _script(
                database,
                f"create role {role}; create table notes (id bigint); grant select on notes to {role}",
            )
            _script(database, f"drop table notes; drop role {role}")
        _script(database, f"create role {role}")
    except Exception as error:
        failed.put(repr(error))
        raise
    finally:
        database.close()


def test_processes_make_and_drop_it_at_the_same_time(make_postgresql_database: Any, role: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    urls = [make_postgresql_database() for _ in range(4)]
    ready, failed = spawn.Barrier(len(urls)), spawn.Queue()
    processes = [spawn.Process(target=_make_and_drop, args=(url, role, 8, ready, failed)) for url in urls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * 4, failed.get(timeout=1)
    for number, url in enumerate(urls):
        database = _open(url)
        assert _exists(database, role)
        _script(database, f"drop role {role}")
        assert _exists(database, role) == (number < 3)
        database.close()


def test_the_runtimes_login_can_take_on_a_projects_role(make_postgresql_database: Any, role: str) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    owner, login = make_postgresql_database(), f"runtime_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"create role {login} login password 'secret' noinherit".encode())
    given = {**conninfo_to_dict(owner), "user": login, "password": "secret"}
    database = _open(make_conninfo("", **given), owner)
    try:
        _script(
            database, f"create role {role}; create table notes (id bigint); grant select on notes to {role}"
        )
        assert database.query("select * from notes", identity=Identity(role)) == []
        assert database.query("select current_user", identity=Identity(role)) == [(role,)]
    finally:
        database.close()
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(f"drop owned by {login}, {role}; drop role {login}".encode())
