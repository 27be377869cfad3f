"""Files that are no database, or none that can be used: what is wrong, where, and what to do; nothing is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from kernel.errors import describe


def foreign(path: Path, _: bytes) -> None:
    path.write_bytes(b"the file of another program " * 1000)


def corrupt_header(path: Path, content: bytes) -> None:
    path.write_bytes(content[:100] + b"\xff" * 200 + content[300:])


def corrupt_middle(path: Path, content: bytes) -> None:
    path.write_bytes(content[:4096] + b"\xff" * 4096 * 6 + content[4096 * 7 :])


def truncated(path: Path, content: bytes) -> None:
    path.write_bytes(content[:6000])


def newer(path: Path, content: bytes) -> None:
    path.write_bytes(content[:18] + b"\x09\x09" + content[20:])


def folder(path: Path, _: bytes) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (foreign, "is no SQLite database; move it away"),
        (corrupt_header, "is damaged; put a backup in its place: kernel restore"),
        (corrupt_middle, "is damaged; put a backup in its place: kernel restore"),
        (truncated, "is damaged; put a backup in its place: kernel restore"),
        (newer, "was written by a newer SQLite"),
        (folder, "is a folder; name a file in it"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained_and_left_alone(
    make_database: Any, tmp_path: Path, spoil: Callable[[Path, bytes], None], told: str
) -> None:
    whole = make_database(tmp_path / "whole.db")
    with whole.schema_transaction() as transaction:
        transaction.script("create table t (n int primary key, body text); create index on t (body)")
    whole.close()
    path = tmp_path / "kernel.db"
    spoil(path, (tmp_path / "whole.db").read_bytes())
    before = path.read_bytes() if path.is_file() else None
    database = make_database(path)

    for use in (lambda: database.catalogue, lambda: database.schema_transaction().__enter__()):
        with pytest.raises(DatabaseError) as raised:
            use()
        assert told in describe(raised.value)
        assert str(path) in describe(raised.value)
        assert str(tmp_path) not in raised.value.message  # which clients see

    database.close()
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_folder_that_is_missing_is_named(make_database: Any, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as raised:
        _ = make_database(tmp_path / "gone" / "kernel.db").catalogue
    assert f"there is no folder {tmp_path / 'gone'}; make it" in describe(raised.value)


def test_who_opens_a_new_file_waits_for_others_that_do(make_database: Any, tmp_path: Path) -> None:
    """SQLite itself refuses at once to put a file in WAL mode that another is putting in WAL mode."""
    together = threading.Barrier(4)

    def open_(path: Path) -> object:
        database = make_database(path)
        together.wait(30)
        database.create_tables()
        return database.connections.separate().pragma("journal_mode")

    with ThreadPoolExecutor(4) as pool:
        for attempt in range(150):
            assert list(pool.map(open_, [tmp_path / f"{attempt}.db"] * 4)) == ["wal"] * 4
