"""What relates the tables and views of a catalogue to one another, and which of it an embed means."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from kernel.contracts.catalogue import Catalogue, ForeignKey, Table
from kernel.contracts.records import AmbiguousRelationship, NoRelationship
from kernel.contracts.relationships import Cardinality, Junction, Relationship, Side
from plugins.records.computed import Computed
from plugins.records.similarity import nearest

Name = tuple[str, str]
"""The schema and the name of a table or view."""

Columns = tuple[str, ...]

_RANKS: Mapping[Cardinality, int] = {"one-to-many": 0, "many-to-one": 1, "one-to-one": 2, "many-to-many": 3}


class Relationships:
    """All relationships of one catalogue: those of its foreign keys, in both directions, and across junctions.

    A foreign key relates its table many-to-one to the one it references, or one-to-one if its columns are the
    primary key or unique, and the other way round. A view has the relationships of each table of which it shows the
    foreign key's columns unchanged; if it shows one of them several times, a relationship for each. A table or view
    with two foreign keys, neither unique, whose columns are all part of its primary key, is a junction.

    The relationships of an origin come in PostgREST's order: by the target's schema and name; then one-to-many,
    many-to-one, one-to-one, many-to-many; then by the foreign key's name and its columns, or by the junction's schema
    and name, the foreign keys' names and their columns, those to the origin first.

    What an origin has is reckoned when it is first asked for, and kept. What functions relate it to is `computed`.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.computed = Computed(catalogue)
        self._catalogue = catalogue
        self._shown: dict[Name, dict[Name, dict[str, list[str]]]] = defaultdict(dict)
        self._referencing: dict[Name, list[tuple[Table, ForeignKey]]] = defaultdict(list)
        for table in catalogue.tables.values():
            for column, origin in table.origins.items():
                views = self._shown[origin.schema, origin.table]
                views.setdefault((table.schema, table.name), defaultdict(list))[origin.column].append(column)
            for key in table.foreign_keys:
                self._referencing[key.referenced_schema, key.referenced_table].append((table, key))
        self._found: dict[Name, tuple[Relationship, ...]] = {}
        self._named: dict[Name, dict[tuple[str, str | None], tuple[Relationship, ...]]] = {}

    def of(self, schema: str, table: str) -> tuple[Relationship, ...]:
        """Return all relationships of a table or view, to whatever schema."""
        origin = (schema, table)
        found = self._found.get(origin)
        if found is None:
            back = list(self._back(origin))
            found = (*self._forward(origin), *back, *self._across(back))
            found = self._found[origin] = tuple(sorted(found, key=_place))
        return found

    def find(
        self, table: Table, relation: str, hint: str | None = None, schemas: Collection[str] = ()
    ) -> Relationship:
        """Return the relationship from `table` that `relation` and `hint` of an embed name.

        The target is in the schema of `table`, and a junction there or in one of `schemas`. `relation` is the
        target's name; without a hint, and if the target is not a view, also the foreign key's name or its one column
        in `table`. `hint` is the foreign key's name or its one column on either side, or the junction's name. From a
        table to itself, the table's name means the rows that reference one (the hint is the foreign key's column, if
        there are several), the foreign key's column the row that is referenced. A function of that name goes before
        all, whatever the hint.

        Raises `NoRelationship`, or `AmbiguousRelationship` with the candidates in the order of the relationships.
        """
        computed = self.computed.relationship(table, relation)
        if computed is not None:
            return computed
        origin = (table.schema, table.name)
        named = self._named.get(origin)
        if named is None:
            named = self._named[origin] = self._by_name(origin)
        reachable = {table.schema, *schemas}
        found = tuple(
            one
            for one in named.get((relation, hint), ())
            if one.junction is None or one.junction.schema in reachable
        )
        if not found:
            raise self._missing(table, relation, hint)
        if len(found) > 1:
            raise AmbiguousRelationship(table.name, relation, found)
        return found[0]

    def _forward(self, origin: Name) -> Iterator[Relationship]:
        """Yield what the foreign keys of a table, or those that a view shows, relate it to."""
        for base in self._bases(origin):
            table = self._catalogue.tables[base]
            for key in table.foreign_keys:
                cardinality: Cardinality = "one-to-one" if _is_unique(table, key.columns) else "many-to-one"
                target = (key.referenced_schema, key.referenced_table)
                for side, shown in self._sides(
                    key.name, (origin, base, key.columns), (target, key.referenced_columns)
                ):
                    yield Relationship(*origin, *shown, cardinality, side)

    def _back(self, origin: Name) -> Iterator[Relationship]:
        """Yield what references a table, or the table whose columns a view shows."""
        for base in self._bases(origin):
            for table, key in self._referencing.get(base, ()):
                cardinality: Cardinality = "one-to-one" if _is_unique(table, key.columns) else "one-to-many"
                target = (table.schema, table.name)
                for side, shown in self._sides(
                    key.name, (origin, base, key.referenced_columns), (target, key.columns)
                ):
                    yield Relationship(*origin, *shown, cardinality, side)

    def _sides(
        self, constraint: str, own: tuple[Name, Name, Columns], other: tuple[Name, Columns]
    ) -> Iterator[tuple[Side, Name]]:
        """Yield a foreign key as the origin shows it, with each table or view that shows the other end."""
        ends = list(self._showing(*other))
        for columns in self._as_shown(*own):
            for name, related in ends:
                yield Side(constraint, columns, related), name

    def _across(self, back: list[Relationship]) -> Iterator[Relationship]:
        """Yield what an origin is related to by the junctions among what references it."""
        for near in back:
            if near.side is None or near.cardinality != "one-to-many":
                continue
            junction = (near.target_schema, near.target)
            key = set(self._catalogue.tables[junction].primary_key)
            if not key.issuperset(near.side.related_columns):
                continue
            to_origin = Side(near.side.constraint, near.side.related_columns, near.side.columns)
            for far in self._forward(junction):
                if far.side is None or far.cardinality != "many-to-one":
                    continue
                if far.side.constraint != near.side.constraint and key.issuperset(far.side.columns):
                    yield Relationship(
                        near.schema,
                        near.table,
                        far.target_schema,
                        far.target,
                        "many-to-many",
                        junction=Junction(*junction, to_origin, far.side),
                    )

    def _bases(self, name: Name) -> list[Name]:
        """Return the table itself, or the tables of which a view shows columns."""
        table = self._catalogue.tables[name]
        if table.kind == "table":
            return [name]
        bases = dict.fromkeys((origin.schema, origin.table) for origin in table.origins.values())
        return [base for base in bases if base in self._catalogue.tables]

    def _showing(self, base: Name, columns: Columns) -> Iterator[tuple[Name, Columns]]:
        """Yield all in which some columns of a table are found, and under which names."""
        if base in self._catalogue.tables:
            yield base, columns
        for view in self._shown.get(base, ()):
            for shown in self._as_shown(view, base, columns):
                yield view, shown

    def _as_shown(self, name: Name, base: Name, columns: Columns) -> Iterator[Columns]:
        """Yield the names that some columns of a table have in a view, or in the table itself."""
        if name == base:
            yield columns
            return
        shown = self._shown[base][name]
        yield from itertools.product(*(shown.get(column, ()) for column in columns))

    def _by_name(self, origin: Name) -> dict[tuple[str, str | None], tuple[Relationship, ...]]:
        named: dict[tuple[str, str | None], tuple[Relationship, ...]] = {}
        for one in self.of(*origin):
            if one.target_schema == one.schema:
                for name in set(self._names(one)):
                    named[name] = (*named.get(name, ()), one)
        return named

    def _names(self, one: Relationship) -> Iterator[tuple[str, str | None]]:
        """Yield what means a relationship: pairs of relation and hint."""
        if one.target == one.table:
            yield from _names_to_itself(one)
            return
        yield one.target, None
        if one.junction is not None:
            yield one.target, one.junction.table
        if one.side is None:
            return
        yield one.target, one.side.constraint
        is_view = self._catalogue.tables[one.target_schema, one.target].kind == "view"
        if not is_view:
            yield one.side.constraint, None
        if len(one.side.columns) == 1:
            yield one.target, one.side.columns[0]
            yield one.target, one.side.related_columns[0]
            if not is_view:
                yield one.side.columns[0], None

    def _missing(self, table: Table, relation: str, hint: str | None) -> NoRelationship:
        """Suggest a target of a like name; of a table without any target, another one that has some."""
        targets = self._targets(table.schema, table.name)
        if targets:
            suggestion = nearest(relation, targets)
            if suggestion is not None and suggestion.lower() == relation.lower():
                suggestion = None
            return NoRelationship(table.schema, table.name, relation, hint, suggestion)
        related = [
            name
            for schema, name in self._catalogue.tables
            if schema == table.schema and self._targets(schema, name)
        ]
        suggestion = nearest(table.name, related)
        return NoRelationship(table.schema, table.name, relation, hint, suggestion, instead_of=table.name)

    def _targets(self, schema: str, table: str) -> set[str]:
        return {one.target for one in self.of(schema, table) if one.target_schema == schema}


