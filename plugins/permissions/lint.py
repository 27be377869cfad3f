"""What is likely wrong with a database's rights, and the statement that mends it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kernel.contracts.catalogue import PUBLIC, Catalogue, Function, Policy, Table
from kernel.contracts.database import Database
from kernel.contracts.schema import Body, Compared, Expression, SchemaWork

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
    for _, overloads in sorted(database.catalogue.functions.items()):
        for function in overloads:
            if function.schema != "kernel":
                yield from lint.of_function(function)


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

    def of_function(self, function: Function) -> Iterator[Finding]:
        """Yield what is wrong with a function: one that shows clients what policies would hide from them.

        One that asks who is there has a test of its own, and one that policies call shows what they mean it to.
        """
        if not function.security_definer or (function.schema, function.name) in self._called_by_policies:
            return
        callers = sorted(
            role
            for role in function.executors & _CLIENTS
            if not self._catalogue.usage.get(function.schema, frozenset()).isdisjoint({role, PUBLIC})
        )
        body = self._reached(function)
        if not callers or any(schema == "auth" or name == "current_setting" for schema, name in body.calls):
            return
        hidden = sorted(
            _named(table)
            for table in map(self._catalogue.tables.get, body.reads)
            if table is not None and table.row_security and table.schema != "kernel"
        )
        if hidden:
            yield {
                "table": f"{function.schema}.{function.signature}",
                "policy": None,
                "problem": f"may be called by {', '.join(callers)}, and reads {', '.join(hidden)} with its owner's"
                " rights: no policy concerns them",
                "statement": f"revoke execute on function {_quoted(function.schema)}.{_signed(function)}"
                f" from {', '.join(callers)};",
            }

    @functools.cached_property
    def _called_by_policies(self) -> frozenset[Key]:
        return frozenset(
            key
            for table in self._catalogue.tables.values()
            for policy in table.policies
            for text in _texts(policy)
            for key in self._expression(text, table).calls
        )

    def _reached(self, function: Function) -> Body:
        """Return what a function reads and calls, also by the functions and views that it reads and calls."""
        reads: set[Key] = set()
        calls: set[Key] = set()
        pending, seen = [function], {(function.schema, function.signature)}
        while pending:
            body = self._work.body(pending.pop())
            if body is None:
                continue
            calls |= body.calls
            reads |= self._through_views(body.reads)
            for key in body.calls:
                for called in self._catalogue.functions.get(key, ()):
                    if (called.schema, called.signature) not in seen:
                        seen.add((called.schema, called.signature))
                        pending.append(called)
        return Body(frozenset(reads), frozenset(calls))

    def _through_views(self, reads: Iterable[Key]) -> set[Key]:
        """Return tables and views with those that views of callers' rights read."""
        found: set[Key] = set()
        pending = list(reads)
        while pending:
            key = pending.pop()
            if key not in found:
                found.add(key)
                table = self._catalogue.tables.get(key)
                pending += self._work.reads(table) if table is not None and table.kind == "view" else ()
        return found

    def _read_with_callers_rights(self, expression: Expression) -> set[Key]:
        """Return what a policy's expression reads, in functions that it calls too.

        What those read with their owner's rights leads to no policy.
        """
        found, pending, seen = set(expression.reads), list(expression.calls), set(expression.calls)
        while pending:
            for function in self._catalogue.functions.get(pending.pop(), ()):
                body = None if function.security_definer else self._work.body(function)
                if body is not None:
                    found |= body.reads
                    pending += body.calls - seen
                    seen |= body.calls
        return found

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
            self._asks(self._expression(text, table))
            for other in table.policies
            if other.command in _READING and _meet(policy, other)
            for text in _texts(other)
        ):
            return False
        pending = [
            key
            for text in _texts(policy)
            for key in self._read_with_callers_rights(self._expression(text, table))
        ]
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
                yield from self._read_with_callers_rights(self._expression(other.using, table))

    def _asks(self, expression: Expression) -> bool:
        """Tell whether an expression holds a query, itself or in a function that it calls."""
        return expression.asks or bool(self._read_with_callers_rights(expression))

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


def _signed(function: Function) -> str:
    return f"{_quoted(function.name)}({', '.join(argument.type for argument in function.arguments)})"


def _named(table: Table) -> str:
    return f"{_quoted(table.schema)}.{_quoted(table.name)}"


def _quoted(name: str) -> str:
    plain = name.replace("_", "a")
    return (
        name
        if plain.isascii() and plain.isalnum() and name.islower()
        else '"' + name.replace('"', '""') + '"'
    )
