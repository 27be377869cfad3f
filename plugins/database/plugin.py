"""The database plugin: settings, services, and opening and closing in step with the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from kernel.config import SecretURL
from kernel.contracts.changes import ChangeLog
from kernel.contracts.database import Database
from kernel.contracts.schema import SchemaWork
from kernel.contracts.signals import Signals
from kernel.errors import ConfigError
from kernel.plugin import Plugin, hookimpl

if TYPE_CHECKING:
    import click

    from plugins.database.backup.project import Place
    from plugins.database.changes.following import Pruning
    from plugins.database.changes.postgresql import PostgresChangeLog
    from plugins.database.changes.sqlite import SqliteChangeLog
    from plugins.database.copying.copying import Side
    from plugins.database.postgresql.database import PostgresDatabase
    from plugins.database.signals.postgresql import PostgresSignals
    from plugins.database.signals.sqlite import SqliteSignals
    from plugins.database.sqlite.database import SqliteDatabase


class DatabaseSettings(msgspec.Struct, frozen=True):
    """Settings of the database."""

    url: Annotated[
        SecretURL,
        msgspec.Meta(
            description="sqlite:///kernel.db (a file in the data folder), sqlite:////srv/app.db (an absolute path), "
            "sqlite:///:memory: or postgresql://user:password@host/name."
        ),
    ] = SecretURL("sqlite:///kernel.db")
    owner_url: Annotated[
        SecretURL | None,
        msgspec.Meta(
            description="On PostgreSQL, the login that prepares the database and changes its schema; the one in url "
            "then needs no rights of its own."
        ),
    ] = None
    connections: Annotated[
        int, msgspec.Meta(ge=1, description="Connections to PostgreSQL that one process may open.")
    ] = 10
    statement_timeout: Annotated[
        float, msgspec.Meta(gt=0, description="How long one statement may run, in seconds.")
    ] = 30.0
    busy_timeout: Annotated[
        float,
        msgspec.Meta(
            ge=0, description="How long to wait for another writer or a free connection, in seconds."
        ),
    ] = 5.0
    inline_steps: Annotated[
        int,
        msgspec.Meta(
            gt=0,
            description="Steps of SQLite's virtual machine that a read on the event loop may take before it moves to a "
            "thread; a list of 30 rows takes about 300.",
        ),
    ] = 20_000
    change_retention: Annotated[
        float,
        msgspec.Meta(
            gt=0,
            description="How long changes stay in the change log for readers that fall behind, in seconds.",
        ),
    ] = 86_400.0


class DatabasePlugin(Plugin):
    """The embedded database: PostgreSQL's SQL on SQLite."""

    name = "database"
    provides = (Database, Signals, ChangeLog, SchemaWork)
    Settings = DatabaseSettings

    database: SqliteDatabase | PostgresDatabase
    signals: SqliteSignals | PostgresSignals
    changes: SqliteChangeLog | PostgresChangeLog
    pruning: Pruning | None = None
    schema_work: SchemaWork

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        """Offer the database and its signals; nothing is opened before first use."""
        settings: DatabaseSettings = self.settings
        engine = settings.url.reveal().partition("://")[0]
        if engine == "sqlite":
            self._use_sqlite(settings)
        elif engine in ("postgresql", "postgres"):
            self._use_postgresql(settings)
        else:
            raise ConfigError(
                f"[database] url is {settings.url.shown!r}; it must start with 'sqlite:///', like "
                "'sqlite:///kernel.db', or with 'postgresql://'"
            )
        return {
            Database: self.database,
            Signals: self.signals,
            ChangeLog: self.changes,
            SchemaWork: self.schema_work,
        }

    def _use_sqlite(self, settings: DatabaseSettings) -> None:
        from plugins.database.changes.sqlite import SqliteChangeLog
        from plugins.database.schema_work.sqlite import SqliteSchemaWork
        from plugins.database.signals.sqlite import SqliteSignals
        from plugins.database.sqlite.connections import Limits
        from plugins.database.sqlite.database import SqliteDatabase, path_of

        limits = Limits(settings.statement_timeout, settings.busy_timeout, settings.inline_steps)
        kernel = self.kernel
        path = path_of(settings.url.reveal(), lambda: kernel.data)
        self.database = SqliteDatabase(path, limits, kernel.clock, kernel.ids, kernel.events.publish)
        self.signals = SqliteSignals(self.database)
        self.changes = SqliteChangeLog(self.database, self.signals)
        self.schema_work = SqliteSchemaWork(
            self.database,
            lambda path: SqliteDatabase(path, limits, kernel.clock, kernel.ids, lambda _: None),
        )

    def _use_postgresql(self, settings: DatabaseSettings) -> None:
        try:
            from psycopg.conninfo import make_conninfo

            from plugins.database.changes.postgresql import PostgresChangeLog
            from plugins.database.postgresql.connections import Limits
            from plugins.database.postgresql.database import PostgresDatabase
            from plugins.database.schema_work.postgresql import PostgresSchemaWork
            from plugins.database.signals.postgresql import PostgresSignals
        except ImportError as error:
            raise ConfigError(
                "[database] url names PostgreSQL, whose driver is not installed: pip install 'backend-kernel[postgres]'"
            ) from error

        limits = Limits(settings.connections, settings.statement_timeout, settings.busy_timeout)
        owner = settings.owner_url.reveal() if settings.owner_url else None
        self.database = PostgresDatabase(settings.url.reveal(), limits, self.kernel.events.publish, owner)
        self.signals = PostgresSignals(self.database)
        self.changes = PostgresChangeLog(self.database, self.signals)
        self.schema_work = PostgresSchemaWork(
            self.database,
            lambda name: PostgresDatabase(
                make_conninfo(settings.url.reveal(), dbname=name),
                limits,
                lambda _: None,
                make_conninfo(owner, dbname=name) if owner else None,
            ),
        )

    @hookimpl
    def kernel_prepare(self) -> None:
        """Have the database know the standard roles, and who asks; log the tables that somebody has published."""
        self.database.prepare()
        self.changes.prepare()

    @hookimpl
    def kernel_start(self) -> None:
        """Keep the change log as long as the settings say."""
        if self.kernel.role == "http":
            from plugins.database.changes.following import Pruning

            self.pruning = Pruning(self.changes, self.settings.change_retention)

    @hookimpl
    def kernel_commands(self) -> Iterable[click.Command]:
        """Offer ``kernel backup``, ``kernel restore`` and ``kernel db``."""
        from plugins.database.commands import backup_command, db_group, restore_command

        yield backup_command(self)
        yield restore_command(self)
        yield db_group(self)

    def place(self) -> Place:
        """Return where the database is, for backups; raises `ConfigError` for one that goes with its process."""
        url = self.settings.url.reveal()
        if self.database.engine == "postgresql":
            from plugins.database.backup.postgresql import PostgresPlace

            return PostgresPlace(url, self.database)
        from plugins.database.backup.sqlite import SqlitePlace
        from plugins.database.sqlite.database import path_of

        path = path_of(url, lambda: self.kernel.data)
        if path is None:
            raise ConfigError("[database] url names a database in memory, which goes with its process")
        return SqlitePlace(path)

    def side(self) -> Side:
        """Return the database as one that rows are copied from or to."""
        from plugins.database.copying.sqlite import SqliteSide
        from plugins.database.sqlite.database import SqliteDatabase

        database = self.database
        if isinstance(database, SqliteDatabase):
            return SqliteSide(database)
        from plugins.database.copying.postgresql import PostgresSide

        return PostgresSide(self.settings.url.reveal(), database)

    @hookimpl
    def kernel_health(self) -> Mapping[str, str | None]:
        """Report whether the database answers."""
        try:
            self.database.query("select 1")
        except Exception as error:
            return {"database": f"does not answer ({type(error).__name__})"}
        return {"database": None}

    @hookimpl
    def kernel_stop(self) -> None:
        """Close what was opened."""
        if self.pruning is not None:
            self.pruning.close()
        if hasattr(self, "database"):
            self.changes.close()
            self.signals.close()
            self.database.close()
