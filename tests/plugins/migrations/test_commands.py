"""``kernel migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kernel.contracts.database import Database, DatabaseError
from plugins.migrations.errors import MigrationError

NOTES = "create table notes (id int primary key, body text);\n"


def migrate(project: Any, *arguments: str) -> Result:
    kernel = project.kernel()
    kernel.register()
    (command,) = [command for _, command in kernel.commands() if command.name == "migrate"]
    result = CliRunner().invoke(command, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_new_writes_an_empty_migration_that_applies(project: Any) -> None:
    result = migrate(project, "new", "Create Posts!")

    path = Path(result.output.strip())
    assert path.parent == project.folder / "migrations"
    assert path.name.endswith("_create_posts.sql")
    assert len(path.name.split("_")[0]) == 14
    assert project.boot().query("select name from kernel.migrations") == [("create_posts",)]


def test_new_files_are_later_than_all_others_even_within_a_second(project: Any) -> None:
    project.write("29990101000000_future.sql", NOTES)

    names = [Path(migrate(project, "new", name).output.strip()).name for name in ("a", "b")]

    assert names == ["29990101000001_a.sql", "29990101000002_b.sql"]


def test_new_refuses_a_name_of_nothing_but_signs(project: Any) -> None:
    with pytest.raises(MigrationError, match="makes no file name"):
        migrate(project, "new", "../..")


def test_up_applies_and_says_how_many(project: Any) -> None:
    project.write("1_notes.sql", NOTES)

    assert migrate(project, "up").output == "1 applied\n"
    assert migrate(project, "up").output == "Nothing to apply.\n"
    assert project.boot().query("select * from notes") == []


def test_status_lists_applied_and_pending_and_applies_nothing(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.boot()
    project.write("2_more.sql", "create table more (id int primary key);")

    first, second = migrate(project, "status").output.splitlines()

    assert first.split()[:3] == ["(project)", "1_notes", "applied"]
    assert second.split() == ["(project)", "2_more", "pending"]
    assert migrate(project, "up").output == "1 applied\n"


def test_status_of_nothing_says_how_to_begin(project: Any) -> None:
    assert "kernel migrate new NAME" in migrate(project, "status").output


@pytest.mark.parametrize("command", ["up", "status"])
def test_a_command_closes_the_database_it_opened(project: Any, command: str) -> None:
    project.write("20260101000000_notes.sql", NOTES)
    project.boot()
    kernel = project.kernel()
    kernel.register()
    (group,) = [group for _, group in kernel.commands() if group.name == "migrate"]

    assert CliRunner().invoke(group, [command]).exit_code == 0

    with pytest.raises(DatabaseError, match="the database is closed"):
        kernel.services[Database].query("select 1")
