"""Schema transactions on PostgreSQL as migrations make them, for good and in a rehearsal."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue
from plugins.database.changes import postgresql as changes
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.transaction import PostgresSchemaTransaction


class Migrating(PostgresSchemaTransaction):
    """A schema transaction whose statements may take as long as they need."""

    def __init__(self, database: PostgresDatabase, lock_timeout: float | None) -> None:
        super().__init__(database)
        self._lock_timeout = lock_timeout

    @property
    def session(self) -> Session:
        """The connection it runs on."""
        return self._open()

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they would be after a commit."""
        return catalogues.read(self._open())

    def _begin(self) -> None:
        super()._begin()
        session = self._open()
        try:
            session.take_time(b"LOCAL")
            if self._lock_timeout is not None:
                session.command(b"SET LOCAL lock_timeout = %d" % round(self._lock_timeout * 1000))
        except BaseException:
            self._rollback()
            self._release()
            raise

    def _release(self) -> None:
        if self._session is not None:
            self._session.patience = self._connections.patience
        super()._release()


class Nested(Migrating):
    """Part of a transaction that is open on `session` and that somebody else ends."""

    def __init__(self, database: PostgresDatabase, session: Session) -> None:
        super().__init__(database, None)
        self._outer = session

    def _begin(self) -> None:
        self._outer.command(b"SAVEPOINT part")
        self._outer.command(catalogues.CREATE_VERSION)
        self._session = self._outer

    def _commit(self) -> None:
        session = self._open()
        # What is deferred is checked here, as a commit would.
        session.command(b"SET CONSTRAINTS ALL IMMEDIATE")
        session.command(changes.RECONCILE)
        session.command(b"RELEASE part")

    def _rollback(self) -> None:
        self._open().command(b"ROLLBACK TO part; RELEASE part")

    def _release(self) -> None:
        self._session = None
