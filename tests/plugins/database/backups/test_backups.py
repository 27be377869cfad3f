"""``kernel backup`` and ``kernel restore``, on both engines."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts import ChangeLog, Database
from kernel.contracts.changes import ChangesLost
from plugins.database.backup.archive import CHECKSUM, MANIFEST, BackupError


def left(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


def test_a_backup_put_back_elsewhere_is_the_same_project(
    source: Any, file: Path, make: Callable[[str], Any], tmp_path: Path
) -> None:
    other = make("other")
    told = other.command("restore", str(file))
    assert set(told["members"]) == {"database", "data/keys.json"}
    assert other.rows() == source.rows()
    assert other.keys.read_bytes() == source.keys.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(other.keys.stat().st_mode) == 0o600
    assert left(tmp_path) >= {"source", "other", "a.backup"}
    assert not [
        name for name in left(tmp_path) | left(other.folder / "data") if name.startswith((".b", ".r"))
    ]


def test_identities_count_on_and_changes_are_logged_after_a_restore(
    file: Path, make: Callable[[str], Any]
) -> None:
    other = make("other")
    other.command("restore", str(file))
    services = other.kernel().services
    cursor = services[ChangeLog].now()
    with services[Database].transaction() as transaction:
        assert transaction.query("insert into authors (name) values ('Cid') returning id") == [(3,)]
    assert [change.command for change in services[ChangeLog].read(cursor).changes] == ["INSERT"]


def test_cursors_from_before_a_restore_are_refused(source: Any, file: Path) -> None:
    kernel = source.kernel()
    cursor = kernel.services[ChangeLog].now()
    kernel.stop()
    source.command("restore", "--yes", str(file))
    with pytest.raises(ChangesLost):
        source.kernel().services[ChangeLog].read(cursor)


def test_a_backup_is_taken_while_others_write(source: Any, tmp_path: Path, make: Any) -> None:
    stop, done = threading.Event(), 0
    kernel = source.kernel()
    begun = threading.Event()

    def write() -> None:
        nonlocal done
        while not stop.is_set():
            with kernel.services[Database].transaction() as transaction:
                transaction.execute("insert into authors (name) values ('left')")
                transaction.execute("insert into authors (name) values ('right')")
            done += 1
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        begun.wait(10)
        at_least = done
        source.command("backup", str(tmp_path / "b.backup"))
        assert done > at_least
    finally:
        stop.set()
        writer.join()
    other = make("other")
    other.command("restore", str(tmp_path / "b.backup"))
    names = [name for _, name, _ in other.rows()[0]][2:]
    assert names == ["left", "right"] * (len(names) // 2)
    assert len(names) >= 2 * at_least


def test_a_file_that_is_there_is_not_written_over(source: Any, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(BackupError, match="there already"):
        source.command("backup", str(file))
    assert file.read_bytes() == before


def test_what_is_here_is_replaced_only_when_told_so(source: Any, file: Path) -> None:
    kernel = source.kernel()
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script("update authors set name = 'Zoe' where id = 1; create table later (n int)")
    kernel.stop()
    changed = source.rows()
    source.keys.write_text("changed")
    with pytest.raises(BackupError, match="--yes"):
        source.command("restore", str(file))
    assert (source.rows(), source.keys.read_text()) == (changed, "changed")
    source.command("restore", "--yes", str(file))
    assert source.rows()[0][0][1] == "Ann"
    assert source.kernel().services[Database].catalogue.table("later") is None
    assert source.keys.read_text() != "changed"


def test_verify_reads_all_and_changes_nothing(file: Path, make: Callable[[str], Any]) -> None:
    other = make("other")
    assert other.command("restore", "--verify", str(file))["engine"] in ("sqlite", "postgresql")
    assert not other.keys.exists()
    assert not other.kernel().services[Database].catalogue.tables


def members_of(file: Path) -> dict[str, bytes]:
    """Return what is in an archive, by name."""
    with tarfile.open(file) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def packed(file: Path, members: dict[str, bytes]) -> str:
    """Write an archive, its manifest last and with its checksum; return its path."""
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in sorted(members.items(), key=lambda item: item[0] == MANIFEST):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            if member == MANIFEST:
                info.pax_headers = {CHECKSUM: hashlib.sha256(content).hexdigest()}
            tar.addfile(info, io.BytesIO(content))
    return str(file)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "data/../../outside", "data/", "other"])
def test_a_name_that_leads_elsewhere_is_refused(source: Any, file: Path, tmp_path: Path, name: str) -> None:
    def another(name: str) -> dict[str, bytes]:
        members = members_of(file)
        manifest = json.loads(members[MANIFEST])
        manifest["members"][name] = manifest["members"]["data/keys.json"]
        return {**members, name: members["data/keys.json"], MANIFEST: json.dumps(manifest).encode()}

    source.command("restore", "--verify", packed(tmp_path / "good.backup", another("data/other")))
    with pytest.raises(BackupError, match="damaged"):
        source.command("restore", "--yes", packed(tmp_path / "evil.backup", another(name)))


def test_a_file_that_is_no_backup_is_refused(source: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no backup " * 1000)
    with pytest.raises(BackupError, match="damaged"):
        source.command("restore", "--yes", str(tmp_path / "text"))
    with pytest.raises(BackupError, match="No such file"):
        source.command("restore", str(tmp_path / "missing"))


def test_a_backup_of_the_other_engine_is_refused(file: Path, tmp_path: Path, make: Any) -> None:
    members = members_of(file)
    members[MANIFEST] = members[MANIFEST].replace(b'"sqlite"', b'"x"').replace(b'"postgresql"', b'"x"')
    with pytest.raises(BackupError, match="kernel db copy"):
        make("other").command("restore", packed(tmp_path / "other.backup", members))


def test_the_password_is_not_among_a_programs_arguments() -> None:
    from plugins.database.postgresql.programs import connection

    arguments, environment = connection("postgresql://ann:secret@localhost/db")
    assert "secret" not in " ".join(arguments)
    assert environment == {"PGPASSWORD": "secret"}


def test_a_database_in_use_is_not_replaced(source: Any, file: Path) -> None:
    serving = source.kernel()
    before = serving.services[Database].query("select id, name, price from authors")
    with pytest.raises(BackupError, match=r"in use.*; stop the server"):
        source.command("restore", "--yes", str(file))
    assert serving.services[Database].query("select id, name, price from authors") == before
    serving.stop()
    source.command("restore", "--yes", str(file))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_there_is_nothing_to_back_up_before_the_first_start(make: Any, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="kernel serve"):
        make("empty").command("backup", str(tmp_path / "d.backup"))
    assert not (tmp_path / "d.backup").exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_failure_in_the_middle_changes_nothing(
    source: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.database.backup import postgresql as backup

    before = source.rows()
    monkeypatch.setattr(backup, "_RESTART", "select 1 / 0;")
    with pytest.raises(BackupError, match="division by zero; nothing was changed"):
        source.command("restore", "--yes", str(file))
    assert source.rows() == before


@pytest.mark.parametrize("engine", ["postgresql"])
def test_missing_client_programs_are_named(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="no pg_dump here; install"):
        source.command("backup", str(tmp_path / "f.backup"))
    assert not (tmp_path / "f.backup").exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_roles_that_are_missing_are_made(source: Any, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(source.url, autocommit=True) as server:
        server.execute("create role reader_of_backups; grant select on authors to reader_of_backups")
        try:
            source.command("backup", str(tmp_path / "g.backup"))
            server.execute("drop owned by reader_of_backups; drop role reader_of_backups")
            source.command("restore", "--yes", str(tmp_path / "g.backup"))
            (allowed,) = server.execute(
                "select has_table_privilege('reader_of_backups', 'authors', 'select')"
            ).fetchone() or (None,)
            assert allowed
        finally:
            server.execute("drop owned by reader_of_backups; drop role reader_of_backups")
