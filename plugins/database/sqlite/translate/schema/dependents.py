"""What depends on what: the views, foreign keys and generated columns that stand or fall with something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from kernel.contracts.catalogue import Catalogue, ForeignKey, Function
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import CALLED, Definition, defined, definitions
from plugins.database.sqlite.statements import Change, Rebuild
from plugins.database.sqlite.translate.schema.tables.rebuilding import rebuild
from plugins.database.sqlite.translate.scope import file_name

Key = tuple[str, str]


def key_of(table: Definition) -> Key:
    """Return what the catalogue finds a table by."""
    return table.schema, table.name


class Reason(NamedTuple):
    """What a statement drops, in the words of its refusal; whether it says CASCADE, and names `several` things."""

    what: str
    cascade: bool
    several: bool = False

    def check(self, dependent: str) -> None:
        """Raise 2BP01 for something that depends on what is dropped and would have to go too."""
        if not self.cascade:
            message = f"cannot drop {self.what} because other objects depend on it"
            if self.several:
                message = "cannot drop desired object(s) because other objects depend on them"
            raise DatabaseError(
                message,
                sqlstate="2BP01",
                detail=f"{dependent} depends on {self.what}",
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )


class Dropped:
    """What goes with something that is dropped: views that read it, foreign keys that point at it.

    `gone` are the relations that the statement itself drops.
    """

    def __init__(self, catalogue: Catalogue, gone: Iterable[Key] = ()) -> None:
        self._catalogue = catalogue
        self._gone = set(gone)
        self._views: list[Definition] = []
        self._tables: dict[Key, Definition] = {}
        self._functions: list[Function] = []

    def relation(self, table: Definition, reason: Reason) -> None:
        """Drop what needs a table or a view."""
        self._readers(table, lambda name: True, reason)
        self.foreign_keys(table, lambda key: True, reason)
        for function in functions(self._catalogue):
            shown = table.name if table.schema == "public" else f"{table.schema}.{table.name}"
            if shown in (function.returns, *(argument.type for argument in function.arguments)):
                reason.check(f"function {function.signature}")
                self._functions.append(function)

    def columns(self, table: Definition, names: set[str], reason: Reason) -> None:
        """Drop what needs columns of a table, or of its partitions, which are to be made without them."""
        for partition in partitions_of(self._catalogue, table):
            self.columns(partition, names, reason)
        self._readers(table, lambda name: name in names, reason, with_partitions=False)
        self.foreign_keys(table, lambda key: bool(names & set(key.referenced_columns)), reason)

    def foreign_keys(self, table: Definition, needs: Callable[[ForeignKey], bool], reason: Reason) -> None:
        """Drop the foreign keys of other tables that point at a table and need what is dropped of it."""
        for other, key in pointing_at(self._catalogue, table):
            if key_of(other) not in self._gone and needs(key):
                reason.check(f"constraint {key.name} on table {other.name}")
                current = self._tables.get(key_of(other), other)
                kept = tuple(own for own in current.foreign_keys if own.name != key.name)
                self._tables[key_of(other)] = msgspec.structs.replace(current, foreign_keys=kept)

    def function(self, function: Function, reason: Reason) -> None:
        """Drop the views that call a function."""
        for view in callers(self._catalogue, function):
            if key_of(view) not in self._gone:
                self._view(view, reason)

    def _readers(
        self, table: Definition, needs: Callable[[str], bool], reason: Reason, *, with_partitions: bool = True
    ) -> None:
        for view in definitions(self._catalogue):
            if view.kind != "view" or key_of(view) in self._gone:
                continue
            if view.partition is not None and not with_partitions:
                continue
            if any((schema, name) == key_of(table) and needs(column) for schema, name, column in view.reads):
                self._view(view, reason)

    def _view(self, view: Definition, reason: Reason) -> None:
        if view.partition is None:  # a partition goes with its table
            reason.check(f"view {view.name}")
        self._gone.add(key_of(view))
        self.relation(view, reason)
        self._views.append(view)

    @property
    def sql(self) -> list[str]:
        """The statements that drop the views."""
        return [f"DROP VIEW {file_name(view)}" for view in self._views]

    @property
    def changes(self) -> list[Change]:
        """What becomes of the catalogue."""
        return [
            *(Change(view.schema, view.name) for view in self._views),
            *(Change(*key, table) for key, table in self._tables.items() if key not in self._gone),
            *(Change(one.schema, one.signature, function=one, is_gone=True) for one in self._functions),
        ]

    @property
    def rebuilds(self) -> list[Rebuild]:
        """The tables that lose foreign keys."""
        return [
            rebuild(defined(self._catalogue.tables[key]), table, self._catalogue)
            for key, table in self._tables.items()
            if key not in self._gone
        ]


def functions(catalogue: Catalogue) -> list[Function]:
    """Return all functions."""
    return [one for overloads in catalogue.functions.values() for one in overloads]


def pointing_at(catalogue: Catalogue, table: Definition) -> list[tuple[Definition, ForeignKey]]:
    """Return the foreign keys of other tables that reference `table`."""
    return [
        (other, key)
        for other in definitions(catalogue)
        for key in other.foreign_keys
        if (key.referenced_schema, key.referenced_table) == key_of(table) and key_of(other) != key_of(table)
    ]


def partitions_of(catalogue: Catalogue, parent: Definition) -> list[Definition]:
    """Return the views that are a table's partitions."""
    return [
        view
        for view in definitions(catalogue)
        if view.partition is not None
        and view.simple is not None
        and (view.simple.schema, view.simple.name) == key_of(parent)
    ]


def callers(catalogue: Catalogue, function: Function) -> list[Definition]:
    """Return the views that call a function."""
    wanted = (function.schema, function.signature, CALLED)
    return [view for view in definitions(catalogue) if wanted in view.reads]


def readers(catalogue: Catalogue, table: Definition, column: str) -> list[Definition]:
    """Return the views that read a column."""
    wanted = (table.schema, table.name, column)
    return [view for view in definitions(catalogue) if wanted in view.reads]
