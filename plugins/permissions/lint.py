"""What is likely wrong with a database's rights."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kernel.contracts.catalogue import Catalogue, Policy, Table

_CLIENTS = frozenset({"anon", "authenticated", "public"})
_ALWAYS = re.compile(r"\(*\s*true\s*\)*", re.IGNORECASE)
_COMPARED = re.compile(r"\b([a-z_][a-z0-9_]*)\b\s*=\s*\(*\s*(?:select\s+)?auth\.uid\(\)", re.IGNORECASE)


def findings(catalogue: Catalogue) -> Iterator[str]:
    """Yield a line for each thing that is likely wrong, in the order of the tables' names."""
    for _, table in sorted(catalogue.tables.items()):
        if table.schema == "kernel":
            continue
        yield from (f"{table.schema}.{table.name}: {text}" for text in _of_table(table))


def _of_table(table: Table) -> Iterator[str]:
    exposed = sorted({grant.role for grant in table.grants if grant.role in _CLIENTS})
    roles = ", ".join(exposed)
    if table.kind == "view":
        if exposed and not table.security_invoker:
            yield f"the view is open to {roles} and reads with its owner's rights; row security does not concern it"
        return
    if exposed and not table.row_security:
        statement = f"alter table {table.schema}.{table.name} enable row level security;"
        yield f"open to {roles} without row security: {statement}"
    if table.row_security and not table.policies:
        yield "row security is on and there is no policy: nobody sees a row"
    if table.policies and not table.row_security:
        yield "there are policies, but row security is off, so that none of them counts"
    for policy in table.policies:
        yield from (f'policy "{policy.name}": {text}' for text in _of_policy(policy, table))


def _of_policy(policy: Policy, table: Table) -> Iterator[str]:
    writes = policy.command != "select"
    for clause in (policy.using, policy.check):
        if clause is not None and policy.permissive and writes and _ALWAYS.fullmatch(clause):
            yield f"lets every row be written ({policy.command}): its condition is always true"
            break
    indexed = {index.columns[0] for index in table.indexes if index.columns}
    for clause in (policy.using, policy.check):
        for column in _COMPARED.findall(clause or ""):
            if column in table.columns and column not in indexed:
                yield f"the column {column} has no index, so that reading compares every row"
                return
