"""FROM: tables, subqueries and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from kernel.contracts.catalogue import Origin, Table
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.sqlite.names import quote, told_apart
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.rows import emit_function
from plugins.database.sqlite.translate.queries.writing.carried import item_of, packed_query
from plugins.database.sqlite.translate.scope import Item, Scope, file_name, table_types

if TYPE_CHECKING:
    from plugins.database.sqlite.translate.queries.select import Query

_REFUSED = {"RangeTableSample": "TABLESAMPLE", "RangeTableFunc": "XMLTABLE"}
_JOINS = {
    "JOIN_INNER": "JOIN",
    "JOIN_LEFT": "LEFT JOIN",
    "JOIN_RIGHT": "RIGHT JOIN",
    "JOIN_FULL": "FULL JOIN",
}


def renamed(columns: tuple[tuple[str, str], ...], names: list[str]) -> tuple[tuple[str, str], ...]:
    """Return columns under the names an alias gives them, equal ones told apart; raises 42P10 for too many names."""
    if len(names) > len(columns):
        raise DatabaseError("more column names than columns", sqlstate="42P10")
    given = told_apart([*names, *(name for name, _ in columns[len(names) :])])
    return tuple(zip(given, (kind for _, kind in columns), strict=True))


def origins_of(query: Query, columns: Sequence[tuple[str, str]]) -> dict[str, Origin]:
    """Return which of a query's columns, under the names they have now, are columns of tables and views."""
    named = zip(columns, query.origins, strict=False)
    return {name: origin for (name, _), origin in named if origin is not None}


def emit_from(node: Node, scope: Scope) -> str:
    """Emit one entry of FROM and make its names visible."""
    kind, fields = kind_of(node)
    if kind == "RangeVar":
        return emit_relation(fields, scope)
    if kind == "RangeSubselect":
        return _subselect(fields, scope)
    if kind == "JoinExpr":
        return _join(fields, scope)
    if kind == "RangeFunction":
        return _routine(fields, scope) or emit_function(fields, scope)
    raise refused(_REFUSED.get(kind, f"{kind} in FROM"))


def emit_relation(fields: Node, scope: Scope) -> str:
    """Emit a table, a view or a WITH query by name."""
    only(fields, "a table", "catalogname", "schemaname", "relname", "inh", "relpersistence", "alias")
    alias_fields = fields.get("alias", {})
    only(alias_fields, "an alias of a table", "aliasname")
    alias = alias_fields.get("aliasname", fields["relname"])
    common = scope.ctes.get(fields["relname"]) if "schemaname" not in fields else None
    if common is not None:
        if not common.source:
            message = f'WITH query "{fields["relname"]}" does not have a RETURNING clause'
            raise DatabaseError(message, sqlstate="0A000")
        scope.add(Item(alias, common.columns, origins=common.origins))
        return f"{common.source} AS {quote(alias)}"
    table = scope.table(fields)
    if scope.mentions is not None:
        scope.mentions.relations.append((fields, table))
    rights = scope.rights
    access = None if rights is None else rights.access(table, "select")
    scope.add(Item(alias, table_types(table), table=table, access=access))
    earlier = _as_it_was(table, scope)
    if rights is not None:
        source = rights.source(table)
    elif earlier is not None:
        source = earlier
    else:
        # By the name of its database a table is never mistaken for a query of WITH around it.
        hidden = fields["relname"] in scope.ctes or scope.inlined
        source = f"main.{file_name(table)}" if hidden else file_name(table)
    return f"{source} AS {quote(alias)}"


def _as_it_was(table: Table, scope: Scope) -> str | None:
    """Return a table or a view as a statement found it whose earlier parts have written; None where nothing has."""
    if not scope.snapshot:
        return None
    if table.kind != "view":
        rows = scope.snapshot.source(table)
        return None if rows is None else f"({rows})"
    return view_source(table, Scope(scope.catalogue, (), snapshot=scope.snapshot))


def view_source(view: Table, scope: Scope) -> str:
    """Return the query of a view, in a scope that sees nothing else."""
    from plugins.database.sqlite.translate.queries.select import emit_query

    if view.definition is None:
        hint = "It was made before its text was kept: drop it and create it again."
        raise refused(f"the view {view.name} beside a WITH that has written", hint=hint)
    _, fields = kind_of(parser.parse(view.definition).statements[0])
    query = emit_query(kind_of(fields["query"])[1], scope)
    listed = ", ".join(map(quote, view.columns))
    return f"(WITH q({listed}) AS ({query.sql}) SELECT * FROM q)"


