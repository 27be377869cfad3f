"""Statements that run in steps: rows travel from one to the next as parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
import msgspec

from kernel.contracts.database import Row
from plugins.database.sqlite.statements import NEW_ROWS, OLD_ROWS, ROWS, Plan, Step


class Carried:
    """What the steps so far have left: the rows they returned, and those they changed in the watched tables."""

    def __init__(self, watched: Sequence[str]) -> None:
        self._rows: dict[str, str] = {}
        self._changed: dict[str, dict[int, tuple[Any, ...] | None]] = {table: {} for table in watched}

    @property
    def params(self) -> dict[str, str]:
        """The parameters that carry it."""
        params = dict(self._rows)
        for table, rows in self._changed.items():
            name = table.encode().hex()
            params[OLD_ROWS + name] = _packed([row for row in rows.values() if row is not None])
            params[NEW_ROWS + name] = msgspec.json.encode(list(rows)).decode()
        return params

    def begin(self, step: Step) -> None:
        """Forget what was changed before a new statement."""
        if step.begins:
            self._changed = {table: {} for table in self._changed}

    def keep(self, step: Step, rows: Sequence[Row]) -> None:
        """Keep what a step returned."""
        self._rows[ROWS + step.name] = _packed(rows)

    def note(self, change: apsw.PreUpdate) -> None:
        """Note a change of a row, as it was before the statement's first."""
        changed = self._changed.get(change.table_name)
        if changed is None:
            return
        old = None if change.old is None else tuple(change.old)
        if change.op == "INSERT":
            changed.setdefault(change.rowid_new, None)
            return
        changed.setdefault(change.rowid, old)
        if change.op == "UPDATE":
            changed.setdefault(change.rowid_new, None)


def _packed(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as the translator unpacks them: arrays of stored values, bytes as text."""
    return msgspec.json.encode([[_value(value) for value in row] for row in rows]).decode()


def _value(value: Any) -> Any:
    return "\\x" + value.hex() if isinstance(value, bytes) else value


@contextmanager
def carried(connection: apsw.Connection, plan: Plan) -> Iterator[Carried]:
    """Carry rows through the steps of a plan, in which rows may hang until they are `checked`."""
    several = any(step.begins for step in plan.steps)
    found = Carried(plan.watched)
    if plan.watched:
        connection.preupdate_hook(found.note)
    if several:
        connection.pragma("defer_foreign_keys", True)
    try:
        yield found
    finally:
        connection.preupdate_hook(None)
        if several:
            connection.pragma("defer_foreign_keys", False)


def hanging(connection: apsw.Connection) -> bool:
    """Tell whether a row references one that is missing."""
    return bool(connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0])
