"""``kernel migrate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kernel.contracts.database import Database, DatabaseError
from plugins.migrations.errors import MigrationError

NOTES = "create table notes (id int primary key, body text);\n"


def test_new_writes_an_empty_migration_that_applies(project: Any) -> None:
    result = project.migrate("new", "Create Posts!")

    path = Path(result.output.strip())
    assert path.parent == project.folder / "migrations"
    assert path.name.endswith("_create_posts.sql")
    assert len(path.name.split("_")[0]) == 14
    assert project.boot().query("select name from kernel.migrations") == [("create_posts",)]


def test_new_files_are_later_than_all_others_even_within_a_second(project: Any) -> None:
    project.write("29990101000000_future.sql", NOTES)

    names = [Path(project.migrate("new", name).output.strip()).name for name in ("a", "b")]

    assert names == ["29990101000001_a.sql", "29990101000002_b.sql"]


def test_new_refuses_a_name_of_nothing_but_signs(project: Any) -> None:
    with pytest.raises(MigrationError, match="makes no file name"):
        project.migrate("new", "../..")


def test_up_applies_and_says_how_many(project: Any) -> None:
    project.write("1_notes.sql", NOTES)

    assert project.does("up") == ["applied 1_notes of (project)"]
    assert project.does("up") == []
    assert project.boot().query("select * from notes") == []


def test_status_lists_applied_and_pending_and_applies_nothing(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.boot()
    project.write("2_more.sql", "create table more (id int primary key);")

    result = project.migrate("status")

    rows = json.loads(result.output)
    assert [(row["namespace"], row["migration"], row["state"]) for row in rows] == [
        ("(project)", "1_notes", "applied"),
        ("(project)", "2_more", "pending"),
    ]
    assert rows[0]["applied_at"]
    assert rows[0]["checksum"] == rows[0]["applied_checksum"] != rows[1]["checksum"]
    assert result.exit_code == 4
    assert project.does("up") == ["applied 2_more of (project)"]
    assert project.migrate("status").exit_code == 0


def test_status_tells_all_that_would_stop_a_boot(project: Any) -> None:
    edited = project.write("2_edited.sql", NOTES)
    missing = project.write("3_missing.sql", "create table more (id int primary key);")
    project.boot()
    edited.write_text(NOTES + "-- edited")
    missing.unlink()
    project.write("1_late.sql", "")

    result = project.migrate("status")

    states = [(row["migration"], row["state"]) for row in json.loads(result.stdout)]
    assert states == [("1_late", "out of order"), ("2_edited", "edited"), ("3_missing", "missing")]
    assert result.exit_code == 1
    assert "give it a later timestamp" in result.stderr
    assert "was edited after it was applied" in result.stderr
    assert "its file is missing; bring it back" in result.stderr


def test_a_boot_that_is_stopped_counts_what_else_is_wrong(project: Any) -> None:
    paths = [project.write(f"{number}_t.sql", f"create table t{number} (id int);") for number in (1, 2, 3)]
    project.boot()
    for path in paths:
        path.unlink()

    with pytest.raises(MigrationError, match=r"1_t\.sql .*\(and 2 more; see: kernel migrate status\)"):
        project.boot()


def test_status_of_nothing_is_empty_and_all_well(project: Any) -> None:
    result = project.migrate("status")

    assert (result.output, result.exit_code) == ("[]\n", 0)


def test_status_draws_a_table_on_a_terminal(project: Any, on_terminal: None) -> None:
    assert "kernel migrate new NAME" in project.migrate("status").output
    project.write("1_notes.sql", NOTES)
    assert "(project)  1_notes    pending" in project.migrate("status").output


def test_up_stops_after_the_timestamp_that_it_is_given(project: Any) -> None:
    for number in (1, 2, 3):
        project.write(f"{number}_t.sql", f"create table t{number} (id int primary key);")

    assert project.does("up", "--to", "0002") == [
        "applied 1_t of (project)",
        "applied 2_t of (project)",
    ]
    assert project.does("up", "--to", "2") == []
    assert project.does("up") == ["applied 3_t of (project)"]


def test_up_to_a_timestamp_that_nothing_has_is_refused(project: Any) -> None:
    project.write("20260101_t.sql", NOTES)

    with pytest.raises(
        MigrationError, match=r"no migration has the timestamp 20260102; did you mean '20260101'"
    ):
        project.migrate("up", "--to", "20260102")


def test_up_for_a_plugin_that_is_not_there_is_refused(project: Any) -> None:
    with pytest.raises(MigrationError, match="no plugin with migrations is called 'shop'"):
        project.migrate("up", "--namespace", "shop", "--to", "1")


def test_a_dry_run_names_what_would_be_applied_and_applies_nothing(project: Any) -> None:
    project.write("1_notes.sql", NOTES)

    assert project.does("up", "--dry-run") == ["would apply 1_notes of (project)"]
    assert json.loads(project.migrate("status").output)[0]["state"] == "pending"


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


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("arguments", [("status",), ("up", "--to", "1"), ("down",), ("up", "--dry-run")])
def test_a_server_that_is_not_there_is_told_in_one_line(project: Any, arguments: tuple[str, ...]) -> None:
    project.url = "postgresql://nobody@127.0.0.1:1/nothing"
    project.write("1_notes.sql", NOTES)

    with pytest.raises(MigrationError, match=r"the database: the database cannot be reached.*port 1 failed"):
        project.migrate(*arguments)


def completed(project: Any, *words: str) -> list[str]:
    """Return what a shell would offer for the last word."""
    from click.shell_completion import ShellComplete

    kernel = project.kernel()
    kernel.register()
    (command,) = [command for _, command in kernel.commands() if command.name == "migrate"]
    shell = ShellComplete(command, {}, "kernel", "_KERNEL_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_a_shell_completes_timestamps_and_plugins(project: Any) -> None:
    project.write("20260101000000_notes.sql", NOTES)
    project.write("20260201000000_more.sql", "create table more (id int)")

    assert completed(project, "up", "--to", "") == ["20260101000000", "20260201000000"]
    assert completed(project, "down", "--to", "202602") == ["20260201000000"]
    assert completed(project, "up", "--namespace", "(pr") == ["(project)"]
    assert completed(project, "up", "--namespace", "(project)", "--to", "202601") == ["20260101000000"]
    assert completed(project, "up", "--namespace", "nope", "--to", "") == []


def test_a_shell_that_completes_is_offered_nothing_where_a_file_is_wrong(project: Any) -> None:
    project.write("notes.sql", NOTES)

    assert completed(project, "up", "--to", "") == []


def test_a_person_reads_what_was_done_and_a_program_gets_json(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("1_notes.sql", "-- up\n" + NOTES + "-- down\ndrop table notes;\n")
    (row,) = json.loads(project.migrate("up", "--dry-run").stdout)
    assert (row["done"], row["namespace"], row["migration"]) == ("would apply", "(project)", "1_notes")

    monkeypatch.setattr("kernel.cli.output.on_terminal", lambda stream=None: stream is None)
    assert project.migrate("up").stdout == "applied 1_notes of (project)\n"
    assert project.migrate("up").stdout == "Nothing to apply.\n"
    assert json.loads(project.migrate("down", "--json").stdout)[0]["done"] == "undone"
    assert project.migrate("down").stdout == "Nothing to undo.\n"
