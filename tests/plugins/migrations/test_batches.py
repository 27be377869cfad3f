"""Random migrations, applied in random batches, give the same schema as all at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Kernel
from kernel.config import Config
from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Database
from kernel.contracts.schema import SchemaWork
from plugins.database import DatabasePlugin
from plugins.migrations import MigrationsPlugin
from plugins.migrations.differences import differences

TYPES = ("integer", "bigint", "text", "boolean", "timestamptz", "uuid", "numeric(10,2)", "jsonb")
Model = dict[str, list[str]]


@st.composite
def migrations(draw: Callable[..., Any]) -> list[str]:
    """Up to eight files of one to three statements, each of which fits what those before it have made."""
    tables: Model = {}
    names = (f"n{number}" for number in itertools.count())
    files = []
    for _ in range(draw(st.integers(1, 8))):
        statements = [draw(statement(tables, names)) for _ in range(draw(st.integers(1, 3)))]
        files.append(";\n".join(statements) + ";\n")
    return files


@st.composite
def statement(draw: Callable[..., Any], tables: Model, names: Iterator[str]) -> str:
    """One statement; `tables` is changed as it would change the schema."""
    kinds = ["create", "create"] if len(tables) < 2 else ["create"]
    kinds += ["add", "add", "index", "rename", "rename column", "drop"] if tables else []
    kinds += ["drop column", "type", "not null", "default"] if any(tables.values()) else []
    kind = draw(st.sampled_from(kinds))
    if kind == "create":
        name, columns = next(names), [next(names) for _ in range(draw(st.integers(0, 3)))]
        tables[name] = columns
        types = "".join(f", {column} {draw(st.sampled_from(TYPES))}" for column in columns)
        parents = [other for other in tables if other != name]
        parent = draw(st.sampled_from([None, *parents]))
        reference = f", {name}_parent integer references {parent} (id) on delete cascade" if parent else ""
        return f"create table {name} (id integer primary key{types}{reference})"
    table = draw(
        st.sampled_from([name for name in tables if tables[name] or "column" not in kind] or list(tables))
    )
    column = draw(st.sampled_from(tables[table])) if tables[table] else None
    new = next(names)
    if kind == "drop":
        tables.pop(table)
        return f"drop table {table} cascade"
    if kind == "rename":
        tables[new] = tables.pop(table)
        return f"alter table {table} rename to {new}"
    if kind == "add" or column is None:
        tables[table].append(new)
        return f"alter table {table} add column {new} {draw(st.sampled_from(TYPES))}"
    if kind == "rename column":
        tables[table][tables[table].index(column)] = new
        return f"alter table {table} rename column {column} to {new}"
    if kind == "drop column":
        tables[table].remove(column)
        return f"alter table {table} drop column {column}"
    return {
        "index": f"create index {new} on {table} ({column}, id)",
        "type": f"alter table {table} alter column {column} type text",
        "not null": f"alter table {table} alter column {column} {draw(st.sampled_from(['set', 'drop']))} not null",
        "default": f"alter table {table} alter column {column} drop default",
    }[kind]


class Deployment:
    """An empty database and a folder of migrations; each `apply` is a process of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.config = Config({"kernel": {"data": "data"}, "database": {"url": url}}, project=folder)

    def apply(self, files: dict[str, str]) -> Catalogue:
        """Write more files, and apply what is pending."""
        (self.folder / "migrations").mkdir(parents=True, exist_ok=True)
        for name, sql in files.items():
            (self.folder / "migrations" / name).write_text(sql)
        kernel = Kernel(self.config, plugins=[DatabasePlugin, MigrationsPlugin], role="test")
        kernel.register()
        try:
            kernel.prepare()
            return kernel.services[Database].catalogue
        finally:
            kernel.stop()


def scratch_catalogue(deployment: Deployment, files: dict[str, str]) -> Catalogue:
    """Return what a rehearsal of the files makes."""
    kernel = Kernel(deployment.config, plugins=[DatabasePlugin, MigrationsPlugin], role="test")
    kernel.register()
    try:
        with kernel.services[SchemaWork].scratch() as scratch:
            for sql in files.values():
                scratch.run(sql)
            return scratch.catalogue
    finally:
        kernel.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Deployment]:
    """Return a function that gives a new folder and an empty database."""
    numbers = itertools.count()
    if request.param == "sqlite":
        return lambda: Deployment("sqlite:///kernel.db", tmp_path / str(next(numbers)))
    import psycopg

    url = request.getfixturevalue("postgresql_url")

    def emptied() -> Deployment:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "drop schema if exists kernel, auth cascade; drop schema public cascade; create schema public; "
                "grant usage on schema public to public"
            )
        return Deployment(url, tmp_path / str(next(numbers)))

    return emptied


def check(deploy: Callable[[], Deployment], files: list[str], batches: list[int]) -> None:
    named = {f"{number}_m.sql": sql for number, sql in enumerate(files, 1)}
    at_once = deploy().apply(named)
    deployment = deploy()
    left = iter(named.items())
    for size in [*batches, len(named)]:
        in_batches = deployment.apply(dict(itertools.islice(left, size)))

    assert differences(at_once, in_batches) == []


SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(SETTINGS, max_examples=20)
@given(files=migrations(), batches=st.lists(st.integers(1, 3), max_size=4))
def test_batches_give_the_same_schema_as_all_at_once(
    deploy: Callable[[], Deployment], files: list[str], batches: list[int]
) -> None:
    check(deploy, files, batches)


@pytest.mark.long
@pytest.mark.timeout(400)
@settings(SETTINGS, max_examples=100)
@given(files=migrations(), batches=st.lists(st.integers(1, 3), max_size=4))
def test_many_batches_give_the_same_schema_as_all_at_once(
    deploy: Callable[[], Deployment], files: list[str], batches: list[int]
) -> None:
    check(deploy, files, batches)


@settings(SETTINGS, max_examples=4)
@given(files=migrations())
def test_a_rehearsal_gives_the_same_schema_as_a_database(
    deploy: Callable[[], Deployment], files: list[str]
) -> None:
    named = {f"{number}_m.sql": sql for number, sql in enumerate(files, 1)}
    deployment = deploy()

    assert differences(deployment.apply(named), scratch_catalogue(deployment, named)) == []
