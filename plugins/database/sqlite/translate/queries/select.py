"""Queries: SELECT and VALUES, set operations, WITH, and what stands in FROM."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kernel.contracts.catalogue import Origin
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.stored import base_type, fit, form_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries import groupingsets
from plugins.database.sqlite.translate.queries.grouping import (
    check_grouping,
    emit_grouping,
    grouping_keys,
    not_a_position,
    position,
    watch_grouping,
)
from plugins.database.sqlite.translate.queries.ranked import (
    direction,
    emit_distinct_on,
    emit_with_ties,
    has_ties,
    is_ranked,
    sort_keys,
)
from plugins.database.sqlite.translate.queries.sources import emit_from, origins_of, renamed
from plugins.database.sqlite.translate.queries.stars import emit_spread
from plugins.database.sqlite.translate.queries.windows import emit_definition
from plugins.database.sqlite.translate.scope import Common, Expr, Scope

_FIELDS = (
    "distinctClause", "targetList", "fromClause", "whereClause", "groupClause", "havingClause", "windowClause",
    "valuesLists", "sortClause", "limitOffset", "limitCount", "limitOption", "withClause", "op", "all", "larg",
    "rarg", "groupDistinct", "lockingClause",
)  # fmt: skip
_MOST_COLUMNS = 1664
_SET_OPERATIONS = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}


class Query(msgspec.Struct, frozen=True):
    """An emitted query: its SQL, and its columns' names and declared types in order.

    `single` tells that it cannot give more than one row. `origins` says of each column what column of a table or view
    it is, if it is one; there are none where rows of several queries come together.
    """

    sql: str
    columns: tuple[tuple[str, str], ...]
    single: bool = False
    origins: tuple[Origin | None, ...] = ()


def emit_query(fields: Node, scope: Scope, expected: Sequence[str | None] = ()) -> Query:
    """Emit a SELECT; `expected` are the column types its output is assigned to, where there are any."""
    sets = groupingsets.sets_of(fields) if groupingsets.has_sets(fields) else None
    if sets is not None:
        fields = {**fields, "groupClause": groupingsets.all_keys(sets)}
    # FOR UPDATE and its kin lock nothing: who writes is alone, and reads what nobody else can change.
    only(fields, "SELECT", *_FIELDS)
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    if fields.get("op", "SETOP_NONE") != "SETOP_NONE":
        if has_ties(fields):
            raise refused("FETCH FIRST WITH TIES over a set operation")
        core = _set_operation(fields, scope, expected)
        order = _set_order(fields, core)
    elif "valuesLists" in fields:
        core = _values(fields, scope, expected)
        order = _set_order(fields, core)
    else:
        core, order = _select(fields, scope, expected, sets)
    limit = "" if has_ties(fields) else _limit(fields, scope)
    if "valuesLists" in fields and (order or limit):  # SQLite takes neither behind VALUES
        core = msgspec.structs.replace(core, sql=f"SELECT * FROM ({core.sql})")
    parts = [with_sql, core.sql, f" ORDER BY {order}" if order else "", limit]
    check_grouping(fields, scope)
    single = core.single or fields.get("limitCount", {}).get("A_Const", {}).get("ival") == {"ival": 1}
    return Query("".join(parts), core.columns, single, core.origins)


def emit_with(fields: Node, scope: Scope) -> str:
    """Emit a WITH clause and make its names visible."""
    only(fields, "WITH", "ctes", "recursive")
    recursive = bool(fields.get("recursive"))
    pieces = []
    for item in fields["ctes"]:
        pieces.append(_common_table(item["CommonTableExpr"], scope, recursive=recursive))
    return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(pieces)} "


def _common_table(fields: Node, scope: Scope, *, recursive: bool) -> str:
    only(fields, "WITH", "ctename", "aliascolnames", "ctematerialized", "ctequery")
    kind, query_fields = kind_of(fields["ctequery"])
    if kind != "SelectStmt":
        message = "WITH clause containing a data-modifying statement must be at the top level"
        raise DatabaseError(message, sqlstate="0A000")
    name, inner = fields["ctename"], scope.nested()
    names = strings(fields.get("aliascolnames", []))
    if recursive and "larg" in query_fields:
        first = emit_query(query_fields["larg"], inner.nested())
        columns = renamed(first.columns, names)
        inner.ctes[name] = Common(dict(columns), quote(name))
    query = emit_query(query_fields, inner)
    columns = renamed(query.columns, names)
    scope.ctes[name] = Common(dict(columns), quote(name), origins_of(query, columns))
    words = {"CTEMaterializeAlways": " MATERIALIZED", "CTEMaterializeNever": " NOT MATERIALIZED"}
    hint = words.get(fields.get("ctematerialized", ""), "")
    listed = ", ".join(quote(column) for column, _ in columns)
    return f"{quote(name)}({listed}) AS{hint} ({query.sql})"


def _select(
    fields: Node, scope: Scope, expected: Sequence[str | None], sets: Sequence[groupingsets.Keys] | None
) -> tuple[Query, str]:
    """Emit a SELECT, and what it is ordered by; `sets` are its grouping sets, if it has any."""
    from_sql = (
        " FROM " + ", ".join(emit_from(item, scope) for item in fields["fromClause"])
        if ("fromClause" in fields)
        else ""
    )
    _check_plain(scope, "JOIN conditions")
    where = ""
    if "whereClause" in fields:
        where = f" WHERE {expressions.condition(fields['whereClause'], scope, 'WHERE')}"
        _check_plain(scope, "WHERE")
    watch_grouping(fields, scope)
    if sets is not None:
        return _in_sets(fields, scope, expected, sets, f"{from_sql}{where}")
    window_sql = _windows(fields.get("windowClause", ()), scope)
    scope.spread = []
    outputs = emit_targets(fields.get("targetList", ()), scope, expected)
    if scope.mentions is not None:
        scope.mentions.select(fields, [item.name for item in outputs])
    spread, scope.spread = scope.spread, None
    if spread and scope.aggregated:
        raise refused("a set-returning function beside an aggregate")
    from_sql += f"{',' if from_sql else ' FROM'} {spread[0]}" if spread else ""
    if not outputs:
        raise refused("SELECT without columns")
    if is_ranked(fields):
        return _ranked(fields, outputs, f"{from_sql}{where}", window_sql, scope)
    distinct = "DISTINCT " if "distinctClause" in fields else ""
    targets = ", ".join(f"{_output(item, distinct)} AS {quote(item.name)}" for item in outputs)
    group = emit_grouping(fields, scope, outputs)
    sql = f"SELECT {distinct}{targets}{from_sql}{where}{group}{window_sql}"
    aggregated = scope.aggregated or "groupClause" in fields
    order = emit_order(fields["sortClause"], scope, outputs) if "sortClause" in fields else ""
    if scope.aggregated and not aggregated:
        check_grouping(fields, scope)
        raise refused("an aggregate in ORDER BY and nowhere else")
    single = not from_sql or (scope.aggregated and "groupClause" not in fields)
    return Query(sql, columns_of(outputs), single, tuple(item.origin for item in outputs)), order


def _in_sets(
    fields: Node, scope: Scope, expected: Sequence[str | None], sets: Sequence[groupingsets.Keys], source: str
) -> tuple[Query, str]:
    """Emit a SELECT with grouping sets."""
    groupingsets.check_alone(fields)
    keyed = emit_targets(fields.get("targetList", ()), scope, expected)
    everything = frozenset(key.sql for key in grouping_keys(fields, scope, keyed))
    scope.keys = everything
    parts: list[str] = []
    for keys in sets:
        grouped = {**fields, "groupClause": list(keys)}
        present = grouping_keys(grouped, scope, keyed)
        scope.absent = everything - {key.sql for key in present}
        outputs = emit_targets(fields.get("targetList", ()), scope, expected)
        sorts = sort_keys(fields, scope, outputs)
        if not keys:
            del grouped["groupClause"]
        tail = emit_grouping(grouped, scope, keyed)
        # Without a key SQLite makes one group of all rows only where there is an aggregate.
        listed = ["count(*)", *(f"{item.sql} AS o{place}" for place, item in enumerate(outputs))]
        listed += [f"{expr.sql} AS k{place}" for place, (expr, _) in enumerate(sorts)]
        parts.append(f"SELECT {', '.join(listed)}{source}{tail}")
        scope.absent = frozenset()
    distinct = "DISTINCT " if "distinctClause" in fields else ""
    sql, order = groupingsets.together(parts, outputs, sorts, distinct)
    return Query(sql, columns_of(outputs)), order


def _ranked(
    fields: Node, outputs: list[Expr], from_where: str, window_sql: str, scope: Scope
) -> tuple[Query, str]:
    tail = f"{from_where}{emit_grouping(fields, scope, outputs)}{window_sql}"
    if has_ties(fields):
        count = _count(fields["limitCount"], scope, "LIMIT")
        offset = _count(fields["limitOffset"], scope, "OFFSET") if "limitOffset" in fields else "0"
        ranked = emit_with_ties(fields, outputs, tail, scope, count, offset)
    else:
        ranked = emit_distinct_on(fields, outputs, tail, scope)
    return Query(
        ranked.sql, columns_of(outputs), origins=tuple(item.origin for item in outputs)
    ), ranked.order


def _check_plain(scope: Scope, clause: str) -> None:
    if scope.aggregated:
        raise DatabaseError(f"aggregate functions are not allowed in {clause}", sqlstate="42803")


def columns_of(outputs: Sequence[Expr]) -> tuple[tuple[str, str], ...]:
    """Return the names and declared types of a select list's columns."""
    return tuple((item.name, item.modified or item.type or "text") for item in outputs)


