"""What every `SchemaWork` must do."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import Dropped, SchemaWork

_NOTES = "create table notes (id integer primary key, body text);"


class SchemaWorkContract:
    """Subclass it, name the class ``Test…`` and override ``kernel_options``."""

    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        """Return the arguments of ``make_kernel``: at least the plugin that provides `SchemaWork` and `Database`."""
        raise NotImplementedError("override kernel_options")

    @pytest.fixture
    def work(self, kernel: Any) -> SchemaWork:
        """Return the tested implementation."""
        work: SchemaWork = kernel.services[SchemaWork]
        return work

    @pytest.fixture
    def database(self, kernel: Any) -> Database:
        """Return the database that it works on."""
        database: Database = kernel.services[Database]
        return database

    def test_a_transaction_sees_what_it_has_changed(self, work: SchemaWork, database: Database) -> None:
        """And nobody else before its commit."""
        with work.transaction() as transaction:
            transaction.script(_NOTES)
            assert ("public", "notes") in transaction.catalogue.tables
            assert ("public", "notes") not in database.catalogue.tables
        assert ("public", "notes") in database.catalogue.tables

    def test_a_transaction_that_fails_leaves_nothing(self, work: SchemaWork, database: Database) -> None:
        """As any does."""
        with pytest.raises(DatabaseError), work.transaction(lock_timeout=1.0) as transaction:
            transaction.script(f"{_NOTES} insert into nowhere (id) values (1);")
        assert ("public", "notes") not in database.catalogue.tables

    def test_statements_are_told_apart_by_the_grammar(self, work: SchemaWork) -> None:
        """And not by semicolons."""
        assert work.statements("select ';' ; -- a; b\nselect 2;") == ["select ';'", "select 2"]
        with pytest.raises(DatabaseError, match="42601"):
            work.statements("selekt 1;")

    def test_statements_run_alone_without_a_transaction_around(
        self, work: SchemaWork, database: Database
    ) -> None:
        """One that fails is named."""
        work.alone(f"{_NOTES} create index notes_body on notes (body);")
        with pytest.raises(DatabaseError) as caught:
            work.alone(
                "insert into notes (id) values (1); insert into nowhere (id) values (1);", lock_timeout=1.0
            )
        assert caught.value.statement == "insert into nowhere (id) values (1)"
        indexes = {index.name for index in database.catalogue.tables["public", "notes"].indexes}
        assert indexes == {"notes_pkey", "notes_body"}

    @pytest.mark.parametrize(
        ("sql", "expected"),
        [
            ("true", {"value": True, "of_row": False}),
            ("1 = 2 or not true", {"value": False, "of_row": False}),
            ("null is null and id > 0", {"value": None, "of_row": True, "compared": [("notes", {"id"})]}),
            ("id = 1 or body = 'x'", {"of_row": True, "compared": [("notes", {"id"}), ("notes", {"body"})]}),
            ("lower(body) = 'x'", {"of_row": True, "calls": {("public", "lower")}}),
            (
                "exists (select 1 from s.papers p where p.note = notes.id)",
                {
                    "of_row": True, "asks": True, "reads": {("s", "papers")},
                    "compared": [("papers", {"note"})],
                },
            ),
            (
                "exists (with papers as (select 1) select 1 from papers)",
                {"of_row": False, "asks": True, "reads": set()},
            ),
            (
                "auth.uid() is not null",
                {"of_row": False, "calls": {("auth", "uid")}, "lifted": "(select auth.uid()) is not null"},
            ),
            ("(select auth.uid()) is not null", {"calls": {("auth", "uid")}, "lifted": None, "asks": True}),
        ],
    )  # fmt: skip
    def test_what_a_condition_does_is_told(
        self, work: SchemaWork, database: Database, sql: str, expected: dict[str, Any]
    ) -> None:
        """As far as its text tells."""
        with work.transaction() as transaction:
            transaction.script(f"{_NOTES} create schema s; create table s.papers (id integer, note integer);")
        found = work.expression(sql, database.catalogue.tables["public", "notes"], database.catalogue)
        told: dict[str, Any] = {
            "value": found.value, "of_row": found.of_row, "reads": set(found.reads), "asks": found.asks,
            "lifted": found.lifted, "calls": set(found.calls),
            "compared": [(one.table, set(one.columns)) for one in found.compared],
        }  # fmt: skip
        assert {name: told[name] for name in expected} == expected

    def test_a_condition_that_is_none_is_refused(self, work: SchemaWork, database: Database) -> None:
        """By the grammar."""
        with work.transaction() as transaction:
            transaction.script(_NOTES)
        with pytest.raises(DatabaseError, match="42601"):
            work.expression("id = = 1", database.catalogue.tables["public", "notes"], database.catalogue)

    def test_what_views_read_with_their_callers_rights_is_told(
        self, work: SchemaWork, database: Database
    ) -> None:
        """And nothing of those that read with their owner's."""
        with work.transaction() as transaction:
            transaction.script(
                f"{_NOTES} create schema s; create table s.papers (id integer);"
                "create view both_of_them with (security_invoker = true) as"
                " with p as (select id from s.papers) select n.id from notes n join p on p.id = n.id;"
                "create view of_owner as select id from notes;"
            )
        tables = database.catalogue.tables
        assert work.reads(tables["public", "both_of_them"]) == {("public", "notes"), ("s", "papers")}
        assert work.reads(tables["public", "of_owner"]) == frozenset()

    @pytest.mark.parametrize(
        "body",
        [
            "as 'select count(*) + length(current_setting(''x.y'', true)) from notes'",
            "begin atomic; select count(*) + length(current_setting('x.y', true)) from notes; end",
            "return (select count(*) + length(current_setting('x.y', true)) from notes)",
        ],
    )
    def test_what_a_function_does_is_told(self, work: SchemaWork, database: Database, body: str) -> None:
        """However its body is written."""
        with work.transaction() as transaction:
            transaction.script(
                f"{_NOTES} create function counted(one integer, two text[]) returns bigint language sql stable {body}"
            )
        (function,) = database.catalogue.functions["public", "counted"]
        found = work.body(function)
        assert found is not None
        assert found.reads == {("public", "notes")}
        assert {name for _, name in found.calls} == {"count", "length", "current_setting"}

    @pytest.mark.parametrize(
        ("sql", "expected"),
        [
            ("drop table notes, s.papers", [Dropped("public", "notes"), Dropped("s", "papers")]),
            ("drop table if exists nowhere, notes cascade", [Dropped("public", "notes")]),
            ("drop schema s cascade", [Dropped("s", "papers")]),
            ("alter table notes drop body, add n int", [Dropped("public", "notes", "body")]),
            ("alter table public.notes drop if exists nothing", []),
            ("drop view brief; delete from notes; alter table notes rename to papers", []),
        ],
    )
    def test_what_statements_drop_is_named(self, work: SchemaWork, sql: str, expected: list[Dropped]) -> None:
        """As far as it is there."""
        with work.transaction() as transaction:
            transaction.script(
                f"{_NOTES} create view brief as select id from notes; create schema s; "
                "create table s.papers (id integer);"
            )
            assert work.drops(sql, transaction.catalogue) == expected

    def test_a_scratch_place_starts_empty_and_changes_nothing_else(
        self, work: SchemaWork, database: Database
    ) -> None:
        """Nor does the database show in it."""
        with work.transaction() as transaction:
            transaction.script("create table there (id integer);")
        with work.scratch() as scratch:
            assert _own(scratch.catalogue) == set()
            (step,) = scratch.run(_NOTES)
            assert _own(scratch.catalogue) == {("public", "notes")}
        assert step.statement == _NOTES.rstrip(";")
        assert _own(database.catalogue) == {("public", "there")}

    def test_a_scratch_place_takes_all_statements_or_none(self, work: SchemaWork) -> None:
        """And can be used on after a failure."""
        with work.scratch() as scratch:
            with pytest.raises(DatabaseError) as caught:
                scratch.run(f"{_NOTES} insert into nowhere (id) values (1);")
            assert caught.value.statement == "insert into nowhere (id) values (1)"
            assert _own(scratch.catalogue) == set()
            scratch.run(_NOTES)
            assert _own(scratch.catalogue) == {("public", "notes")}

    def test_a_scratch_place_can_be_cleared(self, work: SchemaWork) -> None:
        """Schemas, views and all."""
        with work.scratch() as scratch:
            before = scratch.catalogue
            scratch.run(f"{_NOTES} create schema s; create view s.brief as select id from notes;")
            scratch.clear()
            assert _own(scratch.catalogue) == set()
            assert "s" not in scratch.catalogue.schemas
            assert {**scratch.catalogue.usage, "kernel": None} == {**before.usage, "kernel": None}
            scratch.run(_NOTES)

    def test_a_copy_holds_the_rows_and_is_not_the_database(
        self, work: SchemaWork, database: Database
    ) -> None:
        """Also after it was cleared."""
        with work.transaction() as transaction:
            transaction.script(f"{_NOTES} insert into notes (id) values (1);")
        with work.copy() as scratch:
            with pytest.raises(DatabaseError, match="23502"):
                scratch.run("alter table notes alter column body set not null;")
            scratch.run("delete from notes; alter table notes alter column body set not null;")
            scratch.clear()
            with pytest.raises(DatabaseError, match="23502"):
                scratch.run("alter table notes alter column body set not null;")
        assert database.query("select id from notes") == [(1,)]

    def test_a_rewritten_table_is_named(self, work: SchemaWork) -> None:
        """And one that is not, is not."""
        with work.scratch() as scratch:
            scratch.run(_NOTES)
            (renamed,) = scratch.run("alter table notes rename column body to text;")
            (rewritten,) = scratch.run("alter table notes alter column id type bigint;")
            (fresh, also_fresh) = scratch.run(
                "create table new (id integer); alter table new alter column id type bigint;"
            )
        assert renamed.rewritten == ()
        assert rewritten.rewritten == (("public", "notes"),)
        assert (fresh.rewritten, also_fresh.rewritten) == ((), ())

    def test_turns_do_not_keep_one_thread_from_its_own_work(
        self, work: SchemaWork, database: Database
    ) -> None:
        """Who has the turn changes the schema as before."""
        waited = threading.Event()
        with work.turn(waited.set), work.transaction() as transaction:
            transaction.script(_NOTES)
        assert not waited.is_set()
        assert ("public", "notes") in database.catalogue.tables


def _own(catalogue: Any) -> set[tuple[str, str]]:
    return {key for key in catalogue.tables if key[0] != "kernel"}
