"""Statements that run in steps: those with others that write in their WITH, and writes that return what they joined.

SQLite writes nothing within a query, so each part runs by itself, and its rows travel to the next as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.catalogue import Command
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.statements import ROWS, Plan, Step
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, strings
from plugins.database.sqlite.translate.queries.select import emit_with
from plugins.database.sqlite.translate.queries.sources import renamed
from plugins.database.sqlite.translate.queries.writing.carried import Columns, spread_query
from plugins.database.sqlite.translate.queries.writing.snapshots import Snapshot
from plugins.database.sqlite.translate.queries.writing.targets import Target
from plugins.database.sqlite.translate.scope import Common, Scope

Emit = Callable[[Node, Scope], Plan]


def writes_within(fields: Node) -> bool:
    """Tell whether a statement has others that write in its WITH."""
    ctes = fields.get("withClause", {}).get("ctes", ())
    return any("SelectStmt" not in item["CommonTableExpr"]["ctequery"] for item in ctes)


def carrying(name: str, columns: Columns) -> str:
    """Return the query of the rows that a step of that name has left."""
    return spread_query(f"${ROWS}{name}", columns)


def emit_in_steps(kind: str, fields: Node, scope: Scope, data: dict[str, Emit]) -> Plan:
    """Return the plan of a statement whose WITH writes: each query of it is a step, in the order they are written."""
    clause = fields["withClause"]
    only(clause, "WITH", "ctes", "recursive")
    snapshot = scope.snapshot = Snapshot()
    if scope.rights is not None:
        scope.rights.snapshot = snapshot
    steps: list[Step] = []
    for place, item in enumerate(clause["ctes"]):
        common = item["CommonTableExpr"]
        cte_kind, query = kind_of(common["ctequery"])
        name = f"with{place}"
        if cte_kind == "SelectStmt":
            inner = scope.nested()
            text = emit_with({**clause, "ctes": [item]}, inner)
            columns = tuple(inner.ctes[common["ctename"]].columns.items())
            steps.append(Step(f"{text}SELECT * FROM {inner.ctes[common['ctename']].source}", name))
        else:
            columns = _write(common, cte_kind, query, name, scope, data, steps)
        source = f"({carrying(name, columns)})" if columns else ""
        scope.ctes[common["ctename"]] = Common(dict(columns), source)
    rest = {key: value for key, value in fields.items() if key != "withClause"}
    plan = data[kind](rest, scope)
    if scope.rights is not None:
        scope.rights.snapshot = Snapshot()
    return Plan(
        "write", plan.sql, plan.tag, steps=(*_begun(steps), *plan.steps), watched=tuple(snapshot.watched),
        columns=plan.columns, width=plan.width,
    )  # fmt: skip


def _begun(steps: list[Step]) -> list[Step]:
    first, *others = steps
    return [Step(first.sql, first.name, begins=True), *others]


def _write(
    common: Node, kind: str, query: Node, name: str, scope: Scope, data: dict[str, Emit], steps: list[Step]
) -> Columns:
    only(common, "WITH", "ctename", "aliascolnames", "ctematerialized", "ctequery")
    if "withClause" in query and writes_within(query):
        message = "WITH clause containing a data-modifying statement must be at the top level"
        raise DatabaseError(message, sqlstate="0A000")
    plan = data[kind](query, scope.nested())
    steps += [*plan.steps, Step(plan.sql, name)]
    if scope.snapshot is not None:
        command: Command = (
            "insert" if kind == "InsertStmt" else "update" if kind == "UpdateStmt" else "delete"
        )
        table = Target(query["relation"], Scope(scope.catalogue, ()), command).table
        scope.snapshot.change(
            table, scope.catalogue, removes=kind != "InsertStmt" or "onConflictClause" in query
        )
    return renamed(plan.columns, strings(common.get("aliascolnames", [])))
