"""Rights: what a compiler of statements writes into them, so that a role does no more than it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from kernel.contracts.catalogue import Column, Command, Table


class Use(msgspec.Struct, frozen=True):
    """What a statement does with a table: the command, and the columns it reads and writes.

    `reads` counts what is filtered, ordered and returned by as well; with `merges`, an insert also updates those
    columns of rows that are there.
    """

    command: Command
    reads: frozenset[str] = frozenset()
    writes: tuple[str, ...] = ()
    merges: tuple[str, ...] = ()


class Rights(Protocol):
    """One role's rights on one table for one use, as engine SQL for a statement that calls the table by its name.

    An engine that applies rights by itself leaves everything as it is.
    """

    @property
    def source(self) -> str:
        """What FROM reads in place of the table: the rows that are visible. It still needs the table's alias."""

    @property
    def target(self) -> str:
        """What a write names after its verb: the table, or what its rows get to through a view (see `Through`)."""

    def where(self, test: str | None) -> str:
        """Return the WHERE of an update or a delete, so that it finds no rows but those it may."""

    def rows(self, columns: Sequence[str], source: str) -> tuple[Sequence[str], str]:
        """Return columns and source of an insert, whose rows are refused where they must not be."""

    def changed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the new values of an update, by column; refused where the new row must not be."""

    def merged(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the new values of an upsert, by column; refused where either row must not be touched."""


class Through(Protocol):
    """A statement that writes to a view, as one about the table below: for an engine that does not do that itself.

    The statement calls the table `name`; `columns` has the view's columns as SQL over it.
    """

    name: str
    table: Table
    columns: Mapping[str, str]

    def below(self, column: str) -> Column:
        """Return the table's column that one of the view's is; raises `DatabaseError` 0A000 where it is none."""

    def rights(self, use: Use) -> Rights:
        """Return what the role may do with the view, columns by their names in it; raises as `Database.rights` does."""
