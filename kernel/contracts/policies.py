"""Policies: whether a caller may do something with a table or with one of its rows, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from kernel.contracts.catalogue import Command, Grant, Policy
from kernel.identity import Identity


class Verdict(msgspec.Struct, frozen=True):
    """One policy that counts for a caller's command; `holds` is None where no row was asked about."""

    policy: Policy
    holds: bool | None = None


class Decision(msgspec.Struct, frozen=True):
    """Whether a command is allowed: `reason` says it in a sentence, the rest is what decided it.

    `grants` are those that the caller has for the command, `verdicts` the policies that count for it.
    """

    allowed: bool
    reason: str
    grants: tuple[Grant, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


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

        `key` names a row that is there by the values of its primary key, in the forms of the Database contract; `row`
        holds the columns of a new one, for an insert. Without either, the answer is whether the command may be
        tried at all. An `identity` of None is an anonymous caller. Raises `DatabaseError` 42P01 for a table that is
        not there, 02000 for a row that is not, and whatever a policy's own expression raises.
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
