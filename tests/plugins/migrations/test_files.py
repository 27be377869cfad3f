"""Migration files: names, order, sections, checksums."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.migrations.errors import MigrationError
from plugins.migrations.files import read_file, read_folder, sections

SQL = "create table a (id int);\n"


def write(folder: Path, name: str, text: str = SQL) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_a_folder_that_is_not_there_has_no_migrations(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "migrations", "x") == []


def test_files_are_ordered_by_number_and_not_by_spelling(tmp_path: Path) -> None:
    for name in ("10_c.sql", "9_b.sql", "0001_a.sql", "README.md", ".1_swap.sql"):
        write(tmp_path, name)

    assert [m.name for m in read_folder(tmp_path, "x")] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["notes.sql", "20260101_.sql", "20260101-notes.sql", "1_no te.sql"])
def test_a_name_without_its_place_is_refused_with_a_better_one(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)

    with pytest.raises(MigrationError, match=r"like 20260131120000_\w+\.sql; rename"):
        read_folder(tmp_path, "x")


def test_two_files_of_one_timestamp_are_refused_naming_both(tmp_path: Path) -> None:
    write(tmp_path, "7_a.sql")
    write(tmp_path, "007_b.sql")

    with pytest.raises(MigrationError, match=r"7_a\.sql and 007_b\.sql|007_b\.sql and 7_a\.sql"):
        read_folder(tmp_path, "x")


def test_text_that_is_not_utf8_is_refused_naming_the_place(tmp_path: Path) -> None:
    path = tmp_path / "1_a.sql"
    path.write_bytes(b"select '\xff'")

    with pytest.raises(MigrationError, match=r"1_a\.sql: not UTF-8 at byte 8"):
        read_file(path, "x")


def test_line_ends_and_a_byte_order_mark_do_not_change_the_checksum(tmp_path: Path) -> None:
    unix = read_file(write(tmp_path, "1_a.sql", "a\nb\n"), "x")
    windows = read_file(write(tmp_path, "2_a.sql", "\ufeffa\r\nb\r\n"), "x")
    other = read_file(write(tmp_path, "3_a.sql", "a\nc\n"), "x")

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
