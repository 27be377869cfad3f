"""What a statement writes: a table, or the one below a view.

A view of one relation, without grouping and the like, is written through, as PostgreSQL does it: its columns stand
for expressions over the table below, its condition hides rows, its check option looks at new ones. The view is for
its reader's rights; what is below it is for its owner's, which have no bounds, or for a `security_invoker`'s reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from kernel.contracts.catalogue import Column, Command
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import Definition, Simple, defined
from plugins.database.sqlite.names import quote, text_literal
from plugins.database.sqlite.rights.access import Access
from plugins.database.sqlite.rights.role import Condition
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, strings
from plugins.database.sqlite.translate.schema.tables.constraints import columns_in
from plugins.database.sqlite.translate.scope import Item, Scope, file_name, table_types

_VERBS: dict[Command, tuple[str, str, str]] = {
    "insert": ("insert into", "inserting into the view", "INSERT"),
    "update": ("update", "updating the view", "UPDATE"),
    "delete": ("delete from", "deleting from the view", "DELETE"),
}


class Target:
    """The relation that a statement names after its verb, and the table that it changes by that."""

    def __init__(self, relation: Node, scope: Scope, command: Command) -> None:
        """Raise `DatabaseError` 42P01 for a missing relation, 55000 for a view that cannot be written through."""
        only(relation, "a table to write", "schemaname", "relname", "inh", "relpersistence", "alias")
        only(relation.get("alias", {}), "an alias of a table", "aliasname")
        self.alias = str(relation.get("alias", {}).get("aliasname", relation["relname"]))
        self.named = scope.table(relation)
        self._scope = scope
        self._command = command
        self._views: list[tuple[Definition, Simple]] = []
        self.table = self.named
        while self.table.kind == "view":
            view = defined(self.table)
            if view.simple is None or not (command == "delete" or view.simple.is_updatable):
                raise _not_updatable(view, command)
            self._views.append((view, view.simple))
            self.table = scope.catalogue.tables[view.simple.schema, view.simple.name]
        self._accesses = [self._access(place) for place in range(len(self._views) + 1)]

    def _access(self, place: int) -> Access | None:
        """Return what notes the use of the relation that is so many views down; None where no bounds are."""
        rights = self._scope.rights
        if rights is None or (place and not self._views[place - 1][0].security_invoker):
            return None
        below = self._views[place - 1][1] if place else None
        table = self.named if below is None else self._scope.catalogue.tables[below.schema, below.name]
        return rights.access(table, self._command)

    @property
    def access(self) -> Access | None:
        """What notes the use of the table itself, None where it has no bounds."""
        return self._accesses[-1]

    @property
    def sql(self) -> str:
        """The table under the statement's name for it."""
        return f"{file_name(self.table)} AS {quote(self.alias)}"

    def uses(self, privilege: str, columns: Iterable[str]) -> None:
        """Note which columns, by the names that the statement has for them, are written or read."""
        names = list(columns)
        for place, access in enumerate(self._accesses):
            if access is not None:
                access.use(privilege, *names)
            if place < len(self._views):
                targets = self._views[place][1].targets
                names = [below for below in (_below(targets[name]) for name in names) if below is not None]

    def column(self, name: str) -> Column:
        """Return the table's column behind a name; raises 42703, or 0A000 where there is none behind it."""
        if name not in self.named.columns:
            raise DatabaseError(
                f'column "{name}" of relation "{self.named.name}" does not exist',
                sqlstate="42703",
                table=self.named.name,
                column=name,
            )
        below = name
        for view, simple in self._views:
            found = _below(simple.targets[below])
            if found is None:
                verb = "insert into" if self._command == "insert" else "update"
                raise DatabaseError(
                    f'cannot {verb} column "{below}" of view "{view.name}"',
                    sqlstate="0A000",
                    detail="View columns that are not columns of their base relation are not updatable.",
                )
            below = found
        return self.table.columns[below]

    def item(self, written: Callable[[str], str] | None = None, alias: str | None = None) -> Item:
        """Return the relation as an entry of FROM; `written` gives the SQL of the table's columns, bare ones in it."""
        name = self.alias if alias is None else alias
        return Item(
            name,
            table_types(self.named),
            qualified=written is None,
            table=self.named,
            computed=self._columns(
                0, written or (lambda column: f"{quote(name)}.{quote(column)}"), self._accesses
            ),
            access=self._accesses[0],
        )

    def excluded(self) -> Item:
        """Return the row that an upsert was to insert; only qualified names mean it."""
        computed = self._columns(0, lambda column: f"excluded.{quote(column)}", self._unnoted)
        return Item("excluded", table_types(self.named), computed=computed, bare=False)

    @property
    def _unnoted(self) -> list[Access | None]:
        return [None] * len(self._accesses)

    def _columns(
        self, place: int, written: Callable[[str], str], accesses: Sequence[Access | None]
    ) -> Mapping[str, str]:
        """Return the columns of the relation that is so many views down, in the SQL of the table's."""
        if place == len(self._views):
            return {column: written(column) for column in self.table.columns}
        simple = self._views[place][1]
        return _Computed(simple, self._inside(place, written, accesses), accesses[place + 1])

    def _inside(self, place: int, written: Callable[[str], str], accesses: Sequence[Access | None]) -> Scope:
        """Return the scope of a view's own query."""
        view, simple = self._views[place]
        below = self._scope.catalogue.tables[simple.schema, simple.name]
        scope = Scope(self._scope.catalogue, (), rights=self._scope.rights if view.security_invoker else None)
        computed = self._columns(place + 1, written, accesses)
        scope.add(Item(simple.alias, table_types(below), table=below, computed=computed))
        return scope

    def _conditions(
        self, written: Callable[[str], str], accesses: Sequence[Access | None]
    ) -> Iterator[tuple[Definition, str]]:
        """Yield the conditions of the views, the lowest first."""
        for place, (view, simple) in reversed(list(enumerate(self._views))):
            if simple.where is not None:
                inside = self._inside(place, written, accesses)
                yield view, expressions.condition(simple.where, inside, "WHERE")

    def where(self, test: str | None) -> str | None:
        """Return a statement's condition together with those of the views."""
        found = [
            sql
            for _, sql in self._conditions(
                lambda column: f"{quote(self.alias)}.{quote(column)}", self._unnoted
            )
        ]
        found += [] if test is None else [test]
        return " AND ".join(f"({one})" for one in found) if len(found) > 1 else (found[0] if found else None)

    def checks(self) -> list[Condition]:
        """Return calls that raise 44000 (23514 for a partition) for a new row that a view's check option refuses."""

        def written(column: str) -> str:
            return f"{quote(self.table.name)}.{quote(column)}"

        checked = self._checked()
        found = []
        for view, sql in self._conditions(written, self._unnoted):
            if view.name in checked:
                call, message = "pg_check_option", f'new row violates check option for view "{view.name}"'
                if defined(view).partition is not None:
                    call = "pg_partition"
                    message = f'new row for relation "{view.name}" violates partition constraint'
                found.append(f"{call}({sql}, {text_literal(message)})")
        sql = " AND ".join(found)
        return (
            [Condition(sql, frozenset(one for one in self.table.columns if written(one) in sql))]
            if found
            else []
        )

    def _checked(self) -> set[str]:
        found, cascaded = set(), False
        for view, simple in self._views:
            cascaded = cascaded or simple.check == "cascaded"
            if cascaded or simple.check is not None:
                found.add(view.name)
        return found


class _Computed(Mapping[str, str]):
    """The SQL of a view's columns, emitted when asked for.

    Who reads any of them as the view's reader needs rights on all that the view reads.
    """

    def __init__(self, simple: Simple, scope: Scope, access: Access | None) -> None:
        self._targets = simple.targets
        self._scope = scope
        self._access = access
        self._reads = columns_in([*simple.targets.values(), simple.where])

    def __getitem__(self, name: str) -> str:
        if self._access is not None:
            self._access.use("select", *self._reads)
        return types.settle(expressions.emit(self._targets[name], self._scope)).sql

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


def _below(node: Node) -> str | None:
    """Return the column that a view's column is, None for another expression."""
    return strings(node["ColumnRef"]["fields"])[-1] if "ColumnRef" in node else None


def _not_updatable(view: Definition, command: Command) -> DatabaseError:
    verb, doing, event = _VERBS[command]
    return DatabaseError(
        f'cannot {verb} view "{view.name}"',
        sqlstate="55000",
        detail=view.fixed or "Views that have no updatable columns are not automatically updatable.",
        hint=f"To enable {doing}, provide an INSTEAD OF {event} trigger on PostgreSQL, or write to its tables.",
    )
