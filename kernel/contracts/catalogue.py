"""What a database holds, in PostgreSQL's terms, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Command = Literal["select", "insert", "update", "delete"]
Write = Literal["insert", "update", "delete"]
Privilege = Literal[
    "select", "insert", "update", "delete", "truncate", "references", "trigger", "usage", "execute"
]

PUBLIC = "public"
"""The grantee that stands for every role."""


class Column(msgspec.Struct, frozen=True):
    """One column of a table or view.

    `type` is PostgreSQL's name for the type (``integer``, ``timestamp with time zone``, ``text[]``), `default`
    the default's SQL text or None; `generated` columns (stored expressions and ``generated always`` identities)
    take no value on insert.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    identity: bool = False
    comment: str | None = None

    @property
    def numbered(self) -> bool:
        """Whether it numbers its rows by itself."""
        return self.identity or (self.default or "").startswith("nextval(")


class ForeignKey(msgspec.Struct, frozen=True):
    """A reference from `columns` of its table to `referenced_columns` of another, pairwise.

    `on_delete` and `on_update` are ``no action``, ``restrict``, ``cascade``, ``set null`` or ``set default``.
    """

    name: str
    columns: tuple[str, ...]
    referenced_schema: str
    referenced_table: str
    referenced_columns: tuple[str, ...]
    on_delete: str = "no action"
    on_update: str = "no action"


class Index(msgspec.Struct, frozen=True):
    """An index; `columns` holds None where it indexes an expression, `partial` tells of a WHERE clause."""

    name: str
    columns: tuple[str | None, ...]
    unique: bool = False
    partial: bool = False


class Grant(msgspec.Struct, frozen=True):
    """One privilege of one role on a table, a view or, with `column`, on one of its columns.

    `role` is ``public`` where everyone has it. ``usage`` on a column is that of the sequence behind it.
    """

    role: str
    privilege: str
    column: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """One policy of a table's row security; `using` and `check` are PostgreSQL's SQL, or None where it has none."""

    name: str
    command: Literal["all", "select", "insert", "update", "delete"] = "all"
    permissive: bool = True
    roles: tuple[str, ...] = (PUBLIC,)
    using: str | None = None
    check: str | None = None

    def applies_to(self, command: Command, roles: frozenset[str]) -> bool:
        """Tell whether the policy counts for a command by one who acts as `roles`."""
        return self.command in ("all", command) and not roles.isdisjoint(self.roles)

    def condition_for_new_rows(self) -> str | None:
        """Return what a new row must meet: the check, or the condition for rows that are there."""
        return self.check if self.check is not None else self.using


class Origin(msgspec.Struct, frozen=True):
    """The column of a table that a view's column shows unchanged."""

    schema: str
    table: str
    column: str


class Table(msgspec.Struct, frozen=True):
    """A table or view; `columns` keeps the order of their definition.

    With `row_security`, who does not bypass it sees and writes only what `policies` (in the order of their names)
    let through. A view reads with its owner's rights, unless it is a `security_invoker`; `definition` is the
    statement that made it, where the engine has to read that again, and `origins` says by column what it shows of
    tables (through other views, too). Its `primary_key` are the columns that show a table's, or those of several. The
    commands that it takes, rights aside, are `writable`: those that reach one table, or for which it has an INSTEAD OF
    trigger. The changes of a `published` table are in the change log.
    """

    schema: str
    name: str
    kind: Literal["table", "view"]
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    grants: tuple[Grant, ...] = ()
    row_security: bool = False
    forced: bool = False
    policies: tuple[Policy, ...] = ()
    security_invoker: bool = False
    definition: str | None = None
    published: bool = False
    origins: Mapping[str, Origin] = {}
    writable: frozenset[Write] = frozenset({"insert", "update", "delete"})

    def allows(self, roles: frozenset[str], privilege: str, column: str | None = None) -> bool:
        """Tell whether one who acts as `roles` has a privilege on the whole table, or at least on `column`."""
        return any(
            grant.privilege == privilege and grant.role in roles and grant.column in (None, column)
            for grant in self.grants
        )

    def policies_for(self, command: Command, roles: frozenset[str]) -> tuple[Policy, ...]:
        """Return the policies that count for a command by one who acts as `roles`."""
        return tuple(policy for policy in self.policies if policy.applies_to(command, roles))


