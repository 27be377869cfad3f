"""Types that a migration made: names of types that know what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType

import msgspec

from kernel.contracts.catalogue import Argument, Catalogue, Enum, Function, Table
from plugins.database.sqlite.catalogue.definitions import DomainSource
from plugins.database.sqlite.statements import Change

_COLLATION = "pg_enum_"


class EnumType(str):
    """The name of an enumeration, as a column's type has it (``mood``, ``auth.level``), with its labels in order."""

    __slots__ = ("labels",)

    labels: tuple[str, ...]

    @classmethod
    def of(cls, enum: Enum) -> EnumType:
        """Return the type's name."""
        name = cls(enum.name if enum.schema == "public" else f"{enum.schema}.{enum.name}")
        name.labels = enum.labels
        return name

    @property
    def collation(self) -> str:
        """The collation of its columns, whose name says the order: every connection can make it from that."""
        return _COLLATION + msgspec.json.encode(self.labels).hex()

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same name and, of another enumeration, the same labels."""
        return str.__eq__(self, other) is True and (
            not isinstance(other, EnumType) or self.labels == other.labels
        )

    def __ne__(self, other: object) -> bool:
        """Tell the opposite of equality."""
        return not self == other

    __hash__ = str.__hash__


class EnumArray(str):
    """The name of a type of arrays of an enumeration (``mood[]``)."""

    __slots__ = ("element",)

    element: EnumType

    @classmethod
    def of(cls, element: EnumType) -> EnumArray:
        """Return the type's name."""
        name = cls(f"{element}[]")
        name.element = element
        return name

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same name and, of another enumeration, the same labels."""
        return str.__eq__(self, other) is True and (
            not isinstance(other, EnumArray) or self.element == other.element
        )

    def __ne__(self, other: object) -> bool:
        """Tell the opposite of equality."""
        return not self == other

    __hash__ = str.__hash__


class DomainType(str):
    """The name of a domain, as a column's type has it, with what it stands for: its `base`, which is a type's name."""

    __slots__ = ("base", "domain")

    base: str
    domain: DomainSource

    @classmethod
    def of(cls, domain: DomainSource, catalogue: Catalogue) -> DomainType:
        """Return the type's name."""
        name = cls(domain.name if domain.schema == "public" else f"{domain.schema}.{domain.name}")
        name.domain = domain
        name.base = resolve(domain.type, catalogue)
        return name

    @property
    def below(self) -> str:
        """The type under it, and under all domains that it is over."""
        return self.base.below if isinstance(self.base, DomainType) else self.base

    @property
    def nullable(self) -> bool:
        """Whether it, and what it is a domain over, may be null."""
        return self.domain.nullable and (not isinstance(self.base, DomainType) or self.base.nullable)

    @property
    def tests(self) -> list[tuple[str, str]]:
        """The names of its checks and their SQL over `VALUE`, those of what it is a domain over first."""
        below = self.base.tests if isinstance(self.base, DomainType) else []
        return below + sorted(self.domain.tests.items())

    @property
    def default(self) -> str | None:
        """The default of columns that have none of their own."""
        if self.domain.default is None and isinstance(self.base, DomainType):
            return self.base.default
        return self.domain.default

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same name and, of another domain, the same meaning."""
        return str.__eq__(self, other) is True and (
            not isinstance(other, DomainType) or (self.domain, self.base) == (other.domain, other.base)
        )

    def __ne__(self, other: object) -> bool:
        """Tell the opposite of equality."""
        return not self == other

    __hash__ = str.__hash__


class RowType(str):
    """The name of the type of a table's rows, or ``record``, with the declared types of its columns by their names."""

    __slots__ = ("columns",)

    columns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, columns: Iterable[tuple[str, str]], table: Table | None = None) -> RowType:
        """Return the type's name."""
        name = cls("record" if table is None else _shown(table.schema, table.name))
        name.columns = tuple(columns)
        return name

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same name and, of another row, the same columns."""
        return str.__eq__(self, other) is True and (
            not isinstance(other, RowType) or self.columns == other.columns
        )

    def __ne__(self, other: object) -> bool:
        """Tell the opposite of equality."""
        return not self == other

    __hash__ = str.__hash__


def _shown(schema: str, name: str) -> str:
    return name if schema == "public" else f"{schema}.{name}"


def labels_of(collation: str) -> tuple[str, ...] | None:
    """Return the labels in the name of an enumeration's collation, None for another collation's."""
    if not collation.startswith(_COLLATION):
        return None
    return msgspec.json.decode(bytes.fromhex(collation.removeprefix(_COLLATION)), type=tuple[str, ...])


def named(schema: str, name: str, catalogue: Catalogue) -> EnumType | None:
    """Return the enumeration of that name."""
    enum = catalogue.enums.get((schema, name))
    return EnumType.of(enum) if enum is not None else None


def resolve(name: str, catalogue: Catalogue) -> str:
    """Return a declared type's name as one that knows what it means; one that no migration made is left as it is."""
    many = name.endswith("[]")
    schema, dot, plain = name.removesuffix("[]").rpartition(".")
    key = (schema if dot else "public", plain)
    domain = catalogue.domains.get(key)
    if isinstance(domain, DomainSource) and not many:
        return DomainType.of(domain, catalogue)
    enum = named(*key, catalogue)
    if enum is None:
        return name
    return EnumArray.of(enum) if many else enum