def _subselect(fields: Node, scope: Scope) -> str:
    from plugins.database.sqlite.translate.queries.select import emit_query

    only(fields, "a subquery in FROM", "subquery", "alias", "lateral")
    lateral = fields.get("lateral", False)
    query = emit_query(kind_of(fields["subquery"])[1], scope.nested() if lateral else scope.beside())
    alias = fields.get("alias", {})
    only(alias, "an alias of a subquery", "aliasname", "colnames")
    name = alias.get("aliasname", f"unnamed_{len(scope.items)}")
    names = strings(alias.get("colnames", []))
    columns = renamed(query.columns, names)
    origins = origins_of(query, columns)
    if lateral:
        # SQLite lets no subquery in FROM see what stands before it, but the argument of a function does.
        scope.add(msgspec.structs.replace(item_of(name, columns), origins=origins))
        return f"json_each(({packed_query(query.sql, columns)})) AS {quote(name)}"
    scope.add(Item(name, dict(columns), origins=origins))
    if columns == query.columns:
        return f"({query.sql}) AS {quote(name)}"
    listed = ", ".join(quote(column) for column, _ in columns)
    return f"(WITH q({listed}) AS ({query.sql}) SELECT * FROM q) AS {quote(name)}"


def _routine(fields: Node, scope: Scope) -> str | None:
    """Emit the call of a function that a migration made; None for any other."""
    from plugins.database.sqlite.translate.routines import emit_packed_rows, emit_rows, find, stands

    node = fields["functions"][0]["List"]["items"][0].get("FuncCall")
    call = find(node, scope.nested()) if node is not None else None
    if call is None:
        return None
    only(fields, "a function in FROM", "functions", "alias", "lateral")
    lateral = not all(map(stands, call.arguments))
    query = (emit_packed_rows if lateral else emit_rows)(call, scope.beside())
    alias = fields.get("alias", {})
    only(alias, "an alias of a function", "aliasname", "colnames")
    name = alias.get("aliasname", call.function.name)
    names = strings(alias.get("colnames", []))
    if not names and len(query.columns) == 1 and query.columns[0][0] == call.function.name:
        names = [name]  # the one value of a function goes by the name of the whole entry
    columns = renamed(query.columns, names)
    if lateral:
        scope.add(item_of(name, columns, scalar=len(columns) == 1 and not call.function.columns))
        return f"json_each({query.sql}) AS {quote(name)}"
    scope.add(Item(name, dict(columns)))
    listed = ", ".join(quote(column) for column, _ in columns)
    return f"(WITH q({listed}) AS ({query.sql}) SELECT * FROM q) AS {quote(name)}"


def _join(fields: Node, scope: Scope) -> str:
    only(fields, "JOIN", "jointype", "isNatural", "larg", "rarg", "usingClause", "quals")
    word = _JOINS.get(fields["jointype"])
    if word is None:
        raise refused(f"{fields['jointype']}")
    left = emit_from(fields["larg"], scope)
    before = list(scope.items)
    right = emit_from(fields["rarg"], scope)
    if "JoinExpr" in fields["rarg"]:
        right = f"({right})"
    added = [item for item in scope.items if item not in before]
    if word in ("LEFT JOIN", "FULL JOIN"):
        scope.outer |= {item.alias for item in added}
    if word in ("RIGHT JOIN", "FULL JOIN"):
        scope.outer |= {item.alias for item in before}
    names = _shared(fields, before, added)
    if names:
        for name in names:
            one, other = (
                scope.read(next(item for item in side if name in item.columns), name)
                for side in (before, added)
            )
            both = (
                f"coalesce({one.sql}, {other.sql})"
                if word == "FULL JOIN"
                else (other.sql if word == "RIGHT JOIN" else one.sql)
            )
            origin = {"FULL JOIN": None, "RIGHT JOIN": other.origin}.get(word, one.origin)
            scope.merged[name] = one._replace(sql=both, origin=origin)
        return f"{left} {word} {right} USING ({', '.join(quote(name) for name in names)})"
    if "quals" in fields:
        return f"{left} {word} {right} ON {expressions.condition(fields['quals'], scope, 'JOIN/ON')}"
    return f"{left} CROSS JOIN {right}"


def _shared(fields: Node, before: list[Item], added: list[Item]) -> list[str]:
    left = {name for item in before for name in item.columns}
    right = {name for item in added for name in item.columns}
    names = strings(fields["usingClause"]) if "usingClause" in fields else []
    for name in names:
        if name not in left or name not in right:
            raise DatabaseError(
                f'column "{name}" specified in USING clause does not exist', sqlstate="42703", column=name
            )
    if fields.get("isNatural"):
        return [name for item in before for name in item.columns if name in right]
    return names