class Argument(msgspec.Struct, frozen=True):
    """One argument of a function, or one column of the rows it returns; `default` is PostgreSQL's SQL or None.

    A `variadic` one takes any number of values, as an array.
    """

    name: str | None
    type: str
    default: str | None = None
    variadic: bool = False


class Function(msgspec.Struct, frozen=True):
    """A function that a migration made.

    `returns` is a type, the name of a table or view whose rows it returns, ``void``, ``trigger``, or ``record``
    where `columns` says what the rows hold; with `returns_set` it returns any number of them, or one at most if it
    `promises_one` (``rows 1``). A function that is not `volatile` writes nothing. With `security_definer` it runs with
    its owner's rights. The roles in `executors`, and who has their rights, may call it.
    """

    schema: str
    name: str
    arguments: tuple[Argument, ...]
    returns: str
    returns_set: bool = False
    columns: tuple[Argument, ...] = ()
    volatility: Literal["immutable", "stable", "volatile"] = "volatile"
    security_definer: bool = False
    language: str = "sql"
    comment: str | None = None
    promises_one: bool = False
    executors: frozenset[str] = frozenset({PUBLIC})

    @property
    def signature(self) -> str:
        """What tells it from others of its schema: its name and its arguments' types."""
        return f"{self.name}({', '.join(argument.type for argument in self.arguments)})"


class Role(msgspec.Struct, frozen=True):
    """A role that rights are granted to; `member_of` are the roles whose rights it has as well.

    With `bypasses_row_security`, policies do not concern it; with `unrestricted`, grants do not either.
    """

    name: str
    member_of: tuple[str, ...] = ()
    bypasses_row_security: bool = False
    unrestricted: bool = False


class DefaultGrant(msgspec.Struct, frozen=True):
    """A privilege that what is made from now on comes with; `schema` is None for all schemas.

    Everyone may call a new function, unless there are privileges on functions for all schemas: then only those count.
    """

    role: str
    privilege: str
    kind: Literal["table", "sequence", "function"] = "table"
    schema: str | None = None


STANDARD_ROLES: Mapping[str, Role] = MappingProxyType({
    "anon": Role("anon"),
    "authenticated": Role("authenticated"),
    "service_role": Role("service_role", bypasses_row_security=True),
})  # fmt: skip
"""The roles that every database has."""


class Enum(msgspec.Struct, frozen=True):
    """An enumeration that a migration made: its labels, in their order."""

    schema: str
    name: str
    labels: tuple[str, ...]


class Domain(msgspec.Struct, frozen=True):
    """A type of a migration's own: another `type` whose values meet `checks`.

    The checks are PostgreSQL's SQL over ``value``, by name; `default` is that of columns without one of their own.
    """

    schema: str
    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    checks: Mapping[str, str] = {}
    comment: str | None = None


class Catalogue(msgspec.Struct, frozen=True):
    """All tables, views, functions, enumerations and domains at one moment.

    `version` grows with every change of the schema.
    A partition is not among them, but part of its table; a materialized view is a view, a foreign table a table.
    `usage` names, by schema, the roles that may use what is in it.
    """

    version: int
    tables: Mapping[tuple[str, str], Table]
    schemas: frozenset[str] = frozenset({"public"})
    roles: Mapping[str, Role] = STANDARD_ROLES
    usage: Mapping[str, frozenset[str]] = MappingProxyType({"public": frozenset({PUBLIC})})
    default_grants: tuple[DefaultGrant, ...] = ()
    functions: Mapping[tuple[str, str], tuple[Function, ...]] = MappingProxyType({})
    enums: Mapping[tuple[str, str], Enum] = MappingProxyType({})
    domains: Mapping[tuple[str, str], Domain] = MappingProxyType({})

    def table(self, name: str, schema: str = "public") -> Table | None:
        """Return the table or view of that name, or None."""
        return self.tables.get((schema, name))

    def acting_as(self, role: str) -> frozenset[str]:
        """Return `role`, all roles whose rights it has, and ``public``; raises `KeyError` for an unknown role."""
        found: set[str] = {PUBLIC}
        pending = [self.roles[role]]
        while pending:
            current = pending.pop()
            found.add(current.name)
            pending += [
                self.roles[name] for name in current.member_of if name not in found and name in self.roles
            ]
        return frozenset(found)

    def may_use(self, schema: str, roles: frozenset[str]) -> bool:
        """Tell whether one who acts as `roles` may use what is in `schema`."""
        return not roles.isdisjoint(self.usage.get(schema, ()))
