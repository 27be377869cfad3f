"""One role's rights in one statement: which tables it may touch, and what of their rows is there for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from kernel.contracts.catalogue import Catalogue, Command, Function, Policy, Table
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.sqlite.catalogue.definitions import CALLED, defined
from plugins.database.sqlite.names import quote, text_literal
from plugins.database.sqlite.rights import access, leaks
from plugins.database.sqlite.rights.access import Access, Calling
from plugins.database.sqlite.rights.trees import any_of, folded, policy_tree
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of
from plugins.database.sqlite.translate.queries.writing.snapshots import Snapshot
from plugins.database.sqlite.translate.scope import Item, Scope, file_name, table_types

UNRESTRICTED = "service_role"


class Condition(msgspec.Struct, frozen=True):
    """What policies demand, over a row that goes by the table's own name; `columns` are those it looks at."""

    sql: str
    columns: frozenset[str] = frozenset()


class RoleRights:
    """Gathers what a statement does, and gives out tables as the role sees them.

    Made anew for each statement; `barrier` tells that hidden rows must be gone before anything else is looked at.
    """

    def __init__(self, catalogue: Catalogue, role: str, *, barrier: bool = False) -> None:
        """Raise `DatabaseError` (22023) for a role that does not exist."""
        known = catalogue.roles.get(role)
        if known is None:
            raise DatabaseError(f'role "{role}" does not exist', sqlstate="22023")
        self.catalogue = catalogue
        self.role = role
        self.acting = catalogue.acting_as(role)
        self.barrier = barrier
        self._bypasses = known.bypasses_row_security
        self.noted: list[Access | Calling] = []
        self.snapshot = Snapshot()
        self._path: list[tuple[str, str]] = []

    def access(self, table: Table, *privileges: str) -> Access:
        """Note that the statement touches a table, and return what notes how."""
        found = Access(table, *privileges)
        self.noted.append(found)
        return found

    def call(self, function: Function) -> None:
        """Note that the statement calls a function."""
        self.noted.append(Calling(function))

    def enter(self, schema: str) -> None:
        """Raise `DatabaseError` (42501) where the role may not use a schema that the statement names."""
        if not self._path:
            access.check_schema(schema, self.catalogue, self.acting)

    def check(self) -> None:
        """Raise `DatabaseError` (42501) where a grant is missing for what was noted."""
        for noted in self.noted:
            access.check(noted, self.acting)

    def source(self, table: Table) -> str:
        """Return what FROM reads for a table: its visible rows. It still needs an alias."""
        if table.kind == "view":
            return self._view(table)
        if not self.restricts(table):
            return self._rows(table)
        visible = self.visible(table, "select").sql
        limit = (
            " LIMIT -1" if self.barrier else ""
        )  # which keeps SQLite from merging the query into the outer one
        return f"(SELECT * FROM {self._rows(table)} AS {quote(table.name)} WHERE {visible}{limit})"

    def _rows(self, table: Table) -> str:
        """Return all rows of a table, as the statement found them."""
        rows = self.snapshot.source(table)
        return f"main.{file_name(table)}" if rows is None else f"({rows})"

    def restricts(self, table: Table) -> bool:
        """Tell whether policies concern the role on this table."""
        return table.kind == "table" and table.row_security and not self._bypasses

    def visible(self, table: Table, *commands: Command) -> Condition:
        """Return what a row that is there must meet to be read or changed by commands."""
        found: list[str] = []
        seen: set[str] = set()
        for command in commands:
            policies = tuple(one for one in table.policies_for(command, self.acting) if one.using is not None)
            permissive, restrictive = _applied([(one, one.using) for one in policies])
            with self._within(table, policies if permissive else ()):
                found += [self._any(table, [text], seen) for text in restrictive.values()]
                found.append(self._any(table, permissive, seen))
        return Condition(f"({' AND '.join(dict.fromkeys(found))})", frozenset(seen))

    def demanded(
        self, table: Table, command: Command, *, using: bool = False, old: bool = False
    ) -> Condition:
        """Return a call that raises 42501 for a new row which the policies of a command refuse.

        With `using`, the conditions for rows that are there are meant; with `old`, the row is one that an upsert
        found.
        """
        policies = table.policies_for(command, self.acting)
        permissive, restrictive = _applied(
            [(one, one.using if using else one.condition_for_new_rows()) for one in policies]
        )
        seen: set[str] = set()
        with self._within(table, policies if permissive else ()):
            allowed = self._any(table, permissive, seen)
            named = [(name, self._any(table, [text], seen)) for name, text in restrictive.items()]
        suffix = ' (USING expression) for table "{}"' if old else ' for table "{}"'
        start, end = "new row violates row-level security policy", suffix.format(table.name)
        pairs = [(allowed, start + end)] + [(sql, f'{start} "{name}"{end}') for name, sql in sorted(named)]
        arguments = ", ".join(f"{sql}, {text_literal(message)}" for sql, message in pairs)
        return Condition(f"pg_policy({arguments})", frozenset(seen))

    def _any(self, table: Table, texts: list[str], seen: set[str]) -> str:
        """Write down a condition that holds where one of `texts` does.

        What a constant decides is left out, with the grants that it would have needed, as PostgreSQL's planner
        leaves it out; but not before it was looked at.
        """
        whole = any_of([policy_tree(text) for text in texts])
        mark = len(self.noted)
        sql = self._emit(table, whole, seen)
        part = folded(whole)
        if part is not whole:
            del self.noted[mark:]
            sql = self._emit(table, part, seen)
        return sql

    def _emit(self, table: Table, node: Node, seen: set[str]) -> str:
        scope = Scope(self.catalogue, (), rights=self)
        noted = Access(table)
        scope.add(Item(table.name, table_types(table), table=table, access=noted))
        with self._behind_barrier(leaks.expression_leaks(node)):
            sql = expressions.condition(node, scope, "POLICY")
        seen |= noted.needs.get("select", set())
        return sql

    def _view(self, view: Table) -> str:
        from plugins.database.sqlite.translate.queries.sources import view_source

        # A view reads with its owner's rights, and calls functions with those of whoever reads it.
        for schema, signature, column in defined(view).reads:
            if column == CALLED:
                name = signature.partition("(")[0]
                for function in self.catalogue.functions.get((schema, name), ()):
                    if function.signature == signature:
                        self.call(function)
        if not view.security_invoker or view.definition is None:
            name = f"main.{file_name(view)}"
            if self.snapshot:
                name = view_source(view, Scope(self.catalogue, (), snapshot=self.snapshot))
            return f"(SELECT * FROM {name} LIMIT -1)" if self.barrier else name
        _, fields = kind_of(parser.parse(view.definition).statements[0])
        with self._behind_barrier(leaks.leaks(fields["query"])):
            return view_source(view, Scope(self.catalogue, (), rights=self))

    @contextmanager
    def _within(self, table: Table, policies: tuple[Policy, ...]) -> Iterator[None]:
        """Note whose policies are being written down; raises 42P17 where that never ends."""
        key = (table.schema, table.name)
        # As PostgreSQL has it, a policy asks others if either of its conditions does.
        texts = [text for one in policies for text in (one.using, one.check) if text is not None]
        asks = any(leaks.has_subquery(policy_tree(text)) for text in texts)
        if asks and key in self._path:
            raise DatabaseError(
                f'infinite recursion detected in policy for relation "{table.name}"', sqlstate="42P17"
            )
        self._path.append(key)
        try:
            yield
        finally:
            self._path.pop()

    @contextmanager
    def _behind_barrier(self, needed: bool) -> Iterator[None]:
        before, self.barrier = self.barrier, self.barrier or needed
        try:
            yield
        finally:
            self.barrier = before


def _applied(given: list[tuple[Policy, str | None]]) -> tuple[list[str], dict[str, str]]:
    """Return the conditions of permissive policies, and of restrictive ones by name; those count beside others only."""
    permissive = [text for policy, text in given if policy.permissive and text is not None]
    if not permissive:
        return [], {}
    return permissive, {
        policy.name: text for policy, text in given if not policy.permissive and text is not None
    }
