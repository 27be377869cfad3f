"""Policies: whether a caller may do something with a table or with one of its rows, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from kernel.contracts.catalogue import Command, Grant, Policy
from kernel.identity import Identity


class Verdict(msgspec.Struct, frozen=True):
    """One policy that counts for a caller's command; `holds` is None where no row was asked about.

    `command` is the one that it was asked for: an update or a delete finds its row by ``select``. With `new` it was
    asked about the row as it would be afterwards.
    """

    policy: Policy
    holds: bool | None = None
    command: Command = "select"
    new: bool = False


class Decision(msgspec.Struct, frozen=True):
    """Whether a command is allowed: `reason` says it in a sentence, the rest is what decided it.

    `grants` are those that the caller has for the command. `asked` says for which commands a row had to be let
    through, and whether as the new one; `verdicts` are the policies that count, all of them.
    """

    allowed: bool
    reason: str
    grants: tuple[Grant, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    asked: tuple[tuple[Command, bool], ...] = ()

    def would_allow(self, policy: str, *, holds: bool) -> bool:
        """Tell whether the row would be let through if a policy had held, or had not, whatever it was asked."""

        def held(verdict: Verdict) -> bool:
            return holds if verdict.policy.name == policy else bool(verdict.holds)

        return bool(self.asked) and all(
            any(held(one) for one in those if one.policy.permissive)
            and all(held(one) for one in those if not one.policy.permissive)
            for those in (
                [one for one in self.verdicts if (one.command, one.new) == asked] for asked in self.asked
            )
        )


class Policies(Protocol):
    """Tells what a caller may do; on both engines, and the same as the database would."""

    def explain(
        self,
        identity: Identity | None,
        command: Command,
        table: str,
        schema: str = "public",
        *,
        key: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Decide on a command and say why.

        `key` names a row that is there by the values of its primary key, in the forms of the Database contract; an
        update or a delete also has to find it by them. `row` holds the columns of a new one, for an insert, which has
        defaults for the others, or the new values of an update. Without either, the answer is whether the command
        may be tried at all. An `identity` of None is an anonymous caller. Raises `DatabaseError` 42P01 for a table
        that is not there, 42703 for a column, 02000 for a row, and whatever a policy's own expression raises.
        """

    def allows(
        self,
        identity: Identity | None,
        command: Command,
        table: str,
        schema: str = "public",
        *,
        key: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> bool:
        """Return the decision alone."""
