"""`Policies` over a database: grants are in the catalogue, policies are asked about one row by the caller itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel.contracts.catalogue import Command, Grant, Policy, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Decision, Verdict
from kernel.identity import Identity

_ANONYMOUS = Identity("anon")
_SERVICE = "service_role"


class TablePolicies:
    """The `Policies` contract on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        if found.kind == "view" or not found.row_security:
            return Decision(True, _granted(grants), grants)
        if role.bypasses_row_security:
            return Decision(True, f"the role {role.name} bypasses row security", grants)
        policies = found.policies_for(command, acting)
        values = row if row is not None else self._row(found, key) if key is not None else None
        if values is None:
            return _without_row(grants, policies)
        verdicts = tuple(
            Verdict(one, self._holds(found, one, values, caller, new=row is not None)) for one in policies
        )
        return _decided(grants, verdicts)

    def _table(self, table: str, schema: str) -> Table:
        found = self._database.catalogue.table(table, schema)
        if found is None:
            raise DatabaseError(f'relation "{schema}.{table}" does not exist', sqlstate="42P01", table=table)
        return found

    def _row(self, table: Table, key: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row whoever may see it."""
        for name in key:
            if name not in table.columns:
                raise DatabaseError(f'column "{name}" does not exist', sqlstate="42703", column=name)
        columns = ", ".join(map(_quoted, table.columns))
        test = " and ".join(f"{_quoted(name)} = :k{place}" for place, name in enumerate(key))
        rows = self._database.query(
            f"select {columns} from {_quoted(table.schema)}.{_quoted(table.name)} where {test}",  # noqa: S608 - quoted
            {f"k{place}": value for place, value in enumerate(key.values())},
        )
        if not rows:
            raise DatabaseError(f"{table.name} has no row with this key", sqlstate="02000", table=table.name)
        return dict(zip(table.columns, rows[0], strict=True))

    def _holds(
        self, table: Table, policy: Policy, values: Mapping[str, Any], caller: Identity, *, new: bool
    ) -> bool:
        """Ask a policy about a row, with the caller's rights: those count for what its expression reads."""
        text = policy.condition_for_new_rows() if new else policy.using
        if text is None:
            return not policy.permissive
        columns = ", ".join(
            f"cast(:v{place} as {column.type}) as {_quoted(name)}"
            for place, (name, column) in enumerate(table.columns.items())
        )
        params = {f"v{place}": values.get(name) for place, name in enumerate(table.columns)}
        statement = f"select 1 from (select {columns}) as {_quoted(table.name)} where ({text}\n)"  # noqa: S608 - ours
        return bool(self._database.query(statement, params, identity=caller))


def _decided(grants: tuple[Grant, ...], verdicts: tuple[Verdict, ...]) -> Decision:
    refusing = next((one for one in verdicts if not one.policy.permissive and not one.holds), None)
    letting = next((one for one in verdicts if one.policy.permissive and one.holds), None)
    if letting is None:
        reason = "no policy lets the row through"
    elif refusing is not None:
        reason = f'the restrictive policy "{refusing.policy.name}" does not hold'
    else:
        reason = f'the policy "{letting.policy.name}" lets the row through'
    return Decision(letting is not None and refusing is None, reason, grants, verdicts)


def _without_row(grants: tuple[Grant, ...], policies: tuple[Policy, ...]) -> Decision:
    verdicts = tuple(map(Verdict, policies))
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
