"""Puts the fixtures into a database through its contract, statement by statement, and keeps what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from kernel.config import Config
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import SchemaTransaction, SchemaWork
from kernel.kernel import Kernel
from tests.conformance.fixtures import Statement, roles, statements
from tests.conformance.search_path import SearchPath

_MOST_TOGETHER = 64
_ENTRY = "load.sql"


class Refused(msgspec.Struct, frozen=True):
    """A statement that the database refused, with its reason and SQLSTATE."""

    file: str
    line: int
    statement: str
    reason: str
    sqlstate: str


class Loaded(msgspec.Struct, frozen=True):
    """How many statements there were, and those that were refused."""

    statements: int
    refused: tuple[Refused, ...]


def load(folder: Path, project: Path, url: str, variables: Mapping[str, str]) -> Loaded:
    """Run the fixtures in `folder` on the database at `url`, by a kernel of `project`, as a migration would run."""
    script = folder / _ENTRY
    found = list(statements(script, variables))
    if url.startswith("sqlite:"):  # a server's roles are its own, and made before
        found = [*(Statement(text, "roles", 0) for text in roles(script)), *found]
    return run(found, project, url)


def run(statements: Iterable[Statement], project: Path, url: str) -> Loaded:
    """Run statements on the database at `url`, by a kernel of `project`, as a migration would run."""
    with Kernel(Config({"database": {"url": url}}, {}, project=project), role="command") as kernel:
        loader = _Loader(kernel.services[SchemaWork], kernel.services[Database].engine)
        for statement in statements:
            loader.add(statement)
        loader.end()
    return Loaded(loader.count, tuple(loader.refused))


Load = Callable[[str, Mapping[str, str]], Loaded]
"""`load` of a folder by a project: what is left to say is the URL and psql's variables."""


class _Loader:
    """Runs several statements in a transaction as long as none is refused, and then one by one for a while."""

    def __init__(self, work: SchemaWork, engine: str) -> None:
        self.engine = engine
        self.count = 0
        self.refused: list[Refused] = []
        self._work = work
        self._path = SearchPath() if engine == "sqlite" else None
        self._session: dict[str, str] = {}
        self._waiting: list[tuple[Statement, str]] = []
        self._together = 1
        # A server's sequences give no number twice, also where what took the first one was undone.
        self._most = _MOST_TOGETHER if engine == "sqlite" else 1

    def add(self, statement: Statement) -> None:
        """Run a statement, soon."""
        self.count += 1
        if self._path is None:
            if statement.text.lower().startswith("set "):
                self.end()
                self._set(statement.text)
            else:
                self._waiting.append((statement, statement.text))
        elif not self._path.follow(statement.text):
            self._waiting.append((statement, self._path.qualified(statement.text)))
        if len(self._waiting) >= self._together:
            self.end()

    def end(self) -> None:
        """Run what waits."""
        while self._waiting:
            batch = self._waiting[: self._together]
            done = self._run(batch)
            if done < len(batch) and done > 0 and self._run(batch[:done]) < done:
                raise AssertionError(f"what had run was refused the second time: {self.refused[-1]}")
            refused = done < len(batch)
            self._waiting = self._waiting[done + refused :]
            self._together = 1 if refused else min(2 * self._together, self._most)

    def _run(self, batch: list[tuple[Statement, str]]) -> int:
        """Run statements in one transaction and return how many; fewer than all means none, and why is kept."""
        done = 0
        try:
            with self._work.transaction() as transaction:
                self._begin(transaction)
                for _, text in batch:
                    transaction.query(text)
                    done += 1
        except DatabaseError as error:
            # What only shows at the commit is the last one's doing, as far as can be told.
            done = min(done, len(batch) - 1)
            statement, text = batch[done]
            reason = error.message + (f" ({error.detail})" if error.detail else "")
            self.refused.append(Refused(statement.file, statement.line, text, reason, error.sqlstate))
        return done

    def _set(self, text: str) -> None:
        """Keep a setting for the transactions to come: each may be on another connection."""
        name = text.split(None, 2)[1].lower()
        self._session[name] = "set local " + text[4:]

    def _begin(self, transaction: SchemaTransaction) -> None:
        for text in self._session.values():
            transaction.query(text)
