"""`Policies` over a database: grants are in the catalogue, policies are asked about one row by the caller itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kernel.contracts.catalogue import Command, Grant, Policy, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Decision, Verdict
from kernel.identity import Identity

_ANONYMOUS = Identity("anon")
_SERVICE = "service_role"


class TablePolicies:
    """The `Policies` contract on one database; `value_of` tells what a condition over a table always is, if it is."""

    def __init__(self, database: Database, value_of: Callable[[str, Table], bool | None]) -> None:
        self._database = database
        self._value_of = value_of

    def allows(
        self,
        identity: Identity | None,
        command: Command,
        table: str,
        schema: str = "public",
        *,
        key: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> bool:
        """Return the decision alone."""
        return self.explain(identity, command, table, schema, key=key, row=row).allowed

    def explain(
        self,
        identity: Identity | None,
        command: Command,
        table: str,
        schema: str = "public",
        *,
        key: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Decide on a command and say why."""
        caller = identity or _ANONYMOUS
        found = self._table(table, schema)
        _check_columns(found, {**(key or {}), **(row or {})})
        role = self._database.catalogue.roles.get(caller.role)
        if role is None:
            return Decision(False, f"the role {caller.role} does not exist")
        if role.unrestricted or role.name == _SERVICE:
            return Decision(True, f"the role {role.name} is without bounds")
        acting = self._database.catalogue.acting_as(role.name)
        if not self._database.catalogue.may_use(schema, acting):
            return Decision(False, f"the role {role.name} may not use the schema {schema}")
        grants = tuple(one for one in found.grants if one.privilege == command and one.role in acting)
        if not grants:
            return Decision(False, f"nothing grants {command} on {schema}.{table} to {role.name}")
        missing = _missing(found, acting, command, key, row)
        if missing is not None:
            return Decision(False, f"nothing grants {missing} of {schema}.{table} to {role.name}", grants)
        if found.kind == "view" or not found.row_security:
            return Decision(True, _granted(grants), grants)
        if role.bypasses_row_security:
            return Decision(True, f"the role {role.name} bypasses row security", grants)
        asked = _asked(command, key, row)
        if not asked:
            return _without_row(grants, command, found.policies_for(command, acting))
        verdicts = _Asking(self._database, self._value_of, found, caller, acting).verdicts(
            asked, key, row or {}
        )
        allowed, reason = _decided(command, asked, verdicts)
        return Decision(allowed, reason, grants, verdicts, asked)

    def _table(self, table: str, schema: str) -> Table:
        found = self._database.catalogue.table(table, schema)
        if found is None:
            raise DatabaseError(f'relation "{schema}.{table}" does not exist', sqlstate="42P01", table=table)
        return found


