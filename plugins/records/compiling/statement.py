"""A statement while it is compiled: the tables in it, its parameters, and what is to be checked beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kernel.contracts.catalogue import Command, Function, Table
from kernel.contracts.database import Compiled, Database
from kernel.contracts.queries import Embed
from kernel.contracts.records import Unsupported
from kernel.contracts.relationships import Relationship
from kernel.contracts.rights import Rights, Through, Use
from kernel.contracts.stored import StoredType
from plugins.records.dialects.dialect import Dialect
from plugins.records.plans import Plan, Prepare
from plugins.records.relationships import Relationships

# Engines limit the columns of a result: PostgreSQL to 1,664, SQLite to 2,000.
_MAX_CHECKS = 1_000


class Operand(msgspec.Struct, frozen=True):
    """An expression and how its values are kept."""

    sql: str
    stored: StoredType


class Scope:
    """One table at one place of a statement: what it is called there, and which of its columns are read.

    `embeds` are the related rows that are asked for beside it, by the names that conditions and orders know them by.
    `given` is what is read in place of the table, where its rows come from elsewhere; `through` is how a view is
    written to. `depth` tells how many tables it is related through to that of the whole.
    """

    __slots__ = ("depth", "embeds", "given", "name", "reads", "table", "through")

    def __init__(
        self,
        table: Table,
        name: str,
        given: str | None = None,
        through: Through | None = None,
        depth: int = 0,
    ) -> None:
        self.table = table
        self.name = name
        self.given = given
        self.through = through
        self.depth = depth
        self.reads: set[str] = set()
        self.embeds: dict[str, tuple[Embed, Relationship]] = {}

    @property
    def label(self) -> str:
        """What an error calls it: as PostgREST does, with the depth of one that is embedded."""
        return f"{self.table.name}_{self.depth}" if self.depth else self.table.name

    def column(self, name: str) -> str:
        """Name one of its columns, which is read by that."""
        self.reads.add(name)
        if self.through is not None:
            return self.through.columns[name]
        return f'{self.name}."{name.replace(chr(34), chr(34) * 2)}"'


class Statement:
    """A statement for one role; None is without bounds."""

    def __init__(
        self, database: Database, dialect: Dialect, relationships: Relationships, role: str | None
    ) -> None:
        self.database = database
        self.dialect = dialect
        self.relationships = relationships
        self.role = role
        self.check_always = False
        self.checks: list[str] = []
        self._prepare: dict[str, Prepare] = {}
        self._constants: dict[str, str] = {}
        self._scopes = 0

    def scope(self, schema: str, table: str, depth: int) -> Scope:
        """Return a scope of its own for a table that stands beside others."""
        self._scopes += 1
        # No table has a name that begins with a dot.
        return Scope(self.database.catalogue.tables[schema, table], f'".{self._scopes}"', depth=depth)

    def rights(
        self, scope: Scope, command: Command, writes: tuple[str, ...] = (), merges: tuple[str, ...] = ()
    ) -> Rights:
        """Return what the role may do, now that it is known which columns are read."""
        use = Use(command, frozenset(scope.reads), writes, merges)
        if scope.through is not None:
            return scope.through.rights(use)
        return self.database.rights(self.role, scope.table, use)

    def source(self, scope: Scope) -> str:
        """Return what FROM reads for a scope."""
        if scope.given is not None:
            return f"{scope.given} AS {scope.name}"
        return f"{self.rights(scope, 'select').source} AS {scope.name}"

    def call_of(self, scope: Scope, function: Function) -> str:
        """Return the call of a function with a scope's row: a value, or what FROM reads."""
        if scope.through is not None:
            raise Unsupported(
                f"A write to the view '{scope.table.name}' does not work out columns of its rows."
            )
        row = scope.name[1:-1].replace('""', '"')
        return self.database.call_of_row(self.role, function, scope.table, row)

    def value(self, name: str, prepare: Prepare | None = None) -> str:
        """Return the parameter that holds a value of the query's."""
        if prepare is not None:
            self._prepare[name] = prepare
        return f":{name}"

    def constant(self, text: str) -> str:
        """Return a parameter that holds a text of the template's."""
        name = f"c{len(self._constants)}"
        self._constants[name] = text
        return f":{name}"

    def check(self, read: str, check: str) -> None:
        """Have a value read apart from any row; `read` is the template of how it is read."""
        if read != "{}":  # any text is one
            self.checks.append(check)

    def checking_always(self, compile_: Callable[[], Any]) -> Any:
        """Compile something that may hold without all its values being looked at."""
        before = len(self.checks)
        compiled = compile_()
        self.check_always |= len(self.checks) > before
        return compiled

    def plan(self, sql: str, first: str | None = None) -> Plan:
        """Return the finished plan."""
        checks = ", ".join(self.checks[:_MAX_CHECKS])
        check = Compiled(f"SELECT {checks}", self.role) if checks else None
        return Plan(Compiled(sql, self.role), self._prepare, self._constants, check, self.check_always, first)
