"""What row security demands of the rows a statement writes, written into the statement itself.

New rows are looked at before they are written, as PostgreSQL does: a row that must not be is refused before a
constraint could tell of rows that are hidden. What depends on columns that a statement does not write takes them
from the row that is there, or from the column's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kernel.contracts.catalogue import Catalogue, Command, Table
from plugins.database.sqlite.names import engine_name, quote, text_literal
from plugins.database.sqlite.rights.access import Access
from plugins.database.sqlite.rights.role import Condition, RoleRights
from plugins.database.sqlite.translate.nodes import refused
from plugins.database.sqlite.translate.queries.writing.targets import Target
from plugins.database.sqlite.translate.schema.tables.defaults import default_value, makes_own_value
from plugins.database.sqlite.translate.scope import Scope

# No table's name begins with a dot.
_GIVEN, _NEW = '".given"', '".new"'

Values = Mapping[str, str]
Rows = tuple[list[str], str]


class Writing:
    """One statement's writing into `table`, which the statement calls `alias`, without other bounds than `checks`."""

    def __init__(
        self, table: Table, alias: str, catalogue: Catalogue, checks: Sequence[Condition] = ()
    ) -> None:
        self.table = table
        self.alias = alias
        self._catalogue = catalogue
        self._checks = list(checks)

    def rows(self, names: list[str], source: str) -> Rows:
        """Return the columns and the source of an insert, looked at before they are written."""
        return self._looked_at(names, source, self._checks) if self._checks else (names, source)

    def where(self, test: str | None) -> str:
        """Return the WHERE of an update or a delete that finds visible rows only."""
        return "" if test is None else f" WHERE {test}"

    def changed(self, sets: Values) -> Values:
        """Return the new values of an update, the first of which is there only if the new row may be."""
        return self._guarded(sets, self._checks) if self._checks else sets

    def merged(self, sets: Values) -> Values:
        """Return the new values of an upsert, the first of which is there only if both rows may be touched."""
        return self.changed(sets)

    def _guarded(self, sets: Values, tests: list[Condition]) -> Values:
        def new(name: str) -> str:
            if name in sets:
                return sets[name]
            self._check_given(name)
            return self._old(name)

        return _only_if([self._over(test, new) for test in tests], sets)

    def _check_given(self, name: str) -> None:
        column = self.table.columns[name]
        if column.generated and not column.identity:
            raise refused("a policy over a generated column")

    def _old(self, name: str) -> str:
        return f"{quote(self.alias)}.{quote(name)}"

    def _over(self, test: Condition, value: Callable[[str], str]) -> str:
        """Return a test over a row made of values, under the table's own name."""
        columns = ", ".join(f"{value(name)} AS {quote(name)}" for name in sorted(test.columns)) or "1"
        return f"(SELECT {test.sql} FROM (SELECT {columns}) AS {quote(self.table.name)})"

    def _looked_at(self, names: list[str], source: str, tests: list[Condition]) -> Rows:
        wanted = {name for test in tests for name in test.columns}
        if not names:
            wanted |= {name for name, column in self.table.columns.items() if not column.generated}
        for name in sorted(wanted - set(names)):
            self._check_given(name)
        added = [name for name in self.table.columns if name in wanted and name not in names]
        values = [self._given(name, wanted) for name in names] + [self._default(name) for name in added]
        every = [*names, *added]
        listed = ", ".join(map(quote, every))
        given = f"{_GIVEN}({', '.join(map(quote, names))}) AS ({source}), " if names else ""
        new = f"SELECT {', '.join(values)}{f' FROM {_GIVEN}' if names else ''}"
        *before, check = (test.sql for test in tests)
        for test in reversed(before):  # CASE keeps their order, which AND does not: the first refusal is told
            check = f"CASE WHEN {test} THEN {check} END"
        return every, (
            f"WITH {given}{_NEW}({listed}) AS MATERIALIZED ({new}) "
            f"SELECT * FROM {_NEW} AS {quote(self.table.name)} WHERE {check}"
        )

    def _given(self, name: str, wanted: set[str]) -> str:
        if name in wanted and makes_own_value(self.table.columns[name]):
            return f"coalesce({quote(name)}, {self._next_number()})"
        return quote(name)

    def _default(self, name: str) -> str:
        column = self.table.columns[name]
        if makes_own_value(column):
            return self._next_number()
        return default_value(column, self._catalogue).sql

    def _next_number(self) -> str:
        """Return the number that SQLite is about to give."""
        table = text_literal(engine_name(self.table.schema, self.table.name))
        last = f"SELECT seq FROM main.sqlite_sequence WHERE name = {table}"
        return f"coalesce(({last}), 0) + row_number() OVER ()"


class GuardedWriting(Writing):
    """The same with a role's rights."""

    def __init__(
        self,
        table: Table,
        alias: str,
        rights: RoleRights,
        access: Access,
        command: Command,
        checks: Sequence[Condition] = (),
    ) -> None:
        super().__init__(table, alias, rights.catalogue, checks)
        self.access = access
        self._rights = rights
        self._command = command

    def rows(self, names: list[str], source: str) -> Rows:
        """Have the rows of an insert looked at."""
        self.access.numbers |= {
            name
            for name, column in self.table.columns.items()
            if name not in names and makes_own_value(column) and not column.identity
        }
        if not self._rights.restricts(self.table):
            return super().rows(names, source)
        return self._looked_at(names, source, self._demands("insert"))

    def where(self, test: str | None) -> str:
        """Hide the rows that policies hide."""
        if not self._rights.restricts(self.table):
            return super().where(test)
        commands: tuple[Command, ...] = (self._command, "select") if self.access.reads else (self._command,)
        visible = self._of_row(self._rights.visible(self.table, *commands))
        if test is None:
            return f" WHERE {visible}"
        if self._rights.barrier:
            return f" WHERE CASE WHEN {visible} THEN {test} END"
        return f" WHERE {visible} AND {test}"

    def changed(self, sets: Values) -> Values:
        """Have the new row looked at."""
        if not self._rights.restricts(self.table):
            return super().changed(sets)
        return self._guarded(sets, self._demands("update"))

    def merged(self, sets: Values) -> Values:
        """Have the row that is there looked at, and then the new one."""
        if not self._rights.restricts(self.table):
            return super().changed(sets)
        old = [self._rights.demanded(self.table, "update", using=True, old=True)]
        if self.access.reads:
            old.append(self._rights.demanded(self.table, "select", using=True, old=True))
        return _only_if([self._over(test, self._old) for test in old], self.changed(sets))

    def _demands(self, command: Command) -> list[Condition]:
        tests = [self._rights.demanded(self.table, command)]
        if self.access.reads:
            tests.append(self._rights.demanded(self.table, "select", using=True))
        return tests + self._checks

    def _of_row(self, test: Condition) -> str:
        """Return a test over the statement's own row; a name of the statement's might mean another in a policy."""
        return test.sql if self.alias == self.table.name else self._over(test, self._old)


def writing(target: Target, scope: Scope, command: Command) -> Writing:
    """Return what writes a role's rights and views' check options into a statement."""
    checks = target.checks() if command != "delete" else []
    if scope.rights is None or target.access is None:
        return Writing(target.table, target.alias, scope.catalogue, checks)
    return GuardedWriting(target.table, target.alias, scope.rights, target.access, command, checks)


def _only_if(calls: list[str], sets: Values) -> Values:
    """Have the first value wait for calls that raise where it must not be; CASE keeps their order."""
    (first, value), *_ = sets.items()
    for call in reversed(calls):
        value = f"CASE WHEN {call} THEN {value} END"
    return {**sets, first: value}
