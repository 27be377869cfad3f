"""Many databases of one server that are prepared at once: the roles that they make belong to them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kernel import Kernel
from kernel.config import Config
from plugins.database import DatabasePlugin
from plugins.database.postgresql.connections import Limits
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.migrations import MigrationsPlugin

LIMITS = Limits(connections=2, statement_timeout=30.0, lock_timeout=20.0)


@pytest.fixture
def names(server: Any) -> Iterator[list[str]]:
    """Eight databases of a server that knows no role of ours, but the one that is logged in by."""

    def forget() -> None:
        roles = "anon, authenticated, service_role, runtime, one, two"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for (name,) in connection.execute("select datname from pg_database where datname ~ '^kernel_'"):
                connection.execute(f"drop database {name} with (force)".encode())
            connection.execute(f"drop role if exists {roles}".encode())

    forget()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("create role runtime login")
    yield [server.make() for _ in range(8)]
    forget()


def test_all_of_them_get_ready(server: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    together, command = threading.Barrier(len(names)), Session.command
    begun: set[int] = set()

    def at_once(session: Session, sql: bytes) -> None:
        if b"grant anon, authenticated" in sql and threading.get_ident() not in begun:
            begun.add(threading.get_ident())
            together.wait(30)
        command(session, sql)

    monkeypatch.setattr(Session, "command", at_once)

    def prepare(name: str) -> bool:
        login = server.url(name, user="runtime")
        database = PostgresDatabase(login, LIMITS, lambda _: None, server.url(name))
        try:
            database.prepare()
            with database.transaction() as transaction:
                return transaction.query("select current_user") == [("service_role",)]
        finally:
            database.close()

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(prepare, names)) == [True] * len(names)
    assert len(begun) == len(names)


def test_one_that_cannot_get_ready_says_so_in_the_end(
    server: Any, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, tried = Session.command, []

    def deadlocked(session: Session, sql: bytes) -> None:
        if b"create role" in sql:
            tried.append(sql)
            sql = b"do $$ begin raise exception 'deadlock detected' using errcode = '40P01'; end $$"
        command(session, sql)

    monkeypatch.setattr(Session, "command", deadlocked)
    database = PostgresDatabase(server.url(names[0]), LIMITS, lambda _: None)
    with pytest.raises(Exception, match="deadlock detected"):
        database.prepare()
    database.close()
    assert len(tried) == 10


def test_migrations_that_make_the_same_roles_in_another_order_meet_no_deadlock_in_the_end(
    server: Any, names: list[str], tmp_path: Path
) -> None:
    """Whose transaction the server ends begins it again."""
    kernels = []
    for name, order in zip(names[:2], (("one", "two"), ("two", "one")), strict=True):
        project = tmp_path / name
        (project / "migrations").mkdir(parents=True)
        first, second = order
        (project / "migrations" / "1_roles.sql").write_text(
            f"create role {first}; select pg_sleep(0.5); create role {second}; create table t (n int);"
        )
        settings = {"kernel": {"data": "data"}, "database": {"url": server.url(name)}}
        kernels.append(
            Kernel(Config(settings, project=project), plugins=[DatabasePlugin, MigrationsPlugin], role="test")
        )
        kernels[-1].register()

    def prepare(kernel: Kernel) -> None:
        kernel.prepare()
        kernel.stop()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(prepare, kernels))
    for name in names[:2]:
        with psycopg.connect(server.url(name)) as connection:
            assert connection.execute("select count(*) from kernel.migrations").fetchone() == (1,)
            assert connection.execute("select count(*) from t").fetchone() == (0,)