def _output(item: Expr, distinct: str) -> str:
    return types.collated(item) if distinct else item.sql


def emit_targets(targets: Sequence[Node], scope: Scope, expected: Sequence[str | None] = ()) -> list[Expr]:
    """Emit a select list: stars spread out, every column with its name and type."""
    outputs: list[Expr] = []
    for target in targets:
        fields = target["ResTarget"]
        only(fields, "a select list", "name", "val")
        kind, value = kind_of(fields["val"])
        spread = emit_spread(kind, value, scope)
        if spread is not None:
            outputs += spread
            continue
        expr = expressions.emit(fields["val"], scope)
        name, origin = fields.get("name", expr.name), expr.origin if kind == "ColumnRef" else None
        outputs.append(expr._replace(name=name, origin=origin))
    if len(outputs) > _MOST_COLUMNS:
        raise DatabaseError(f"target lists can have at most {_MOST_COLUMNS} entries", sqlstate="54011")
    wanted = [*expected, *[None] * (len(outputs) - len(expected))]
    return [
        types.settle(expr) if target is None else _assigned(expr, target)
        for expr, target in zip(outputs, wanted, strict=False)
    ]


def _assigned(expr: Expr, target: str) -> Expr:
    converted = types.coerce(expr, target, assign=True)
    return converted._replace(sql=fit(target, converted.sql), name=expr.name)


