"""Trying again while the database is away: ever less often, and with two lines in the log however long it takes."""

from __future__ import annotations

import logging

from kernel.contracts.database import DatabaseError
from kernel.errors import describe

_log = logging.getLogger("kernel.database")


class Retrying:
    """How long to wait until the next try, in seconds: `first`, then twice as long each time, up to `longest`.

    `what` is done again and again: "reading signals".
    """

    def __init__(self, what: str, first: float, longest: float) -> None:
        self._what = what
        self._first = first
        self._longest = longest
        self._wait = first
        self._failing = False

    def failed(self, error: DatabaseError) -> float:
        """Say so, unless that has been said; return how long to wait."""
        if not self._failing:
            reason = {"reason": describe(error)}
            _log.warning("%s fails; trying again until it works", self._what, extra=reason)
        self._failing = True
        wait, self._wait = self._wait, min(self._wait * 2, self._longest)
        return wait

    def succeeded(self) -> None:
        """Say that it is over, if it had failed."""
        if self._failing:
            _log.info("%s works again", self._what)
        self._failing = False
        self._wait = self._first
