"""``kernel migrate plan``: SQL for the engine, locks, rewritten tables, drops, and what breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.contracts.database import Database
from plugins.migrations.errors import MigrationError

NOTES = "create table notes (id int primary key, body text);\n"


def plan(project: Any) -> tuple[int, list[dict[str, Any]]]:
    result = project.migrate("plan")
    return result.exit_code, json.loads(result.stdout)


def planned(project: Any, sql: str) -> dict[str, Any]:
    """Return the plan of `sql` after a table with two rows."""
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    kernel = project.kernel()
    kernel.register()
    with kernel.services[Database].transaction() as transaction:
        transaction.query("insert into notes (id, body) values (1, 'a'), (2, null)")
    kernel.stop()
    project.write("2_change.sql", sql)
    code, (migration,) = plan(project)
    assert code == (3 if migration["breaking"] else 0)
    return migration


def broken(migration: dict[str, Any]) -> list[tuple[str | None, str | None, str]]:
    return [(one["table"], one["column"], one["what"]) for one in migration["breaking"]]


def test_nothing_pending_is_an_empty_plan(project: Any) -> None:
    assert plan(project) == (0, [])


def test_a_new_table_breaks_nothing_and_locks_no_table(project: Any) -> None:
    project.write("1_notes.sql", NOTES + "create index on notes (body);")

    code, (migration,) = plan(project)

    assert code == 0
    assert migration["breaking"] == []
    assert [step["statement"] for step in migration["steps"]] == [
        "create table notes (id int primary key, body text)",
        "create index on notes (body)",
    ]
    if project.engine == "postgresql":
        assert [step["locks"] for step in migration["steps"]] == [[], []]
    assert project.kernel_tables() <= {("kernel", "migrations")}


def test_the_sql_is_the_engines_own(project: Any) -> None:
    step = planned(project, "alter table notes add column seen boolean;")["steps"][0]

    assert step["statement"] == "alter table notes add column seen boolean"
    if project.engine == "postgresql":
        assert step["sql"] == step["statement"]
    else:
        assert step["sql"].startswith('ALTER TABLE "notes" ADD COLUMN "seen" INT')


@pytest.mark.parametrize(
    ("sql", "mode", "blocks"),
    [
        ("alter table notes add column n int;", "access exclusive", "reads and writes"),
        ("create index on notes (body);", "share", "writes"),
        (
            "-- no-transaction\ncreate index concurrently on notes (body);",
            "share update exclusive",
            "schema changes",
        ),
        (
            "create table more (id int primary key, n int references notes (id));",
            "share row exclusive",
            "writes",
        ),
        ("update notes set body = 'x';", "row exclusive", "nothing"),
    ],
)
def test_locks_are_those_that_the_engine_takes(project: Any, sql: str, mode: str, blocks: str) -> None:
    steps = planned(project, sql)["steps"]

    if project.engine == "postgresql":
        assert steps[0]["locks"] == [{"schema": "public", "table": "notes", "mode": mode, "blocks": blocks}]
    else:
        assert steps[0]["locks"] == [{"schema": None, "table": None, "mode": "writing", "blocks": "writes"}]


def test_a_table_that_is_written_anew_is_named_with_its_rows(project: Any) -> None:
    (step,) = planned(project, "alter table notes alter id type bigint;")["steps"]

    assert step["rewrites"] == [{"table": "public.notes", "column": None, "rows": 2}]


def test_a_change_of_the_definition_alone_rewrites_nothing(project: Any) -> None:
    (step,) = planned(project, "alter table notes rename body to text;")["steps"]

    assert step["rewrites"] == []


def test_what_is_dropped_is_named_with_its_rows(project: Any) -> None:
    steps = planned(project, "alter table notes drop column body; drop table notes;")["steps"]

    assert steps[0]["drops"] == [{"table": "public.notes", "column": "body", "rows": 1}]
    assert steps[1]["drops"] == [{"table": "public.notes", "column": None, "rows": 2}]


@pytest.mark.parametrize(
    ("sql", "column", "what"),
    [
        ("drop table notes;", None, "the table is gone, or has another name"),
        ("alter table notes rename to papers;", None, "the table is gone, or has another name"),
        ("alter table notes drop column body;", "body", "is gone, or has another name"),
        (
            "alter table notes alter id type smallint;",
            "id",
            "its type was integer and is smallint, which does not hold all the same values",
        ),
        (
            "update notes set body = '' where body is null; alter table notes alter body set not null;",
            "body",
            "takes null no longer",
        ),
    ],
)
def test_what_clients_can_no_longer_do_is_breaking(
    project: Any, sql: str, column: str | None, what: str
) -> None:
    assert broken(planned(project, sql)) == [("public.notes", column, what)]


@pytest.mark.parametrize(
    ("before", "sql", "what"),
    [
        (
            "grant select on notes to anon;",
            "revoke all on notes from anon;",
            "the role anon may no longer select",
        ),
        (
            "grant update on notes to anon;",
            "revoke update on notes from anon; grant update (body) on notes to anon;",
            "the role anon may no longer update",
        ),
        ("", "alter table notes enable row level security;", "row security is on now"),
        (
            "alter table notes enable row level security; create policy mine on notes using (id = 1);",
            "drop policy mine on notes;",
            "the policy mine is gone or says something else",
        ),
    ],
)
def test_less_rights_are_breaking(project: Any, before: str, sql: str, what: str) -> None:
    project.write("1_notes.sql", NOTES + before)
    project.migrate("up")
    project.write("2_change.sql", sql)

    code, (migration,) = plan(project)

    assert code == 3
    ((table, column, told),) = broken(migration)
    assert (table, column) == ("public.notes", None)
    assert told.startswith(what)


@pytest.mark.parametrize(
    "sql",
    [
        "alter table notes add column n int;",
        "alter table notes add column n int not null default 1;",
        "alter table notes alter id type bigint;",
        "create view brief as select id from notes;",
        "alter table notes rename body to text; alter table notes rename text to body;",
        "create table more (id int); drop table more;",
        "grant select on notes to anon;",
    ],
)
def test_what_clients_need_not_notice_is_not_breaking(project: Any, sql: str) -> None:
    assert broken(planned(project, sql)) == []


def test_what_a_later_migration_mends_is_not_breaking(project: Any) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write("2_drop.sql", "alter table notes drop column body;")
    project.write("3_mend.sql", "alter table notes add column body text;")
    project.write("4_drop.sql", "drop table notes;")
    code, migrations = plan(project)
    assert code == 3
    assert [len(migration["breaking"]) for migration in migrations] == [0, 0, 1]

    (project.folder / "migrations" / "4_drop.sql").unlink()

    assert plan(project)[0] == 0


def test_a_migration_that_fails_is_named_as_a_start_would_name_it(project: Any) -> None:
    project.write("1_bad.sql", "create table a (id int primary key);\ninsert into b values (1);")

    with pytest.raises(MigrationError, match=r"1_bad\.sql, line 2, in 'insert into b values \(1\)'.*42P01"):
        plan(project)


def test_a_terminal_gets_sentences(project: Any, on_terminal: None) -> None:
    project.write("1_notes.sql", NOTES)
    project.migrate("up")
    project.write("2_change.sql", "-- lock-timeout: 5s\nalter table notes drop column body;")

    lines = project.migrate("plan").stdout.splitlines()

    assert lines[0] == "2_change of (project)"
    assert "  waits 5 s for a lock" in lines
    assert "  cannot be undone: it has no section '-- down'" in lines
    assert "    drops public.notes, column body, which has a value in 0 rows" in lines
    assert lines[-1] == "  breaks public.notes, column body: is gone, or has another name"
    if project.engine == "postgresql":
        assert "    locks public.notes, access exclusive: reads and writes wait" in lines
    else:
        assert "    locks the whole database: writes wait" in lines
