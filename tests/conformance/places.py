"""Databases of the suite's own, on either engine: made, put back to a state that they had, and removed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import apsw
import msgspec

from tests.conformance.fixtures import roles
from tests.conformance.loading import Load, Loaded

_CACHED = "kernel_conformance_"
_KEPT = 4


class Place(Protocol):
    """A database with the fixtures in it, that a server at `url` works on while this watches."""

    url: str
    loaded: Loaded

    def state(self) -> Any:
        """Return all there is in it now."""

    def restore(self, state: Any) -> None:
        """Put back a state, where anything has changed."""


@contextmanager
def sqlite_place(folder: Path, load: Load, cached: Path | None) -> Iterator[Place]:
    """Make a file in `folder`; with `cached`, a file without suffix, take it from there or leave it there."""
    path = folder / "conformance.db"
    kept, told = (cached.with_suffix(".db"), cached.with_suffix(".json")) if cached else (None, None)
    if kept is not None and told is not None and kept.exists() and told.exists():
        path.write_bytes(kept.read_bytes())
        loaded = msgspec.json.decode(told.read_bytes(), type=Loaded)
    else:
        loaded = load(f"sqlite:///{path}", {"DBNAME": "conformance", "PGUSER": "postgres"})
        if kept is not None and told is not None:
            _copy(path, kept)
            told.write_bytes(msgspec.json.encode(loaded))
            for old in sorted(kept.parent.glob("*.db"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
                old.unlink()
    place = _SqlitePlace(path, loaded)
    try:
        yield place
    finally:
        place.close()


def _copy(source: Path, target: Path) -> None:
    """Copy a file as its readers see it, whatever of it is in its log yet."""
    reader, writer = apsw.Connection(str(source)), apsw.Connection(str(target))
    with writer.backup("main", reader, "main") as backup:
        backup.step()
    writer.close()
    reader.close()


class _SqlitePlace:
    """Copies pages; a state is a database in memory, with the number that says which schema it has."""

    def __init__(self, path: Path, loaded: Loaded) -> None:
        self.url = f"sqlite:///{path}"
        self.loaded = loaded
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.set_busy_timeout(5000)
        self._holds: tuple[object, int] = (None, 0)

    def state(self) -> tuple[apsw.Connection, int]:
        """Return a copy of the file."""
        copy = apsw.Connection(":memory:")
        with copy.backup("main", self._connection, "main") as backup:
            backup.step()
        state = copy, self._number("PRAGMA schema_version")
        self._holds = state, self._number("PRAGMA data_version")
        return state

    def restore(self, state: tuple[apsw.Connection, int]) -> None:
        """Copy a state back, unless it is there and nobody has written since."""
        # The number changes with what others commit, and not with what this connection does.
        version = self._number("PRAGMA data_version")
        if self._holds == (state, version):
            return
        copy, schema = state
        with self._connection.backup("main", copy, "main") as backup:
            backup.step()
        # A backup counts as a change of the schema, after which a server would read its catalogue anew.
        self._connection.execute(f"PRAGMA schema_version = {schema}")
        self._holds = state, version

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _number(self, pragma: str) -> int:
        ((number,),) = self._connection.execute(pragma).fetchall()
        assert isinstance(number, int)
        return number


@contextmanager
def postgresql_place(server: str, fixtures: Path, load: Load, cached: str | None) -> Iterator[Place]:
    """Make a database on `server` (a URL), from a template named after `cached` where there is one, and drop it.

    Roles of the fixtures belong to the whole server; those that were not there go again, unless a template needs them.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    user = str(conninfo_to_dict(server).get("user", "postgres"))
    name = _CACHED + uuid.uuid4().hex
    template = f"{_CACHED}{cached}" if cached else None
    with psycopg.connect(server, autocommit=True) as admin:
        made = (
            [] if template and _exists(admin, template) else _make_roles(admin, roles(fixtures / "load.sql"))
        )
        try:
            loaded = _fill(admin, server, template or name, user, load)
            if template is not None:
                admin.execute(f'create database "{name}" template "{template}"'.encode())
            place = _PostgresPlace(_with_name(server, name), loaded)
            try:
                yield place
            finally:
                place.close()
        finally:
            admin.execute(f'drop database if exists "{name}" with (force)'.encode())
            if template is None:
                _drop_roles(admin, made)


