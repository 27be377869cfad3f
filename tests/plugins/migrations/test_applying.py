"""Applying migrations: order, once, all or nothing; and what stops a boot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernel import Plugin
from kernel.contracts.database import Database
from plugins.migrations.errors import MigrationError

NOTES = "create table notes (id int primary key, body text);\n"


def applied(database: Database) -> list[tuple[Any, ...]]:
    return database.query(
        "select namespace, version, name from kernel.migrations order by namespace, version"
    )


def tables(database: Database) -> set[str]:
    return {name for schema, name in database.catalogue.tables if schema == "public"}


def test_files_are_applied_in_order_and_recorded(project: Any) -> None:
    project.write("20260102000000_fill.sql", "insert into notes (id, body) values (1, 'hello');")
    project.write("20260101000000_notes.sql", NOTES)

    database = project.boot()

    assert database.query("select body from notes") == [("hello",)]
    assert applied(database) == [
        ("(project)", "20260101000000", "notes"),
        ("(project)", "20260102000000", "fill"),
    ]


def test_a_second_boot_applies_what_is_new_only(project: Any) -> None:
    project.write("1_notes.sql", NOTES + "insert into notes (id) values (1);")
    project.boot()
    project.boot()
    project.write("2_more.sql", "insert into notes (id) values (2);")

    assert project.boot().query("select id from notes order by id") == [(1,), (2,)]


def test_a_boot_with_nothing_new_begins_no_transaction(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from plugins.database.transaction import EngineTransaction

    project.write("1_notes.sql", NOTES)
    project.boot()
    monkeypatch.delattr(EngineTransaction, "__enter__")

    assert tables(project.boot()) == {"notes"}


def test_only_the_up_section_is_applied(project: Any) -> None:
    project.write("1_notes.sql", f"-- up\n{NOTES}\n-- down\ndrop table notes;\n")

    assert tables(project.boot()) == {"notes"}


def test_an_empty_file_is_applied_as_nothing(project: Any) -> None:
    project.write("1_nothing.sql", "-- up\n\n-- down\n")

    assert applied(project.boot()) == [("(project)", "1", "nothing")]


def test_plugins_come_before_the_project(project: Any, package: Callable[..., list[type[Plugin]]]) -> None:
    (needs,) = package(
        "needs_plugin",
        "class Needs(Plugin):\n    name = 'needs'\n",
        {"1_b.sql": "create table b (id int primary key);"},
    )
    project.write("1_c.sql", "create table c (id int primary key references b (id));")

    assert applied(project.boot(needs)) == [("(project)", "1", "c"), ("needs", "1", "b")]


def test_a_plugin_may_build_on_the_tables_of_one_it_requires(
    project: Any, package: Callable[..., list[type[Plugin]]]
) -> None:
    (base,) = package(
        "base_plugin",
        "class Base(Plugin):\n    name = 'zz_base'\n"
        "    def kernel_services(self):\n        return {Base: self}\n"
        "from kernel import hookimpl\n"
        "Base.kernel_services = hookimpl(Base.kernel_services)\nBase.provides = (Base,)\n",
        {"9_parent.sql": "create table parent (id int primary key);"},
    )
    (top,) = [
        plugin
        for plugin in package(
            "top_plugin",
            "import base_plugin\nclass Top(Plugin):\n    name = 'aa_top'\n    requires = (base_plugin.Base,)\n",
            {"1_child.sql": "create table child (id int primary key references parent (id));"},
        )
        if plugin.name == "aa_top"
    ]

    assert tables(project.boot(top, base)) == {"parent", "child"}


def test_a_folder_beside_two_plugins_is_refused(
    project: Any, package: Callable[..., list[type[Plugin]]]
) -> None:
    both = package(
        "double_plugin",
        "class One(Plugin):\n    name = 'one'\nclass Two(Plugin):\n    name = 'two'\n",
        {"1_b.sql": "create table b (id int primary key);"},
    )

    with pytest.raises(MigrationError, match=r"beside two plugins, 'one' and 'two'"):
        project.boot(*both)


def test_a_plugin_in_a_module_of_the_project_does_not_take_the_projects_migrations(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    project.write("1_notes.sql", NOTES)
    (project.folder / "local_plugin.py").write_text(
        "from kernel import Plugin\nclass Local(Plugin):\n    name = 'local'\n"
    )
    monkeypatch.syspath_prepend(project.folder)
    local = importlib.import_module("local_plugin").Local

    assert applied(project.boot(local)) == [("(project)", "1", "notes")]


def test_a_failing_file_leaves_no_trace_and_those_before_it_stay(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    path = project.write(
        "2_bad.sql",
        "-- up\ncreate table half (id int primary key);\ninsert into notes (id) values (1);\n\n"
        "insert into nowhere (id) values (1);\n-- down\ninsert into nowhere (id) values (1);\n",
    )

    with pytest.raises(MigrationError) as caught:
        project.boot()

    message = str(caught.value)
    assert f"{path}, line 5, in 'insert into nowhere (id) values (1)'" in message
    assert "42P01" in message
    assert "nothing of it was applied" in message
    path.unlink()
    database = project.boot()
    assert tables(database) == {"notes"}
    assert database.query("select id from notes") == []
    assert applied(database) == [("(project)", "1", "notes")]


def test_a_syntax_error_in_the_last_statement_leaves_no_trace(project: Any) -> None:
    path = project.write("1_bad.sql", NOTES + "\ncreate tabel x (id int);")

    with pytest.raises(MigrationError, match=r"1_bad\.sql.*line 3.*42601"):
        project.boot()

    path.unlink()
    assert tables(project.boot()) == set()


def test_a_violated_foreign_key_is_found_before_the_commit(project: Any) -> None:
    path = project.write(
        "1_bad.sql",
        "create table a (id int primary key); create table b (id int primary key, a int references a (id));"
        "insert into b (id, a) values (1, 99);",
    )

    with pytest.raises(MigrationError, match=r"1_bad\.sql.*23503"):
        project.boot()

    path.unlink()
    assert tables(project.boot()) == set()


def test_an_edited_file_stops_the_boot_naming_both_checksums(project: Any) -> None:
    from plugins.migrations.files import read_file

    path = project.write("1_notes.sql", NOTES)
    old = read_file(path, "", "sqlite").checksum
    project.boot()
    path.write_text(NOTES + "-- edited")

    with pytest.raises(MigrationError) as caught:
        project.boot()

    assert str(path) in str(caught.value)
    assert old in str(caught.value)
    assert read_file(path, "", "sqlite").checksum in str(caught.value)


def test_a_missing_file_stops_the_boot(project: Any) -> None:
    path = project.write("1_notes.sql", NOTES)
    project.boot()
    path.unlink()

    with pytest.raises(MigrationError, match=r"1_notes\.sql of \(project\) was applied on .* is missing"):
        project.boot()


def test_a_file_that_comes_too_late_stops_the_boot(project: Any) -> None:
    project.write("2_notes.sql", NOTES)
    project.boot()
    project.write("1_early.sql", "create table early (id int primary key);")

    with pytest.raises(MigrationError, match=r"1_early\.sql .* comes before 2_notes\.sql"):
        project.boot()


def test_a_disagreement_stops_the_boot_before_anything_is_applied(project: Any) -> None:
    path = project.write("1_notes.sql", NOTES)
    project.boot()
    path.write_text(NOTES + "-- edited")
    later = project.write("2_more.sql", "create table more (id int primary key);")

    with pytest.raises(MigrationError):
        project.boot()

    path.write_text(NOTES)
    later.unlink()
    assert tables(project.boot()) == {"notes"}


def test_a_plugin_that_is_no_longer_enabled_does_not_stop_the_boot(
    project: Any, package: Callable[..., list[type[Plugin]]]
) -> None:
    (gone,) = package(
        "gone_plugin",
        "class Gone(Plugin):\n    name = 'gone'\n",
        {"1_g.sql": "create table g (id int primary key);"},
    )
    project.boot(gone)

    assert tables(project.boot()) == {"g"}
