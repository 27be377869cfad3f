"""Relationships between tables and views, as they follow from foreign keys."""

from __future__ import annotations

from typing import Literal

import msgspec

from kernel.contracts.catalogue import Function

Cardinality = Literal["many-to-one", "one-to-one", "one-to-many", "many-to-many"]


class Side(msgspec.Struct, frozen=True):
    """One foreign key between two tables: its name, and the columns that are equal, pairwise, on both of them."""

    constraint: str
    columns: tuple[str, ...]
    related_columns: tuple[str, ...]


class Junction(msgspec.Struct, frozen=True):
    """The table between two others; `near` leads from it to the origin, `far` to the target."""

    schema: str
    table: str
    near: Side
    far: Side


class Relationship(msgspec.Struct, frozen=True):
    """What relates one table or view to another: a foreign key on either side, or a `junction` with two of them.

    `side` has the columns of the origin and those of the target; it is None where there is a junction. With
    `function` there is neither: it takes the origin's row and returns the related ones.
    """

    schema: str
    table: str
    target_schema: str
    target: str
    cardinality: Cardinality
    side: Side | None = None
    junction: Junction | None = None
    function: Function | None = None

    @property
    def to_one(self) -> bool:
        """Whether a row of the origin has at most one related row."""
        return self.cardinality in ("many-to-one", "one-to-one")
