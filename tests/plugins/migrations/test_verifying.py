"""``kernel migrate verify``: up, down, up again, and what that leaves behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.contracts.database import Database

NOTES = "-- up\ncreate table notes (id int primary key, body text);\n-- down\ndrop table notes;\n"


def verify(project: Any, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = project.migrate("verify", *arguments)
    return result.exit_code, json.loads(result.stdout)


def problems(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return what was found where it is empty: stage, migration, table, column, what."""
    keys = ("stage", "migration", "table", "column", "what")
    return [tuple(problem[key] or "" for key in keys) for problem in found[0]["problems"]]


def execute(project: Any, sql: str) -> None:
    kernel = project.kernel()
    kernel.register()
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(sql)
    kernel.stop()


def test_a_migration_that_can_be_undone_and_done_again_is_all_right(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_n.sql", "-- up\nalter table notes add n int;\n-- down\nalter table notes drop n;")

    code, found = verify(project)

    assert code == 0
    assert found[0]["migrations"] == [
        {"namespace": "(project)", "migration": "1_notes", "up": "ok", "down": "ok", "again": "ok"},
        {"namespace": "(project)", "migration": "2_n", "up": "ok", "down": "ok", "again": "ok"},
    ]
    assert problems(found) == []
    assert project.kernel_tables() <= {("kernel", "migrations")}
    assert "applied" not in project.migrate("status").stdout.replace("applied_", "")


def test_it_says_where_it_rehearses(project: Any) -> None:
    project.write("1_notes.sql", NOTES)

    _, found = verify(project)

    assert [one["where"] for one in found] == {
        "sqlite": ["a database in memory", "a copy of the database"],
        "postgresql": ["a database of its own", "a copy of the database"],
    }[project.engine]


def test_what_down_leaves_behind_is_named_with_table_and_column(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write(
        "2_more.sql",
        "-- up\ncreate table more (id int primary key);\nalter table notes add n int not null default 1;\n"
        "create index notes_n on notes (n);\ncreate table kept (id int);\n"
        "-- down\ndrop index notes_n;\ndrop table more;\nalter table notes alter n drop not null;\n",
    )

    code, found = verify(project)

    assert code == 1
    *left, again = problems(found)
    assert left == [
        ("down", "2_more", "public.kept", "", "is there, but should not be"),
        ("down", "2_more", "public.notes", "n", "is there, but should not be"),
    ]
    assert again[:2] == ("up again", "2_more")
    assert "already exists" in again[4]
    assert found[0]["migrations"][0] | {"namespace": ""} == {
        "namespace": "", "migration": "2_more", "up": "ok", "down": "differs", "again": "fails",
    }  # fmt: skip


def test_what_is_not_the_same_when_it_is_applied_again_is_named(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write(
        "2_index.sql",
        "-- up\nalter table notes add n int;\n"
        "-- down\nalter table notes drop n;\nalter table notes rename body to text;",
    )
    project.write("3_again.sql", "-- up\n-- down\n")

    _, found = verify(project)

    assert ("up again", "2_index", "public.notes", "body", "is missing") in problems(found)
    assert ("up again", "2_index", "public.notes", "text", "is there, but should not be") in problems(found)
    assert ("from scratch", "", "public.notes", "body", "is missing") in problems(found)


def test_rights_that_down_leaves_behind_are_named(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write(
        "2_rights.sql",
        "-- up\ngrant select, insert on notes to anon;\nalter table notes enable row level security;\n"
        "create policy mine on notes using (body = auth.uid()::text);\n"
        "-- down\ndrop policy mine on notes;\nrevoke select on notes from anon;\n",
    )

    _, found = verify(project)

    left = [problem for problem in problems(found) if problem[0] == "down"]
    assert [(table, what.split(":")[0]) for _, _, table, _, what in left] == [
        ("public.notes", "grants"),
        ("public.notes", "row security should be no, not yes"),
    ]


def test_a_down_section_that_fails_is_named(project: Any) -> None:
    project.write("1_notes.sql", NOTES.replace("drop table notes", "drop table papers"))
    project.write("2_more.sql", NOTES.replace("notes", "more"))

    code, found = verify(project)

    assert code == 1
    ((stage, migration, _, _, what),) = problems(found)
    assert (stage, migration) == ("down", "1_notes")
    assert "1_notes.sql, line 4, in 'drop table papers'" in what
    assert "nothing of it was undone" in what
    assert [one["up"] for one in found[0]["migrations"]] == ["ok", "ok"]


def test_an_up_section_that_fails_ends_the_rehearsal(project: Any) -> None:
    project.write("1_bad.sql", "create table a (id int primary key);\ncreate tabel b (id int);")
    project.write("2_more.sql", NOTES)

    code, found = verify(project)

    assert code == 1
    ((stage, migration, _, _, what),) = problems(found)
    assert (stage, migration) == ("up", "1_bad")
    assert "1_bad.sql" in what and "42601" in what
    assert len(found) == 1 and len(found[0]["migrations"]) == 1


def test_one_without_down_is_said_to_have_none(project: Any) -> None:
    project.write("1_notes.sql", "create table notes (id int primary key);")

    code, found = verify(project)

    assert code == 0
    assert found[0]["migrations"][0]["down"] == "none"


def test_what_is_applied_is_rehearsed_if_asked_for(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")

    assert verify(project)[1][0]["migrations"] == []
    assert [one["migration"] for one in verify(project, "--all")[1][0]["migrations"]] == ["1_notes"]


def test_what_somebody_changed_by_hand_is_found(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    execute(project, "alter table notes add column by_hand text; create table another (id int);")

    code, found = verify(project)

    assert code == 1
    assert problems(found) == [
        ("the database", "", "public.another", "", "is there, but should not be"),
        ("the database", "", "public.notes", "by_hand", "is there, but should not be"),
    ]


def test_the_rows_that_are_there_are_tried_on_a_copy(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    execute(project, "insert into notes (id) values (1);")
    project.write("2_strict.sql", "-- up\nalter table notes alter body set not null;\n")

    code, found = verify(project)

    assert code == 1
    assert found[0]["problems"] == []
    assert "23502" in found[1]["problems"][0]["what"]
    if project.engine == "sqlite":
        assert not list((project.folder / "data").glob(".rehearsal*"))
    assert project.migrate("status").exit_code == 4


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_rows_that_cannot_be_tried_are_said_not_to_have_been(
    project: Any, monkeypatch: pytest.MonkeyPatch, on_terminal: None
) -> None:
    project.write("1_notes.sql", NOTES)
    monkeypatch.setenv("PATH", str(project.folder))

    done = project.migrate("verify")

    assert done.exit_code == 0
    assert "the rows were not tried: there is no pg_dump here; install" in " ".join(done.stdout.split())


def test_files_and_record_that_disagree_are_not_rehearsed(project: Any) -> None:
    path = project.write("1_notes.sql", NOTES)
    project.migrate("up")
    path.unlink()

    with pytest.raises(Exception, match="its file is missing"):
        verify(project)


def test_a_terminal_gets_tables_and_sentences(project: Any, on_terminal: None) -> None:
    project.write("1_notes.sql", NOTES)
    project.write("2_bad.sql", "-- up\nalter table notes add n int;\n-- down\n-- none\nselect 1;")

    lines = project.migrate("verify").stdout.splitlines()

    assert lines[0].startswith("In a database")
    assert lines[1].split() == ["Of", "Migration", "Up", "Down", "Up", "again"]
    assert lines[2].split() == ["(project)", "1_notes", "ok", "ok", "ok"]
    assert lines[3].split() == ["(project)", "2_bad", "ok", "differs", "fails"]
    assert lines[4] == "✗ 2_bad, down: public.notes, column n: is there, but should not be"