class TypedCatalogues:
    """Catalogues whose columns' and arguments' types know what they mean.

    What one schema statement leaves as it was is typed once: the last tables and functions are kept as long as the
    enumerations and domains stay the same.
    """

    def __init__(self) -> None:
        self._last: tuple[Catalogue, Catalogue] | None = None

    def typed(self, catalogue: Catalogue) -> Catalogue:
        """Return a catalogue with such types."""
        if not catalogue.enums and not catalogue.domains:
            return catalogue
        last = self._last  # read once: another thread may put another in its place
        if last is not None and last[0] is catalogue:
            return last[1]
        if last is not None and (last[0].enums, last[0].domains) != (catalogue.enums, catalogue.domains):
            last = None
        typed = _with_types(catalogue, last)
        self._last = (catalogue, typed)
        return typed


def _with_types(catalogue: Catalogue, last: tuple[Catalogue, Catalogue] | None) -> Catalogue:
    before, after = last or (catalogue, None)

    def known(name: str) -> str:
        return resolve(name, catalogue)

    tables = {
        key: after.tables[key]
        if after is not None and before.tables.get(key) is table
        else _typed(table, known)
        for key, table in catalogue.tables.items()
    }
    functions = {
        key: after.functions[key]
        if after is not None and before.functions.get(key) == overloads
        else tuple(_typed_function(one, known) for one in overloads)
        for key, overloads in catalogue.functions.items()
    }
    return msgspec.structs.replace(
        catalogue, tables=MappingProxyType(tables), functions=MappingProxyType(functions)
    )


def as_kept(change: Change) -> Change:
    """Return a change of the catalogue in which types are just names again, as the catalogue holds them."""
    return msgspec.structs.replace(
        change,
        table=_typed(change.table, str) if change.table is not None else None,
        function=_typed_function(change.function, str) if change.function is not None else None,
    )


def _typed(table: Table, named: Callable[[str], str]) -> Table:
    columns = {
        name: msgspec.structs.replace(column, type=named(column.type))
        for name, column in table.columns.items()
    }
    return msgspec.structs.replace(table, columns=columns)


def _typed_function(function: Function, named: Callable[[str], str]) -> Function:
    def typed(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
        return tuple(msgspec.structs.replace(one, type=named(one.type)) for one in arguments)

    return msgspec.structs.replace(
        function,
        arguments=typed(function.arguments),
        columns=typed(function.columns),
        returns=named(function.returns),
    )
