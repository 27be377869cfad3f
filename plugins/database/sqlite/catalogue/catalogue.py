"""The catalogue in the file: each table's definition in PostgreSQL's terms, in our own table beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import apsw
import msgspec

from kernel.contracts.catalogue import PUBLIC, STANDARD_ROLES, Catalogue, Domain, Enum, Function, Role
from plugins.database.sqlite.catalogue.definitions import Definition, DomainSource, Routine
from plugins.database.sqlite.catalogue.views import with_views
from plugins.database.sqlite.statements import Change, Defaults, Usage

_CREATE = """
CREATE TABLE IF NOT EXISTS "kernel.catalogue" (
    "schema" TEXT NOT NULL, "name" TEXT NOT NULL, "kind" TEXT NOT NULL, "definition" TEXT,
    PRIMARY KEY ("schema", "name")
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "kernel.signals" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT, "topic" TEXT NOT NULL, "payload" TEXT NOT NULL, "sent" REAL NOT NULL
) STRICT
"""
BUILT_IN_SCHEMAS = frozenset({"public", "kernel", "auth"})
_USAGE = {"public": frozenset({PUBLIC}), "auth": frozenset({PUBLIC})}
EMPTY = Catalogue(version=0, tables=MappingProxyType({}), schemas=BUILT_IN_SCHEMAS, usage=_USAGE)

_STALE_AFTER = 0.1


def create(connection: apsw.Connection) -> None:
    """Create our own tables in a file that does not have them; the caller is in a transaction."""
    connection.execute(_CREATE)


def exists(connection: apsw.Connection) -> bool:
    """Tell whether the file has our tables."""
    found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'kernel.signals'").get
    return bool(found)


def version(connection: apsw.Connection) -> int:
    """Return the catalogue's version, kept in the file's header."""
    return int(connection.pragma("user_version"))


def bump(connection: apsw.Connection) -> None:
    """Give the catalogue its next version; the caller is in a transaction."""
    connection.pragma("user_version", version(connection) + 1)


def read(connection: apsw.Connection) -> Catalogue:
    """Read the catalogue as of one moment."""
    connection.execute("BEGIN")
    try:
        return read_within(connection)
    finally:
        connection.execute("COMMIT")


def read_within(connection: apsw.Connection) -> Catalogue:
    """Read the catalogue as the transaction in progress sees it."""
    if not exists(connection):
        return EMPTY
    found = version(connection)
    cursor = connection.execute('SELECT "schema", "name", "kind", "definition" FROM "kernel.catalogue"')
    rows: list[Any] = cursor.fetchall()
    decode = msgspec.json.Decoder(Definition).decode
    tables = {(schema, name): decode(text) for schema, name, kind, text in rows if kind in ("table", "view")}
    empty = msgspec.structs.replace(EMPTY, version=found, tables=MappingProxyType(tables))
    return apply(empty, (_read_change(*row) for row in rows if row[2] not in ("table", "view")))


def _read_change(schema: str, name: str, kind: str, text: str | None) -> Change:
    if kind == "function" and text is not None:
        return Change(schema, name, function=msgspec.json.decode(text, type=Routine))
    value = None if text is None else msgspec.json.decode(text, type=_VALUES[kind])
    return Change(schema, name, is_schema=kind == "schema", value=value)


_VALUES: dict[str, type[Role | Usage | Defaults | Enum | DomainSource]] = {
    "schema": Usage, "role": Role, "defaults": Defaults, "enum": Enum, "domain": DomainSource,
}  # fmt: skip


def _by_name(functions: Iterable[Function]) -> Mapping[tuple[str, str], tuple[Function, ...]]:
    result: dict[tuple[str, str], tuple[Function, ...]] = {}
    for function in functions:
        key = (function.schema, function.name)
        result[key] = (*result.get(key, ()), function)
    return MappingProxyType(result)


def apply(catalogue: Catalogue, changes: Iterable[Change]) -> Catalogue:
    """Return `catalogue` after `changes`."""
    tables, schemas = dict(catalogue.tables), set(catalogue.schemas)
    roles, usage, defaults = dict(catalogue.roles), dict(catalogue.usage), catalogue.default_grants
    functions = {
        (one.schema, one.signature): one for overloads in catalogue.functions.values() for one in overloads
    }
    enums = dict(catalogue.enums)
    domains = dict(catalogue.domains)
    for change in _without_types(changes, enums, domains):
        if change.function is not None:
            functions.pop((change.schema, change.name), None)
            if not change.is_gone:
                functions[change.schema, change.name] = change.function
        elif change.is_schema and change.is_gone:
            schemas.discard(change.schema)
            usage.pop(change.schema, None)
        elif change.is_schema:
            schemas.add(change.schema)
            if isinstance(change.value, Usage):
                usage[change.schema] = change.value.roles
        elif isinstance(change.value, Defaults):
            defaults = change.value.grants
        elif isinstance(change.value, Role):
            roles[change.name] = change.value
        elif not change.schema:
            roles.pop(change.name, None)
        elif change.table is None:
            tables.pop((change.schema, change.name), None)
        else:
            tables[change.schema, change.name] = change.table
    return Catalogue(
        version=catalogue.version,
        tables=MappingProxyType(with_views(tables)),
        schemas=frozenset(schemas),
        functions=_by_name(functions.values()),
        roles=MappingProxyType({**STANDARD_ROLES, **roles}),
        usage=MappingProxyType(usage),
        default_grants=defaults,
        enums=MappingProxyType(enums),
        domains=MappingProxyType(domains),
    )


def _without_types(
    changes: Iterable[Change], enums: dict[tuple[str, str], Enum], domains: dict[tuple[str, str], Domain]
) -> Iterator[Change]:
    """Apply what is about enumerations and domains, and yield the rest."""
    for change in changes:
        key, value = (change.schema, change.name), change.value
        if not isinstance(value, (Enum, Domain)):
            yield change
        elif change.is_gone:
            (enums if isinstance(value, Enum) else domains).pop(key, None)
        elif isinstance(value, Enum):
            enums[key] = value
        else:
            domains[key] = value


def write(connection: apsw.Connection, changes: Iterable[Change]) -> None:
    """Keep `changes` in the file; the caller is in a transaction."""
    for change in changes:
        key = (change.schema, change.name)
        kept = change.table or change.function or change.value
        if change.is_gone or (kept is None and not change.is_schema):
            connection.execute('DELETE FROM "kernel.catalogue" WHERE "schema" = ? AND "name" = ?', key)
            continue
        kind = _kind(change)
        text = None if kept is None else msgspec.json.encode(kept).decode()
        connection.execute(
            'INSERT OR REPLACE INTO "kernel.catalogue" VALUES (?, ?, ?, ?)', (*key, kind, text)
        )


def _kind(change: Change) -> str:
    if change.table is not None:
        return change.table.kind
    if change.function is not None:
        return "function"
    return next(kind for kind, cls in _VALUES.items() if change.is_schema or isinstance(change.value, cls))


class CatalogueCache:
    """The catalogue as this process knows it.

    A change made here is seen at once; one made by another process within a tenth of a second, for the price of
    reading the file's header that often.
    """

    def __init__(self) -> None:
        self._current = EMPTY
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def fresh(self) -> Catalogue | None:
        """Return the catalogue if it was looked at recently."""
        return self._current if time.monotonic() - self._looked < _STALE_AFTER else None

    def refresh(self, connection: apsw.Connection) -> Catalogue:
        """Look at the file's version and read the catalogue again if it has changed."""
        with self._lock:
            looked = time.monotonic()
            if version(connection) != self._current.version or self._current is EMPTY:
                self._current = read(connection)
            self._looked = looked
            return self._current

    def forget(self) -> None:
        """Look again at the next use."""
        self._looked = float("-inf")
