"""Which policies the assertions of `kernel.testing.rights` have exercised, and the report that pytest prints of it.

An assertion exercises a policy if it would have failed had that policy decided otherwise. A row that two policies let
through exercises neither; a table that a missing grant closes exercises none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kernel.contracts.catalogue import Catalogue, Command, Policy, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Decision, Policies
from kernel.contracts.schema import SchemaWork
from kernel.identity import Identity

if TYPE_CHECKING:
    from kernel.kernel import Kernel

_MOST_ROWS = 100


class Exercised(msgspec.Struct):
    """What assertions have seen one policy do: let a row through, and hide or refuse one.

    One that is `always` true can do only the first, and, being restrictive, neither.
    """

    table: str
    policy: str
    let: bool = False
    refused: bool = False
    always: bool = False
    permissive: bool = True

    @property
    def branches(self) -> tuple[bool, ...]:
        """Whether each thing that it can do has been seen."""
        if self.always:
            return (self.let,) if self.permissive else ()
        return (self.let, self.refused)


class PolicyCoverage:
    """Gathers what one run has exercised, in all its kernels."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Exercised] = {}
        self._known: set[int] = set()
        self._catalogues: list[Catalogue] = []  # kept, so that no other one gets an address that is known

    def know(self, kernel: Kernel) -> None:
        """Take note of all policies that a kernel's database has; it may have none."""
        database = kernel.services.get(Database)
        if database is None or id(database.catalogue) in self._known:
            return
        catalogue = database.catalogue
        self._known.add(id(catalogue))
        self._catalogues.append(catalogue)
        work = kernel.services.get(SchemaWork)
        for table in catalogue.tables.values():
            for policy in table.policies if table.schema != "kernel" else ():
                always = work is not None and _is_always_true(policy, table, catalogue, work)
                self._add(Exercised(_named(table), policy.name, always=always, permissive=policy.permissive))

    def note(
        self,
        kernel: Kernel,
        identity: Identity,
        command: Command,
        table: str,
        *,
        where: Mapping[str, Any],
        values: Mapping[str, Any] | None,
        can: bool,
    ) -> None:
        """Take note of an assertion that has held: that a caller can do something with some row, or with none."""
        self.know(kernel)
        policies, database = kernel.services.get(Policies), kernel.services[Database]
        schema, _, name = (part.strip('"') for part in table.rpartition("."))
        found = database.catalogue.table(name, schema or "public")
        if policies is None or found is None or not found.row_security:
            return
        keys = [None] if command == "insert" else _keys(database, found, where)
        decisions = []
        for key in keys:
            try:
                decisions.append(policies.explain(identity, command, name, found.schema, key=key, row=values))
            except DatabaseError as error:
                if error.sqlstate != "42501":  # which a policy's own query met: no policy has decided
                    raise
        for policy in found.policies:
            if _decides(policy.name, decisions, can=can):
                self._add(Exercised(_named(found), policy.name, let=can, refused=not can))

    def rows(self) -> list[Exercised]:
        """Return all policies, by table and name."""
        return [self._found[key] for key in sorted(self._found)]

    def percent(self) -> float:
        """Return how much of what the policies can do has been seen; 100 where there are none."""
        branches = [seen for row in self._found.values() for seen in row.branches]
        return 100 * sum(branches) / len(branches) if branches else 100.0

    def exported(self) -> list[dict[str, Any]]:
        """Return what was gathered as plain values, for another process."""
        return [msgspec.structs.asdict(row) for row in self.rows()]

    def merge(self, exported: Iterable[Mapping[str, Any]]) -> None:
        """Add what another process has gathered."""
        for row in exported:
            self._add(Exercised(**row))

    def _add(self, more: Exercised) -> None:
        row = self._found.setdefault((more.table, more.policy), more)
        row.let, row.refused = row.let or more.let, row.refused or more.refused
        row.always = row.always or more.always


class Report:
    """The part that pytest's hooks have in it: workers hand over what they have, and the whole is printed once."""

    def __init__(self, coverage: PolicyCoverage, fail_under: float) -> None:
        self._coverage = coverage
        self._fail_under = fail_under

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist has gathered."""
        self._coverage.merge(getattr(node, "workeroutput", {}).get("policy_coverage", ()))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over in a worker; else fail a run that has passed with too little coverage."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["policy_coverage"] = self._coverage.exported()
        elif session.exitstatus == 0 and self._coverage.percent() < self._fail_under:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table."""
        rows, percent = self._coverage.rows(), self._coverage.percent()
        terminalreporter.section("policy coverage")
        width = max((len(f"{row.table} {row.policy}") for row in rows), default=6)
        terminalreporter.write_line(f"{'policy':{width}}  lets through  hides or refuses")
        for row in rows:
            let = "yes" if row.let else "NO" if row.permissive or not row.always else "-"
            refused = "-" if row.always else "yes" if row.refused else "NO"
            terminalreporter.write_line(f"{f'{row.table} {row.policy}':{width}}  {let:12}  {refused}")
        terminalreporter.write_line(f"{len(rows)} policies, {percent:.0f}% covered")
        if percent < self._fail_under:
            terminalreporter.write_line(f"FAILED: policy coverage is under {self._fail_under:g}%", red=True)


def _named(table: Table) -> str:
    return f"{table.schema}.{table.name}"


def _is_always_true(policy: Policy, table: Table, catalogue: Catalogue, work: SchemaWork) -> bool:
    texts = [text for text in (policy.using, policy.check) if text is not None]
    return bool(texts) and all(work.expression(text, table, catalogue).value is True for text in texts)


def _keys(database: Database, table: Table, where: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    """Return the keys of the rows that an assertion is about, whoever may see them; the first hundred of them."""
    if not table.primary_key:
        return [where] if where else []
    tests = " and ".join(f"{_quoted(name)} = :w{place}" for place, name in enumerate(where))
    columns = ", ".join(map(_quoted, table.primary_key))
    rows = database.query(
        f"select {columns} from {_quoted(table.schema)}.{_quoted(table.name)}"
        f"{f' where {tests}' if tests else ''} limit {_MOST_ROWS}",
        {f"w{place}": value for place, value in enumerate(where.values())},
    )
    return [dict(zip(table.primary_key, row, strict=True)) for row in rows]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decides(policy: str, decisions: list[Decision], *, can: bool) -> bool:
    """Tell whether the assertion would have failed if a policy had decided otherwise."""
    if can:
        return any(one.allowed and one.asked for one in decisions) and not any(
            one.would_allow(policy, holds=False) if one.asked else one.allowed for one in decisions
        )
    return any(one.would_allow(policy, holds=True) for one in decisions if one.asked)