class _Asking:
    """The policies of one table, asked by one caller about rows."""

    def __init__(
        self,
        database: Database,
        value_of: Callable[[str, Table], bool | None],
        table: Table,
        caller: Identity,
        acting: frozenset[str],
    ) -> None:
        self._database = database
        self._value_of = value_of
        self._table = table
        self._caller = caller
        self._acting = acting

    def verdicts(
        self, asked: Iterable[tuple[Command, bool]], key: Mapping[str, Any] | None, row: Mapping[str, Any]
    ) -> tuple[Verdict, ...]:
        """Ask all that count, for commands, about the row that is there or the new one."""
        old = None if key is None else self._old(key)
        found: list[Verdict] = []
        for command, new in asked:
            if old is None:
                values = self._inserted(row)
            else:
                values = self._values({**old, **row} if new else old)
            policies = self._table.policies_for(command, self._acting)
            if not any(one.permissive for one in policies):
                # Nothing is let through, whatever the restrictive ones say; they are not asked.
                found += (Verdict(one, None, command, new) for one in policies)
                continue
            open_ = any(one.permissive and self._always(one, command, new=new) for one in policies)
            found += (
                Verdict(one, self._holds(one, values, command, new=new, open_=open_), command, new)
                for one in policies
            )
        return tuple(found)

    def _always(self, policy: Policy, command: Command, *, new: bool) -> bool | None:
        """Return what a policy always says, None where that depends."""
        text = _condition(policy, command, new=new)
        return not policy.permissive if text is None else self._value_of(text, self._table)

    def _old(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row whoever may see it."""
        table = self._table
        columns = ", ".join(map(_quoted, table.columns))
        test = " and ".join(
            f"{_quoted(name)} = cast(:k{place} as {table.columns[name].type})"
            for place, name in enumerate(key)
        )
        rows = self._database.query(
            f"select {columns} from {_quoted(table.schema)}.{_quoted(table.name)} where {test}",  # noqa: S608 - quoted
            {f"k{place}": value for place, value in enumerate(key.values())},
        )
        if not rows:
            raise DatabaseError(f"{table.name} has no row with this key", sqlstate="02000", table=table.name)
        return dict(zip(table.columns, rows[0], strict=True))

    def _values(self, row: Mapping[str, Any]) -> _Row:
        columns = self._table.columns.items()
        return (
            [
                f"cast(:v{place} as {column.type}) as {_quoted(name)}"
                for place, (name, column) in enumerate(columns)
            ],
            {f"v{place}": row[name] for place, (name, _) in enumerate(columns)},
        )

    def _inserted(self, row: Mapping[str, Any]) -> _Row:
        """Return an inserted row; a number that the table would give it is not known before, and null."""
        columns, params = [], {}
        for place, (name, column) in enumerate(self._table.columns.items()):
            value = "null"
            if name in row:
                value, params[f"v{place}"] = f":v{place}", row[name]
            elif column.default is not None and "nextval(" not in column.default:
                value = f"({column.default})"
            columns.append(f"cast({value} as {column.type}) as {_quoted(name)}")
        return columns, params

    def _holds(self, policy: Policy, row: _Row, command: Command, *, new: bool, open_: bool) -> bool:
        """Ask a policy about a row, with the caller's rights: those count for what its expression reads.

        A database does not ask what a constant has decided: beside a permissive policy that is always true, which
        makes the table `open_`, it does not matter that the caller may not read what another one asks about.
        """
        always = self._always(policy, command, new=new)
        if always is not None:
            return always
        columns, params = row
        # Behind OFFSET the values are none that a planner could decide by before it looks at grants.
        source = f"(select {', '.join(columns)} offset 0) as {_quoted(self._table.name)}"
        text = _condition(policy, command, new=new)
        statement = f"select 1 from {source} where ({text}\n)"  # noqa: S608 - ours
        try:
            return bool(self._database.query(statement, params, identity=self._caller))
        except DatabaseError as error:
            if error.sqlstate == "42501" and open_ and policy.permissive:
                return False
            raise


def _condition(policy: Policy, command: Command, *, new: bool) -> str | None:
    return policy.condition_for_new_rows() if new and command != "select" else policy.using


_Row = tuple[list[str], dict[str, Any]]
"""A row as a select list and its parameters."""


def _check_columns(table: Table, names: Mapping[str, Any]) -> None:
    for name in names:
        if name not in table.columns:
            raise DatabaseError(
                f'column "{name}" of relation "{table.name}" does not exist', sqlstate="42703", column=name
            )


def _missing(
    table: Table,
    acting: frozenset[str],
    command: Command,
    key: Mapping[str, Any] | None,
    row: Mapping[str, Any] | None,
) -> str | None:
    """Return the first column, with the privilege on it, that a statement would name and may not."""
    named = [("select", name) for name in key or ()] + [(command, name) for name in row or ()]
    for privilege, name in named:
        if not table.allows(acting, privilege, name):
            return f"{privilege} on the column {name}"
    return None


def _asked(
    command: Command, key: Mapping[str, Any] | None, row: Mapping[str, Any] | None
) -> tuple[tuple[Command, bool], ...]:
    """Return for which commands a row has to be let through, and whether as the new one; none without a row."""
    if command == "insert":
        return () if row is None else (("insert", True),)
    if key is None:
        return ()
    if command == "select":
        return (("select", False),)
    found: tuple[tuple[Command, bool], ...] = ((command, False), ("select", False))
    return (*found, ("update", True), ("select", True)) if command == "update" and row else found


def _decided(
    command: Command, asked: Iterable[tuple[Command, bool]], verdicts: tuple[Verdict, ...]
) -> tuple[bool, str]:
    letting: list[str] = []
    for stage, new in asked:
        those = [one for one in verdicts if (one.command, one.new) == (stage, new)]
        of = f"for {stage} " if stage != command else ""
        row = "new row" if new and command == "update" else "row"
        lets = next((one for one in those if one.policy.permissive and one.holds), None)
        if lets is None:
            return False, f"no policy {of}lets the {row} through"
        for one in those:
            if not one.policy.permissive and not one.holds:
                suffix = " for the new row" if row == "new row" else ""
                return False, f'the restrictive policy "{one.policy.name}" does not hold{suffix}'
        letting.append(lets.policy.name)
    return True, f'the policy "{letting[0]}" lets the row through'


def _without_row(grants: tuple[Grant, ...], command: Command, policies: tuple[Policy, ...]) -> Decision:
    verdicts = tuple(Verdict(policy, command=command, new=command == "insert") for policy in policies)
    if not any(policy.permissive for policy in policies):
        return Decision(False, "row security is on, and no policy is permissive", grants, verdicts)
    return Decision(True, f"{_granted(grants)}; policies decide on each row", grants, verdicts)


def _granted(grants: tuple[Grant, ...]) -> str:
    whole = next((grant for grant in grants if grant.column is None), None)
    if whole is not None:
        return f"{whole.privilege} is granted to {whole.role}"
    columns = ", ".join(sorted({grant.column or "" for grant in grants}))
    return f"{grants[0].privilege} is granted on the columns {columns}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