def _names_to_itself(one: Relationship) -> Iterator[tuple[str, str | None]]:
    """Yield what means a relationship of a table with itself."""
    if one.side is None:
        return
    is_single = len(one.side.columns) == 1
    if one.cardinality == "one-to-many":
        yield one.target, None
        if is_single:
            yield one.target, one.side.related_columns[0]
    elif one.cardinality == "many-to-one" and is_single:
        yield one.side.columns[0], None


def _is_unique(table: Table, columns: Columns) -> bool:
    keys = [
        table.primary_key,
        *(index.columns for index in table.indexes if index.unique and not index.partial),
    ]
    return any(set(key) == set(columns) for key in keys)


def _place(one: Relationship) -> tuple[object, ...]:
    """Return what an origin's relationships are sorted by."""
    place = (one.target_schema, one.target, _RANKS[one.cardinality])
    if one.side is not None:
        return (*place, one.side.constraint, _pairs(one.side))
    if one.junction is not None:
        near, far = one.junction.near, one.junction.far
        names = (one.junction.schema, one.junction.table, near.constraint, far.constraint)
        return (*place, *names, _pairs(near), _pairs(far))
    return place


def _pairs(side: Side) -> tuple[tuple[str, str], ...]:
    return tuple(zip(side.columns, side.related_columns, strict=True))
