"""Assertions on what callers may do: real statements with their rights, none of which stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kernel.contracts.catalogue import Command
from kernel.contracts.database import Database, DatabaseError
from kernel.identity import Identity

if TYPE_CHECKING:
    from kernel.kernel import Kernel
    from kernel.testing.policy_coverage import PolicyCoverage


class _Undone(Exception):
    """Rolls back what was tried."""


class Caller:
    """Somebody who tries things; tables are named as in SQL, values are those of the Database contract."""

    def __init__(self, kernel: Kernel, identity: Identity) -> None:
        self._kernel = kernel
        self._database: Database = kernel.services[Database]
        self._identity = identity

    def can_select(self, table: str, **where: Any) -> None:
        """Assert that a row with these values is there and visible."""
        assert self._reads(table, where), f"{self} cannot select {where} from {table}"
        self._note("select", table, where, None, can=True)

    def cannot_select(self, table: str, **where: Any) -> None:
        """Assert that no row with these values is visible, or that the table may not be read."""
        assert not self._reads(table, where), f"{self} can select {where} from {table}"
        self._note("select", table, where, None, can=False)

    def can_insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Assert that a row may be inserted."""
        assert self._inserts(table, row), f"{self} cannot insert {dict(row)} into {table}"
        self._note("insert", table, {}, row, can=True)

    def cannot_insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Assert that the insertion of a row is refused for want of a right."""
        assert not self._inserts(table, row), f"{self} can insert {dict(row)} into {table}"
        self._note("insert", table, {}, row, can=False)

    def can_update(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        """Assert that some row with the values of `where` may get new ones."""
        assert self._changes(table, values, where), f"{self} cannot update {where} of {table}"
        self._note("update", table, where, values, can=True)

    def cannot_update(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        """Assert that no row with the values of `where` may get new ones."""
        assert not self._changes(table, values, where), f"{self} can update {where} of {table}"
        self._note("update", table, where, values, can=False)

    def can_delete(self, table: str, **where: Any) -> None:
        """Assert that some row with these values may be deleted."""
        assert self._changes(table, None, where), f"{self} cannot delete {where} from {table}"
        self._note("delete", table, where, None, can=True)

    def cannot_delete(self, table: str, **where: Any) -> None:
        """Assert that no row with these values may be deleted."""
        assert not self._changes(table, None, where), f"{self} can delete {where} from {table}"
        self._note("delete", table, where, None, can=False)

    def __str__(self) -> str:
        who = f" {self._identity.subject}" if self._identity.subject else ""
        return f"{self._identity.role}{who}"

    def _note(
        self,
        command: Command,
        table: str,
        where: Mapping[str, Any],
        values: Mapping[str, Any] | None,
        *,
        can: bool,
    ) -> None:
        """Tell the coverage of policies, in a run that gathers it, of an assertion that has held."""
        coverage: PolicyCoverage | None = getattr(self._kernel, "policy_coverage", None)
        if coverage is not None:
            coverage.note(self._kernel, self._identity, command, table, where=where, values=values, can=can)

    def _reads(self, table: str, where: Mapping[str, Any]) -> bool:
        try:
            statement = f"select 1 from {table}{_where(where)} limit 1"
            return bool(self._database.query(statement, _params("w", where), identity=self._identity))
        except DatabaseError as error:
            return _refused(error)

    def _inserts(self, table: str, row: Mapping[str, Any]) -> bool:
        names = ", ".join(map(_quoted, row))
        values = ", ".join(f":v{place}" for place in range(len(row)))
        return self._tries(f"insert into {table} ({names}) values ({values})", _params("v", row))

    def _changes(self, table: str, values: Mapping[str, Any] | None, where: Mapping[str, Any]) -> bool:
        if values is None:
            return self._tries(f"delete from {table}{_where(where)}", _params("w", where))
        sets = ", ".join(f"{_quoted(name)} = :v{place}" for place, name in enumerate(values))
        params = {**_params("v", values), **_params("w", where)}
        return self._tries(f"update {table} set {sets}{_where(where)}", params)

    def _tries(self, statement: str, params: Mapping[str, Any]) -> bool:
        changed = 0
        try:
            with self._database.transaction(self._identity) as transaction:
                changed = transaction.execute(statement, params)
                raise _Undone
        except _Undone:
            return changed > 0
        except DatabaseError as error:
            return _refused(error)


def as_user(kernel: Kernel, user: str, **claims: Any) -> Caller:
    """Return a signed-in user who tries things; `claims` are those of the token."""
    return Caller(kernel, Identity("authenticated", user, claims))


def as_anon(kernel: Kernel) -> Caller:
    """Return an anonymous caller who tries things."""
    return Caller(kernel, Identity("anon"))


def _refused(error: DatabaseError) -> bool:
    if error.sqlstate == "42501":
        return False
    raise error


def _where(where: Mapping[str, Any]) -> str:
    tests = [f"{_quoted(name)} = :w{place}" for place, name in enumerate(where)]
    return f" where {' and '.join(tests)}" if tests else ""


def _params(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{place}": value for place, value in enumerate(values.values())}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
