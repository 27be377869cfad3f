"""Migration files: names, order, sections, checksums."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.migrations.errors import MigrationError
from plugins.migrations.files import directives, read_file, read_folder, sections

SQL = "create table a (id int);\n"


def write(folder: Path, name: str, text: str = SQL) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_a_folder_that_is_not_there_has_no_migrations(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "migrations", "x", "sqlite") == []


def test_files_are_ordered_by_number_and_not_by_spelling(tmp_path: Path) -> None:
    for name in ("10_c.sql", "9_b.sql", "0001_a.sql", "README.md", ".1_swap.sql"):
        write(tmp_path, name)

    assert [m.name for m in read_folder(tmp_path, "x", "sqlite")] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["notes.sql", "20260101_.sql", "20260101-notes.sql", "1_no te.sql"])
def test_a_name_without_its_place_is_refused_with_a_better_one(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)

    with pytest.raises(MigrationError, match=r"like 20260131120000_\w+\.sql; rename"):
        read_folder(tmp_path, "x", "sqlite")


def test_two_files_of_one_timestamp_are_refused_naming_both(tmp_path: Path) -> None:
    write(tmp_path, "7_a.sql")
    write(tmp_path, "007_b.sql")

    with pytest.raises(MigrationError, match=r"7_a\.sql and 007_b\.sql|007_b\.sql and 7_a\.sql"):
        read_folder(tmp_path, "x", "sqlite")


def test_text_that_is_not_utf8_is_refused_naming_the_place(tmp_path: Path) -> None:
    path = tmp_path / "1_a.sql"
    path.write_bytes(b"select '\xff'")

    with pytest.raises(MigrationError, match=r"1_a\.sql: not UTF-8 at byte 8"):
        read_file(path, "x", "sqlite")


def test_line_ends_and_a_byte_order_mark_do_not_change_the_checksum(tmp_path: Path) -> None:
    unix = read_file(write(tmp_path, "1_a.sql", "a\nb\n"), "x", "sqlite")
    windows = read_file(write(tmp_path, "2_a.sql", "\ufeffa\r\nb\r\n"), "x", "sqlite")
    other = read_file(write(tmp_path, "3_a.sql", "a\nc\n"), "x", "sqlite")

    assert unix.checksum == windows.checksum != other.checksum


def test_a_file_without_markers_is_all_up() -> None:
    assert sections(SQL, "f") == (SQL, None)


def test_sections_keep_their_line_numbers() -> None:
    up, down = sections("-- notes\n-- Up\ncreate;\n  --  DOWN\ndrop;\n", "f")

    assert up == "-- notes\n-- Up\ncreate;\n  "
    assert down is not None
    assert down.splitlines()[4] == "drop;"


def test_a_down_section_may_be_absent() -> None:
    assert sections("-- up\ncreate;", "f") == ("-- up\ncreate;", None)


@pytest.mark.parametrize(
    "quoted",
    [
        "'\n-- down\n'",
        "E'\\'\n-- down\n'",
        '"\n-- down\n"',
        "$$\n-- down\n$$",
        "$body$ '\n-- down\n$body$",
        "/*\n-- down\n*/",
        "a -- down",
        "-- down with it",
        "-- update",
    ],
)
def test_only_a_comment_line_of_its_own_is_a_marker(quoted: str) -> None:
    text = f"-- up\nselect {quoted}\n;"

    assert sections(text, "f") == (text, None)


@pytest.mark.parametrize(
    "text",
    ["-- down\nx", "-- up\n-- up\nx", "-- up\nx\n-- down\ny\n-- down\nz", "-- down\nx\n-- up\ny"],
)
def test_markers_out_of_place_are_refused_with_their_line(text: str) -> None:
    with pytest.raises(MigrationError, match=r"^f, line \d: write '-- up' once"):
        sections(text, "f")


def test_sql_before_the_up_section_is_refused() -> None:
    with pytest.raises(MigrationError, match="there is SQL before the line '-- up'"):
        sections("create;\n-- up\nx", "f")


@given(st.text(alphabet="-up down\n'\"$/*;eE\\", max_size=60))
def test_any_text_is_split_without_loss_or_refused(text: str) -> None:
    try:
        up, down = sections(text, "f")
    except MigrationError:
        return
    assert up + (down or "").lstrip("\n") == text


def test_an_engines_own_file_goes_before_the_common_one(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", "common")
    write(tmp_path, "1_a.postgresql.sql", "own")

    assert [m.up for m in read_folder(tmp_path, "x", "postgresql")] == ["own"]
    assert [m.up for m in read_folder(tmp_path, "x", "sqlite")] == ["common"]


def test_the_files_of_two_engines_are_one_migration(tmp_path: Path) -> None:
    write(tmp_path, "1_a.b.postgresql.sql", "p")
    write(tmp_path, "1_a.b.sqlite.sql", "s")

    for engine in ("sqlite", "postgresql"):
        (migration,) = read_folder(tmp_path, "x", engine)
        assert (migration.name, migration.label, migration.up) == ("a.b", "1_a.b", engine[0])


def test_an_edit_of_the_other_engines_file_does_not_change_the_checksum(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sqlite.sql", "s")
    other = write(tmp_path, "1_a.postgresql.sql", "p")
    (before,) = read_folder(tmp_path, "x", "sqlite")
    other.write_text("edited")

    assert read_folder(tmp_path, "x", "sqlite") == [before]


def test_a_migration_for_the_other_engine_only_is_refused_with_the_name_to_write(tmp_path: Path) -> None:
    write(tmp_path, "1_a.postgresql.sql")

    with pytest.raises(
        MigrationError, match=r"is not for sqlite, and there is no 1_a\.sqlite\.sql; write it"
    ):
        read_folder(tmp_path, "x", "sqlite")


def test_two_names_for_the_engines_of_one_timestamp_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "1_a.postgresql.sql")
    write(tmp_path, "1_b.sqlite.sql")

    with pytest.raises(MigrationError, match="have the same timestamp"):
        read_folder(tmp_path, "x", "sqlite")


@pytest.mark.parametrize(
    ("name", "better"), [("pg", "postgresql"), ("postgres", "postgresql"), ("sqlite3", "sqlite")]
)
def test_an_engines_other_name_is_refused_with_the_right_one(tmp_path: Path, name: str, better: str) -> None:
    write(tmp_path, f"1_a.{name}.sql")

    with pytest.raises(MigrationError, match=rf"rename the file to 1_a\.{better}\.sql"):
        read_folder(tmp_path, "x", "sqlite")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1;", (False, None)),
        ("-- no-transaction\nselect 1;", (True, None)),
        ("-- about it\n-- up\n  -- lock-timeout: 5s\n/* more */\n-- no-transaction \nselect 1;", (True, 5.0)),
        ("-- lock-timeout: 250ms\n", (False, 0.25)),
        ("-- lock-timeout: 1.5 min\n", (False, 90.0)),
        ("-- no transaction is needed here\n-- the lock timeout stays\nselect 1;", (False, None)),
        ("select '\n-- no-transaction\n';", (False, None)),
        ("select 1; -- no-transaction", (False, None)),
    ],
)
def test_directives_stand_in_lines_of_their_own_above_all_sql(
    text: str, expected: tuple[bool, float | None]
) -> None:
    assert directives(text, "f") == expected


@pytest.mark.parametrize(
    "text",
    [
        "-- no transaction",
        "-- NO-TRANSACTION",
        "-- lock-timeout: 5",
        "-- lock_timeout: 5s",
        "-- lock-timeout = 5s",
    ],
)
def test_a_misspelt_directive_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(MigrationError, match=r"^f, line 2: write '-- no-transaction', or"):
        directives(f"\n{text}\nselect 1;", "f")


def test_a_directive_below_sql_is_refused_for_it_would_seem_to_hold() -> None:
    with pytest.raises(MigrationError, match=r"^f, line 3: move '-- no-transaction' above all SQL"):
        directives("-- up\nselect 1;\n-- no-transaction\n", "f")


def test_sqlite_does_all_in_transactions_whatever_a_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, "1_a.sql", "-- no-transaction\nselect 1;")

    assert read_file(path, "x", "postgresql").alone
    assert not read_file(path, "x", "sqlite").alone


@pytest.mark.parametrize(
    ("text", "reversible"),
    [
        ("create;", False),
        ("-- up\ncreate;\n-- down\n-- nothing yet\n", False),
        ("-- up\ncreate;\n-- down\ndrop;", True),
        ("-- up\n-- down\n", True),
    ],
)
def test_what_says_nothing_of_how_to_undo_it_cannot_be_undone(
    tmp_path: Path, text: str, reversible: bool
) -> None:
    assert read_file(write(tmp_path, "1_a.sql", text), "x", "sqlite").reversible is reversible
