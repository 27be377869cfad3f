"""Stored types: how an engine keeps PostgreSQL's types, and how a compiler reads and writes them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec


class StoredType(msgspec.Struct, frozen=True):
    """How values of one PostgreSQL type are kept, as templates of engine SQL.

    A compiler puts an expression where a template says ``{}``, possibly more than once: give a bound parameter
    or a column, not a subquery. Every template gives NULL for NULL. A value that does not fit raises
    `DatabaseError` with PostgreSQL's message when the statement runs (22P02 for ``invalid input syntax for type
    integer: "abc"``, 22003 out of range, 22007 and 22008 for dates, 22001 too long).

    - `type` is PostgreSQL's name with its modifier (``numeric(10,2)``), as in `Column.type`.
    - `to_json` turns a stored value into what the engine's JSON functions take: a number, text, or JSON of its
      own. On SQLite JSON does not survive the border of a subquery, so apply it inside ``json_object(...)``.
    - `to_text` turns a stored value into PostgreSQL's text, as in CSV and ``::text``.
    - `from_text` turns text into a value to compare stored values with (filters; the modifier plays no part).
    - `assign_text` turns text into a value for a column of this type (CSV cells), the modifier applied.
    - `assign_json` does the same for one member's JSON text (on SQLite what ``value -> '$."name"'`` gives, JSON
      null becoming NULL).
    - `compared` turns a stored value into what compares and sorts as the type does, where it is not a column itself.
    - `ordered` tells whether ``<`` and ``order by`` are offered; equality always is, unless `comparable` is false.
    """

    type: str
    to_json: str
    to_text: str
    from_text: str
    assign_text: str
    assign_json: str
    compared: str = "{}"
    ordered: bool = True
    comparable: bool = True


@runtime_checkable
class Imaged(Protocol):
    """A database in memory that can be kept as bytes and started from them.

    A `Database` may offer it beside its contract, so that a test kit migrates once and starts every later kernel
    from the image: ``if isinstance(database, Imaged) and database.in_memory: ...``
    """

    @property
    def in_memory(self) -> bool:
        """Whether this database lives in memory; only then may the methods be called."""

    def image(self) -> bytes:
        """Return the whole database as committed now."""

    def load(self, image: bytes) -> None:
        """Start from `image`; raises RuntimeError once the database has been used."""
