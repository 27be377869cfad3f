"""What is likely wrong with a database's rights, and the statement that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kernel.contracts.catalogue import PUBLIC, Catalogue, Policy, Table
from kernel.contracts.database import Database
from kernel.contracts.schema import Compared, Expression, SchemaWork

_CLIENTS = frozenset({"anon", "authenticated", "public"})
_READING = ("select", "all")

Finding = dict[str, Any]
Key = tuple[str, str]


def findings(database: Database, work: SchemaWork) -> Iterator[Finding]:
    """Yield what is likely wrong, in the order of the tables' names: table, policy, problem, statement."""
    lint = _Lint(database, work)
    for _, table in sorted(database.catalogue.tables.items()):
        if table.schema != "kernel":
            yield from lint.of_table(table)


class _Lint:
    """One look at one catalogue."""

    def __init__(self, database: Database, work: SchemaWork) -> None:
        self._catalogue: Catalogue = database.catalogue
        self._work = work
        self._is_sqlite = database.engine == "sqlite"
        self._told: set[Compared] = set()

    def of_table(self, table: Table) -> Iterator[Finding]:
        """Yield what is wrong with a table, a view and its policies."""
        name = _named(table)
        exposed = _exposed(table)
        roles = ", ".join(exposed)
        if table.kind == "view":
            if exposed and not table.security_invoker:
                yield _finding(
                    table,
                    f"open to {roles}, and reads with its owner's rights: no policy of its tables concerns them",
                    f"drop view {name}; create view {name} with (security_invoker = true) as ...;"
                    if self._is_sqlite
                    else f"alter view {name} set (security_invoker = true);",
                )
            return
        if exposed and not table.row_security:
            yield _finding(
                table,
                f"open to {roles} without row security"
                + ("; its policies do not count" if table.policies else ""),
                f"alter table {name} enable row level security;",
            )
        elif table.policies and not table.row_security:
            yield _finding(
                table,
                "has policies, but row security is off, so that none of them counts",
                f"alter table {name} enable row level security;",
            )
        if table.row_security and not any(policy.permissive for policy in table.policies):
            what = "policy" if not table.policies else "permissive policy"
            yield _finding(
                table,
                f"row security is on and there is no {what}: nobody sees a row",
                f'create policy "read" on {name} for select to {", ".join(exposed) or "authenticated"} using (...);',
            )
        for policy in table.policies:
            yield from self._of_policy(policy, table)

    def _of_policy(self, policy: Policy, table: Table) -> Iterator[Finding]:
        clauses = {
            word: self._expression(text, table)
            for word, text in (("using", policy.using), ("with check", policy.check))
            if text is not None
        }
        yield from self._too_wide(policy, table, clauses)
        if self._comes_back(policy, table):
            yield _finding(
                table,
                "reads its own table again, by itself or through others' policies: a statement would never end (42P17)",
                "create function ... security definer, which reads past the policies, and call it in the policy;",
                policy,
            )
        for found in clauses.values():
            for compared in found.compared:
                yield from self._without_index(compared, table, policy)
        if not self._is_sqlite:
            lifted = [
                f"{word} ({found.lifted})" for word, found in clauses.items() if found.lifted is not None
            ]
            if lifted:
                yield _finding(
                    table,
                    "asks who is there once for every row",
                    f"alter policy {_quoted(policy.name)} on {_named(table)} {' '.join(lifted)};",
                    policy,
                )

    def _too_wide(self, policy: Policy, table: Table, clauses: Mapping[str, Expression]) -> Iterator[Finding]:
        if _CLIENTS.isdisjoint(policy.roles):
            return
        roles = ", ".join(policy.roles)
        alter = f"alter policy {_quoted(policy.name)} on {_named(table)}"
        for word, found in clauses.items():
            if found.value is True and policy.permissive and policy.command != "select":
                yield _finding(
                    table,
                    f"is always true: {roles} may write every row ({policy.command})",
                    f"{alter} {word} (...);",
                    policy,
                )
            elif found.value is True and not policy.permissive:
                yield _finding(
                    table,
                    "is restrictive and always true, so that it restricts nothing",
                    f"drop policy {_quoted(policy.name)} on {_named(table)};",
                    policy,
                )
            elif (
                found.value is None and policy.permissive and not found.of_row and policy.command != "select"
            ):
                yield _finding(
                    table,
                    f"is the same for every row: whom it holds for may write them all ({policy.command})",
                    f"{alter} {word} (...);",
                    policy,
                )

    def _comes_back(self, policy: Policy, table: Table) -> bool:
        """Tell whether what a policy reads leads back to its table, by others' policies and by views of callers.

        It ends there if no policy for reading the table holds a query, be it in its check.
        """
        if not table.row_security or not any(
            self._expression(text, table).asks
            for other in table.policies
            if other.command in _READING and _meet(policy, other)
            for text in _texts(other)
        ):
            return False
        pending = [key for text in _texts(policy) for key in self._expression(text, table).reads]
        seen: set[Key] = set()
        while pending:
            key = pending.pop()
            if key == (table.schema, table.name):
                return True
            found = self._catalogue.tables.get(key)
            if found is not None and key not in seen:
                seen.add(key)
                pending += self._work.reads(found) if found.kind == "view" else self._read_by(found, policy)
        return False

    def _read_by(self, table: Table, policy: Policy) -> Iterator[Key]:
        """Yield what reading a table reads, for whom a policy concerns."""
        for other in table.policies if table.row_security else ():
            if other.command in _READING and other.using is not None and _meet(policy, other):
                yield from self._expression(other.using, table).reads

    def _expression(self, text: str, table: Table) -> Expression:
        return self._work.expression(text, table, self._catalogue)

    def _without_index(self, compared: Compared, table: Table, policy: Policy) -> Iterator[Finding]:
        read = self._catalogue.tables[compared.schema, compared.table]
        first = {index.columns[0] for index in read.indexes if index.columns and not index.partial}
        if compared in self._told or not compared.columns.isdisjoint(first):
            return
        self._told.add(compared)
        columns = ", ".join(sorted(compared.columns))
        where = "" if read is table else f" of {_named(read)}"
        several = len(compared.columns) > 1
        yield _finding(
            table,
            f"compares {'the columns' if several else 'the column'} {columns}{where}, "
            f"{'none of which has' if several else 'which has no'}{' an' if several else ''} index",
            f"create index on {_named(read)} ({sorted(compared.columns)[0]});",
            policy,
        )


def _texts(policy: Policy) -> list[str]:
    return [text for text in (policy.using, policy.check) if text is not None]


def _meet(policy: Policy, other: Policy) -> bool:
    """Tell whether two policies may concern one caller."""
    return PUBLIC in (*policy.roles, *other.roles) or not set(policy.roles).isdisjoint(other.roles)


def _exposed(table: Table) -> list[str]:
    return sorted({grant.role for grant in table.grants if grant.role in _CLIENTS})


def _finding(table: Table, problem: str, statement: str, policy: Policy | None = None) -> Finding:
    of = f'policy "{policy.name}" ' if policy is not None else ""
    return {
        "table": f"{table.schema}.{table.name}",
        "policy": policy.name if policy is not None else None,
        "problem": f"{of}{problem}",
        "statement": statement,
    }


def _named(table: Table) -> str:
    return f"{_quoted(table.schema)}.{_quoted(table.name)}"


def _quoted(name: str) -> str:
    plain = name.replace("_", "a")
    return (
        name
        if plain.isascii() and plain.isalnum() and name.islower()
        else '"' + name.replace('"', '""') + '"'
    )