def _fill(admin: Any, server: str, name: str, user: str, load: Load) -> Loaded:
    """Make a database with the fixtures unless it is there; what came of loading is kept as its comment."""
    if _exists(admin, name):
        (text,) = admin.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", [name]
        ).fetchone()
        return msgspec.json.decode(text, type=Loaded)
    admin.execute(f'create database "{name}" template template0'.encode())
    try:
        loaded = load(_with_name(server, name), {"DBNAME": name, "PGUSER": user})
    except BaseException:
        admin.execute(f'drop database "{name}" with (force)'.encode())
        raise
    _analyze(_with_name(server, name))
    told = json.dumps(msgspec.to_builtins(loaded)).replace("'", "''")
    admin.execute(f"comment on database \"{name}\" is '{told}'".encode())
    return loaded


def _analyze(url: str) -> None:
    """Have the planner know what is there: some cases ask it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")


def _make_roles(admin: Any, statements: list[str]) -> list[str]:
    made = []
    for statement in statements:
        name = statement.split()[2]
        if not admin.execute("select from pg_roles where rolname = %s", [name]).fetchall():
            admin.execute(statement.encode())
            made.append(name)
    return made


def _drop_roles(admin: Any, names: list[str]) -> None:
    import psycopg

    for name in names:
        try:
            admin.execute(f'drop role "{name}"'.encode())
        except psycopg.errors.DependentObjectsStillExist:
            continue  # another database of the suite's has come to use it


def _exists(admin: Any, name: str) -> bool:
    return bool(admin.execute("select from pg_database where datname = %s", [name]).fetchall())


def _with_name(server: str, name: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(server)._replace(path=f"/{name}").geturl()


_TABLES = """
select format('%I.%I', n.nspname, c.relname), c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'S') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
order by 1
"""


class _Rows:
    """A state: what COPY writes of each table, the sequences' values, and the versions at which tables hold that."""

    def __init__(
        self, rows: dict[str, bytes], versions: dict[str, tuple[Any, ...]], sequences: list[str]
    ) -> None:
        self.rows = rows
        self.versions = versions
        self.sequences = {name: versions[name] for name in sequences}


class _PostgresPlace:
    """Compares tables by the versions of their rows, and copies the changed ones back."""

    def __init__(self, url: str, loaded: Loaded) -> None:
        import psycopg

        self.url = url
        self.loaded = loaded
        self._connection = psycopg.connect(url, autocommit=True)
        # Triggers, foreign keys among them, have no part in putting rows back.
        self._connection.execute("set session_replication_role = replica; set jit = off")
        found = self._connection.execute(_TABLES).fetchall()
        self._tables = [name for name, kind in found if kind == "r"]
        self._sequences = [name for name, kind in found if kind == "S"]

    def state(self) -> _Rows:
        """Return all rows."""
        rows = {name: self._copied(name) for name in self._tables}
        return _Rows(rows, self._versions(), self._sequences)

    def restore(self, state: _Rows) -> None:
        """Put back the tables and sequences that have changed."""
        now = self._versions()
        changed = [name for name in now if now[name] != state.versions[name]]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for name in changed:
                if name in state.sequences:
                    cursor.execute("select setval(%s, %s, %s)", [name, *state.sequences[name]])
                    continue
                cursor.execute(f"delete from {name}".encode())
                with cursor.copy(f"copy {name} from stdin".encode()) as copy:
                    copy.write(state.rows[name])
        if changed:
            state.versions = self._versions()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _versions(self) -> dict[str, tuple[Any, ...]]:
        columns = [
            *(f"(select row(count(*), sum(xmin::text::bigint)) from {name})" for name in self._tables),
            *(f"(select row(last_value, is_called) from {name})" for name in self._sequences),
        ]
        names = [*self._tables, *self._sequences]
        seen: dict[str, tuple[Any, ...]] = {}
        for start in range(0, len(names), 500):
            asked = ", ".join(columns[start : start + 500])
            values = self._connection.execute(f"select {asked}".encode(), prepare=True).fetchone() or ()
            seen.update(zip(names[start : start + 500], values, strict=True))
        return seen

    def _copied(self, name: str) -> bytes:
        with self._connection.cursor() as cursor, cursor.copy(f"copy {name} to stdout".encode()) as copy:
            return b"".join(bytes(piece) for piece in copy)