def emit_order(clause: Sequence[Node], scope: Scope, outputs: list[Expr]) -> str:
    """Emit ORDER BY with NULLS made plain: last when ascending and first when descending, unless said."""
    return ", ".join(_sort(item["SortBy"], scope, outputs) for item in clause)


def _sort(fields: Node, scope: Scope, outputs: list[Expr]) -> str:
    only(fields, "ORDER BY", "node", "sortby_dir", "sortby_nulls", "useOp")
    expr = _sort_key(fields["node"], scope, outputs)
    return types.ordered(expr, "ORDER BY") + direction(fields)


def _sort_key(node: Node, scope: Scope, outputs: list[Expr]) -> Expr:
    kind, fields = kind_of(node)
    if outputs and kind == "A_Const":
        if "ival" not in fields:
            raise DatabaseError("non-integer constant in ORDER BY", sqlstate="42601")
        return position(fields, outputs, "ORDER BY")
    if kind == "ColumnRef" and len(fields["fields"]) == 1:
        name = strings(fields["fields"])[0]
        places = [place for place, item in enumerate(outputs, 1) if item.name == name]
        if places:
            return outputs[places[0] - 1]._replace(sql=str(places[0]))
    return not_a_position(types.settle(expressions.emit(node, scope)))


def _set_order(fields: Node, core: Query) -> str:
    """Emit ORDER BY over a set operation: only its columns' names and positions are there."""
    pieces = []
    for item in fields.get("sortClause", ()):
        sort = item["SortBy"]
        kind, key = kind_of(sort["node"])
        names = [name for name, _ in core.columns]
        outputs = [Expr(quote(name), base_type(declared), name=name) for name, declared in core.columns]
        if kind == "A_Const":
            expr = position(key, outputs, "ORDER BY")
        elif kind == "ColumnRef" and len(key["fields"]) == 1 and strings(key["fields"])[0] in names:
            expr = outputs[names.index(strings(key["fields"])[0])]
        else:
            raise DatabaseError(
                "ORDER BY over a set operation takes only its columns' names", sqlstate="0A000"
            )
        pieces.append(types.ordered(expr, "ORDER BY") + direction(sort))
    return ", ".join(pieces)


def _limit(fields: Node, scope: Scope) -> str:
    if "limitCount" not in fields and "limitOffset" not in fields:
        return ""
    count = _count(fields["limitCount"], scope, "LIMIT") if "limitCount" in fields else "-1"
    offset = f" OFFSET {_count(fields['limitOffset'], scope, 'OFFSET')}" if "limitOffset" in fields else ""
    return f" LIMIT {count}{offset}"


def _count(node: Node, scope: Scope, clause: str) -> str:
    expr = expressions.emit(node, scope.apart())
    if expr.literal is not None and expr.literal.isdigit():
        return expr.sql
    nothing = "-1" if clause == "LIMIT" else "0"
    return f"coalesce(pg_count({types.coerce(expr, 'bigint', assign=True).sql}, '{clause}'), {nothing})"


