"""What the statements of a write did, added up."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.contracts.database import Compiled, Row, Transaction
from kernel.contracts.records import TooManyAffected, Written, WrongCount
from plugins.records.plans import Plan

_encode = msgspec.json.Encoder().encode


class Tally:
    """Counts what a write's statements did and gathers the rows they return: for the caller, and whole for the hooks.

    Of statements that return both, `whole` holds the rows for the hooks; it is None from a statement on that did not.
    """

    def __init__(self, returning: bool) -> None:
        self.count = 0
        self.whole: list[str] | None = []
        self._rows: list[str] | None = [] if returning else None
        self._keys: list[tuple[Any, ...]] = []
        self._sorting: Compiled | None = None
        self._told: bytes | None = None

    def run(self, transaction: Transaction, plan: Plan, params: Any, *, whole: bool = False) -> None:
        """Run one statement; with `whole`, it returns each row for the caller and for the hooks."""
        if self._rows is None and not whole:
            self.whole = None
            self.count += transaction.execute(plan.statement, params)
        else:
            rows = transaction.query(plan.statement, params)
            self.count += len(rows)
            if not whole:
                self.whole = None
            elif self.whole is not None:
                self.whole.extend(row[1] for row in rows)
            if self._rows is not None:
                # A row that lacks what is to be embedded in it is changed all the same, and left out of the answer.
                shown = [row for row in rows if row[0] is not None]
                self._rows.extend(row[0] for row in shown)
                self._keys.extend(row[2:] for row in shown)
        self._sorting = plan.sorting
        if (check := plan.check_for(self.count)) is not None:
            transaction.query(check, params)

    def explain(self, rows: list[Row]) -> None:
        """Take a plan in place of what the statement does."""
        self._told = explained(rows)

    def finish(self, transaction: Transaction, single: bool, most: int | None) -> None:
        """Raise where the count is not what was allowed; put the rows in order."""
        self.check(single, most)
        if self._sorting is None or self._rows is None or len(self._rows) < 2:
            return
        places = transaction.query(self._sorting, {"rows": _encode(self._keys).decode()})
        self._rows = [self._rows[int(place)] for (place,) in places]

    def check(self, single: bool, most: int | None) -> None:
        """Raise where the count is not what was allowed."""
        check_count(self.count, single, most)

    def result(self, inserted: bool = True) -> Written:
        """Return what was done."""
        if self._told is not None:
            return Written(self.count, self._told)
        body = b"" if self._rows is None else f"[{','.join(self._rows)}]".encode()
        return Written(self.count, body, inserted)


def explained(rows: list[Row]) -> bytes:
    """Return a plan as the engine has written it, line by line."""
    return "\n".join(str(row[0]) for row in rows).encode()


def check_count(count: int, single: bool, most: int | None) -> None:
    """Raise where a count of rows is not what was allowed."""
    if most is not None and count > most:
        raise TooManyAffected(count)
    if single and count != 1:
        raise WrongCount(count)
