"""``kernel migrate down``: sections undone, last first; rows are not lost unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from kernel import Plugin
from kernel.contracts.database import Database
from plugins.migrations.errors import MigrationError

NOTES = "-- up\ncreate table notes (id int primary key, body text);\n-- down\ndrop table notes;\n"
COLOUR = "-- up\nalter table notes add column colour text;\n-- down\nalter table notes drop column colour;\n"


def states(project: Any) -> dict[str, str]:
    return {row["migration"]: row["state"] for row in json.loads(project.migrate("status").stdout)}


def write(project: Any, sql: str) -> None:
    kernel = project.kernel()
    kernel.register()
    with kernel.services[Database].transaction() as transaction:
        transaction.query(sql)
    kernel.stop()


def test_down_undoes_the_last_one_which_can_then_be_applied_again(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_colour.sql", COLOUR)
    project.migrate("up")

    assert project.does("down") == ["undone 2_colour of (project)"]

    assert states(project) == {"1_notes": "applied", "2_colour": "pending"}
    assert project.does("up") == ["applied 2_colour of (project)"]


def test_down_undoes_several_the_last_one_first(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_colour.sql", COLOUR)
    project.write("3_more.sql", "-- up\ncreate table more (id int);\n-- down\ndrop table more;")
    project.migrate("up")

    assert project.does("down", "--steps", "2") == [
        "undone 3_more of (project)",
        "undone 2_colour of (project)",
    ]
    assert project.does("down", "--to", "0") == ["undone 1_notes of (project)"]
    assert project.does("down") == []


def test_down_to_a_timestamp_leaves_that_one_applied(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_colour.sql", COLOUR)
    project.migrate("up")

    assert project.does("down", "--to", "1") == ["undone 2_colour of (project)"]
    assert project.does("down", "--to", "1") == []


def test_a_table_with_rows_is_not_dropped_unless_told_to(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    write(project, "insert into notes (id) values (1), (2)")

    with pytest.raises(
        MigrationError, match="rows would be lost, so nothing was undone; if you mean it, say --yes"
    ):
        project.migrate("down")
    assert states(project) == {"1_notes": "applied"}

    assert project.does("down", "--yes") == ["undone 1_notes of (project)"]
    assert ("public", "notes") not in project.kernel_tables()


def test_what_would_be_lost_is_said_with_the_number_of_rows(project: Any, capsys: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_colour.sql", COLOUR)
    project.migrate("up")
    write(project, "insert into notes (id, colour) values (1, 'red'), (2, null)")
    kernel = project.kernel()
    kernel.register()
    (command,) = [command for _, command in kernel.commands() if command.name == "migrate"]

    result = CliRunner().invoke(command, ["down", "--steps", "2"])

    assert result.stderr.splitlines() == [
        "2_colour drops the column colour of public.notes, which has a value in 1 row",
        "1_notes drops the table public.notes with 2 rows",
    ]
    assert isinstance(result.exception, MigrationError)


def test_a_column_without_values_and_a_table_without_rows_are_dropped_unasked(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_colour.sql", COLOUR)
    project.migrate("up")
    write(project, "insert into notes (id) values (1)")

    assert project.does("down") == ["undone 2_colour of (project)"]


def test_a_table_that_is_dropped_under_the_name_it_had_before_is_counted(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write(
        "2_rename.sql",
        "-- up\nalter table notes rename to papers;\n-- down\nalter table papers rename to notes;\n",
    )
    project.migrate("up")
    write(project, "insert into papers (id) values (1)")

    with pytest.raises(MigrationError, match="rows would be lost"):
        project.migrate("down", "--to", "0")
    assert project.does("down") == ["undone 2_rename of (project)"]  # a new name loses nothing


@pytest.mark.parametrize("down", ["", "-- down\n", "-- down\n-- to be written\n"])
def test_a_file_that_does_not_say_how_is_not_undone(project: Any, down: str) -> None:
    project.write("1_notes.sql", f"-- up\ncreate table notes (id int);\n{down}")
    project.migrate("up")

    with pytest.raises(
        MigrationError, match=r"1_notes\.sql says nothing in a section '-- down'.*new undo_notes"
    ):
        project.migrate("down")
    assert states(project) == {"1_notes": "applied"}


def test_one_that_cannot_be_undone_keeps_those_after_it_too(project: Any) -> None:
    project.write("1_notes.sql", "create table notes (id int primary key, body text);")
    project.write("2_colour.sql", COLOUR)
    project.migrate("up")

    with pytest.raises(MigrationError, match="cannot be undone"):
        project.migrate("down", "--steps", "2")
    assert states(project) == {"1_notes": "applied", "2_colour": "applied"}


def test_an_edited_file_is_not_undone(project: Any) -> None:
    path = project.write("1_notes.sql", NOTES)
    project.migrate("up")
    path.write_text(NOTES + "drop table other;")

    with pytest.raises(MigrationError, match=r"1_notes cannot be undone as it stands: .* was edited"):
        project.migrate("down")


def test_a_down_section_that_fails_leaves_all_as_it_was(project: Any) -> None:
    path = project.write("1_notes.sql", NOTES + "drop table nowhere;\n")
    project.migrate("up")

    with pytest.raises(MigrationError) as caught:
        project.migrate("down")

    assert f"{path}, line 5, in 'drop table nowhere'" in str(caught.value)
    assert "nothing of it was undone" in str(caught.value)
    assert states(project) == {"1_notes": "applied"}
    assert ("public", "notes") in project.kernel_tables()


def test_a_plugins_migrations_are_undone_by_its_name(
    project: Any, package: Callable[..., list[type[Plugin]]]
) -> None:
    (shop,) = package(
        "undone_shop",
        "class Shop(Plugin):\n    name = 'shop'\n",
        {"1_notes.sql": NOTES, "2_colour.sql": COLOUR},
    )
    project.write("9_own.sql", "-- up\ncreate table own (id int);\n-- down\ndrop table own;")
    project.migrate("up", extra=(shop,))

    assert project.does("down", "--namespace", "shop", extra=(shop,)) == ["undone 2_colour of shop"]
    assert project.does("down", extra=(shop,)) == ["undone 9_own of (project)"]
    assert project.does("up", "--to", "1", "--namespace", "shop", extra=(shop,)) == [
        "applied 9_own of (project)"
    ]


def test_steps_and_to_exclude_each_other(project: Any) -> None:
    assert project.migrate("down", "--steps", "1", "--to", "0").exit_code == 2