def _values(fields: Node, scope: Scope, expected: Sequence[str | None]) -> Query:
    rows = [[expressions.emit(item, scope) for item in row["List"]["items"]] for row in fields["valuesLists"]]
    if len({len(row) for row in rows}) != 1:
        raise DatabaseError("VALUES lists must all be the same length", sqlstate="42601")
    columns = list(zip(*rows, strict=True))
    wanted = [*expected, *[None] * len(columns)]
    targets = [wanted[place] or types.common(list(column), "VALUES") for place, column in enumerate(columns)]
    listed = [
        ", ".join(
            (_assigned(expr, target) if wanted[place] else types.coerce(expr, target)).sql
            for place, (expr, target) in enumerate(zip(row, targets, strict=True))
        )
        for row in rows
    ]
    sql = "VALUES " + ", ".join(f"({row})" for row in listed)
    return Query(sql, tuple((f"column{place}", target) for place, target in enumerate(targets, 1)))


def _set_operation(fields: Node, scope: Scope, expected: Sequence[str | None]) -> Query:
    word = _SET_OPERATIONS[fields["op"]]
    counted = bool(fields.get("all")) and word != "UNION"
    if fields.get("all") and not counted:
        word = "UNION ALL"
    left = emit_query(fields["larg"], scope.nested(), expected)
    right = emit_query(fields["rarg"], scope.nested(), expected)
    if len(left.columns) != len(right.columns):
        raise DatabaseError(f"each {word} query must have the same number of columns", sqlstate="42601")
    targets = [
        types.common([Expr("", base_type(one)), Expr("", base_type(other))], word)
        if base_type(one) != base_type(other)
        else one
        for (_, one), (_, other) in zip(left.columns, right.columns, strict=True)
    ]
    left_sql, right_sql = (
        _operand(side, operand, targets, first=operand is left, compared=word != "UNION ALL")
        for side, operand in ((fields["larg"], left), (fields["rarg"], right))
    )
    columns = tuple((name, target) for (name, _), target in zip(left.columns, targets, strict=True))
    if counted:
        return Query(_counted(word, left_sql, right_sql, columns), columns)
    return Query(f"{left_sql} {word} {right_sql}", columns)


def _counted(word: str, left: str, right: str, columns: tuple[tuple[str, str], ...]) -> str:
    """Emit INTERSECT ALL or EXCEPT ALL: equal rows are told apart by numbers."""
    names = [f"c{place}" for place in range(len(columns))]
    keys = ", ".join(
        types.collated(Expr(name, base_type(kind))) for name, (_, kind) in zip(names, columns, strict=True)
    )
    listed = ", ".join(names)

    def numbered(sql: str) -> str:
        rows = f"(WITH q({listed}) AS ({sql}) SELECT * FROM q)"
        return f"SELECT {keys}, row_number() OVER (PARTITION BY {keys}) AS n FROM {rows}"

    outputs = ", ".join(f"{one} AS {quote(name)}" for one, (name, _) in zip(names, columns, strict=True))
    both = f"{numbered(left)} {word} {numbered(right)}"
    return f"SELECT {outputs} FROM (WITH q({listed}, n) AS ({both}) SELECT * FROM q)"


def _operand(fields: Node, query: Query, targets: list[str], *, first: bool, compared: bool) -> str:
    """Emit one side of a set operation: SQLite takes no parentheses there, and knows one precedence only."""
    plain = not {"sortClause", "limitCount", "limitOffset", "withClause"} & set(fields)
    nested = fields.get("op", "SETOP_NONE") != "SETOP_NONE"
    same = all(
        base_type(kind) == base_type(target) for (_, kind), target in zip(query.columns, targets, strict=True)
    )
    # The left side's collation decides which rows are equal; UNION ALL compares none.
    collated = compared and any(form_of(target).collation for target in targets)
    if plain and same and not collated and (first or not nested) and "valuesLists" not in fields:
        return query.sql
    names = [f"c{place}" for place in range(len(targets))]
    converted = [
        _compared(types.cast(Expr(quote(name), base_type(kind)), target), compared=compared)
        for name, (_, kind), target in zip(names, query.columns, targets, strict=True)
    ]
    listed = ", ".join(
        f"{sql} AS {quote(column)}" for sql, (column, _) in zip(converted, query.columns, strict=True)
    )
    inner = ", ".join(quote(name) for name in names)
    return f"SELECT {listed} FROM (WITH q({inner}) AS ({query.sql}) SELECT * FROM q)"


def _compared(expr: Expr, *, compared: bool) -> str:
    return types.collated(expr) if compared else expr.sql


def _windows(clause: Sequence[Node], scope: Scope) -> str:
    pieces = []
    for item in clause:
        fields = item["WindowDef"]
        pieces.append(f"{quote(fields['name'])} AS {emit_definition(fields, scope)}")
        scope.windows.add(fields["name"])
    return f" WINDOW {', '.join(pieces)}" if pieces else ""
