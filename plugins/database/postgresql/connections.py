"""The connections of one process to one server: opened when needed, lent out, and let go when broken."""

from __future__ import annotations

import threading
from collections import deque

import msgspec

from kernel.contracts.database import CLOSED, DatabaseUnavailable
from plugins.database.postgresql import errors
from plugins.database.postgresql.session import Session


class Limits(msgspec.Struct, frozen=True):
    """How many connections there are, and the seconds that statements, locks and a free connection may take."""

    connections: int
    statement_timeout: float
    lock_timeout: float


# Everything a result's text or a statement's meaning hangs on is set here and not left to the server's configuration.
_SETTINGS = {
    "client_encoding": "UTF8",
    "datestyle": "ISO",
    "timezone": "UTC",
    # Compiling a statement of many subqueries takes seconds, and it runs for a millisecond: the catalogue's do.
    "jit": "off",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "kernel.announces": "on",  # see `announcing`
}
# A server that a firewall has cut off is noticed within a minute, whether or not something was to be sent.
_REACHING = {
    "application_name": "backend-kernel",
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_PATIENCE = 5.0
"""Seconds that an answer may take beyond the time after which the server stops a statement."""


def reaching(url: str) -> dict[str, str]:
    """Return a URL's parameters, with those by which a connection that is dead is noticed."""
    from psycopg.conninfo import conninfo_to_dict

    return {**_REACHING, **{name: str(value) for name, value in conninfo_to_dict(url).items()}}


class Connections:
    """A pool of sessions; the one returned last is lent next, so that few stay warm."""

    def __init__(self, url: str, limits: Limits, role: str | None = None) -> None:
        """Log in by `url`, and take on `role` where there is one."""
        self.url = url
        self.limits = limits
        self._conninfo = _conninfo(url, limits, role)
        self._role = b"none" if role is None else role.encode()
        self._idle: deque[Session] = deque()
        self._free = threading.BoundedSemaphore(limits.connections)
        self._closed = False

    @property
    def login(self) -> str:
        """The name that is logged in by."""
        from psycopg.conninfo import conninfo_to_dict

        return str(conninfo_to_dict(self._conninfo.decode()).get("user", ""))

    @property
    def patience(self) -> float:
        """Seconds that an answer may take: the server stops a statement before that."""
        return self.limits.statement_timeout + _PATIENCE

    def lend(self) -> Session:
        """Lend a session; give it back with `returned`. Raises `DatabaseUnavailable`."""
        if not self._free.acquire(timeout=self.limits.lock_timeout):
            raise errors.exhausted(self.limits.connections, self.limits.lock_timeout)
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return self.separate()
        except BaseException:
            self._free.release()
            raise

    def returned(self, session: Session) -> None:
        """Take a session back; one that broke takes the idle ones with it, which are likely as dead."""
        if session.broken:
            session.close()
            self._drop_idle()
        elif self._closed or not session.idle:
            session.close()
        else:
            self._idle.append(session)
        self._free.release()

    def separate(self) -> Session:
        """Open a session that its user keeps to itself and closes."""
        if self._closed:
            raise DatabaseUnavailable("the database is closed", sqlstate=CLOSED)
        return Session(self._conninfo, self.patience, self._role)

    def close(self) -> None:
        """Close the idle sessions now, the lent ones when they come back."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:
                return
            session.close()


def _conninfo(url: str, limits: Limits, role: str | None) -> bytes:
    from psycopg.conninfo import make_conninfo

    settings = {
        **_SETTINGS,
        "statement_timeout": str(round(limits.statement_timeout * 1000)),
        "lock_timeout": str(round(limits.lock_timeout * 1000)),
    }
    if role is not None:
        settings["role"] = role
    given = reaching(url)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    given["options"] = f"{given.get('options', '')} {options}".strip()
    return make_conninfo("", **given).encode()
