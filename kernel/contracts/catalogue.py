"""What a database holds, in PostgreSQL's terms, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Column(msgspec.Struct, frozen=True):
    """One column of a table or view.

    `type` is PostgreSQL's name for the type (``integer``, ``timestamp with time zone``, ``text[]``), `default`
    the default's SQL text or None; `generated` columns (stored expressions and ``generated always`` identities)
    take no value on insert.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    identity: bool = False
    comment: str | None = None


class ForeignKey(msgspec.Struct, frozen=True):
    """A reference from `columns` of its table to `referenced_columns` of another, pairwise.

    `on_delete` and `on_update` are ``no action``, ``restrict``, ``cascade``, ``set null`` or ``set default``.
    """

    name: str
    columns: tuple[str, ...]
    referenced_schema: str
    referenced_table: str
    referenced_columns: tuple[str, ...]
    on_delete: str = "no action"
    on_update: str = "no action"


class Index(msgspec.Struct, frozen=True):
    """An index; `columns` holds None where it indexes an expression, `partial` tells of a WHERE clause."""

    name: str
    columns: tuple[str | None, ...]
    unique: bool = False
    partial: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table or view; `columns` keeps the order of their definition."""

    schema: str
    name: str
    kind: Literal["table", "view"]
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None


class Catalogue(msgspec.Struct, frozen=True):
    """All tables and views at one moment; `version` grows with every change of the schema."""

    version: int
    tables: Mapping[tuple[str, str], Table]
    schemas: frozenset[str] = frozenset({"public"})

    def table(self, name: str, schema: str = "public") -> Table | None:
        """Return the table or view of that name, or None."""
        return self.tables.get((schema, name))
