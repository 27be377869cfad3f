"""INSERT, UPDATE and DELETE: values take their column's stored form on the way in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kernel.contracts.catalogue import Column, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote, rowid_of, text_literal
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.stored import base_type, fit
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.queries.select import columns_of, emit_query, emit_targets, emit_with
from plugins.database.sqlite.translate.queries.sources import emit_from
from plugins.database.sqlite.translate.queries.writing import guards, joined
from plugins.database.sqlite.translate.queries.writing.carried import Columns
from plugins.database.sqlite.translate.queries.writing.targets import Target
from plugins.database.sqlite.translate.schema.tables.defaults import default_value, makes_own_value
from plugins.database.sqlite.translate.scope import Expr, Scope


def emit_insert(fields: Node, scope: Scope) -> Plan:
    """Return the plan of an INSERT."""
    only(
        fields, "INSERT", "relation", "cols", "selectStmt", "onConflictClause", "returningClause", "override",
        "withClause",
    )  # fmt: skip
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    target = Target(fields["relation"], scope, "insert")
    writing = guards.writing(target, scope, "insert")
    override = fields.get("override", "OVERRIDING_NOT_SET")
    if override == "OVERRIDING_USER_VALUE":
        raise refused("OVERRIDING USER VALUE")
    names: list[str] = []
    source = "DEFAULT VALUES"
    if "selectStmt" in fields:
        columns = _insert_columns(fields.get("cols"), target, fields["selectStmt"])
        names, source = _source(fields["selectStmt"]["SelectStmt"], columns, target.table, scope, override)
    conflict = (
        _conflict(fields["onConflictClause"], target, scope, writing)
        if "onConflictClause" in fields
        else None
    )
    returning, returned = _returning(fields, target, scope)
    names, source = writing.rows(names, source)
    listed = f" ({', '.join(map(quote, names))})" if names else ""
    merged = "" if conflict is None else conflict()
    sql = f"{with_sql}INSERT INTO {target.sql}{listed} {source}{merged}{returning}"
    return Plan("write", sql, "INSERT", columns=returned)


def _insert_columns(cols: list[Node] | None, target: Target, select: Node) -> list[Column]:
    if cols is None:
        values = kind_of(select)[1].get("valuesLists")
        names = list(target.named.columns)
        names = names[: len(values[0]["List"]["items"])] if values else names
    else:
        names = []
        for item in cols:
            only(item["ResTarget"], "a column to insert", "name")
            name = item["ResTarget"]["name"]
            if name in names:
                raise DatabaseError(f'column "{name}" specified more than once', sqlstate="42701")
            names.append(name)
    columns = [target.column(name) for name in names]
    target.uses("insert", names)
    return columns


def _source(
    fields: Node, columns: list[Column], table: Table, scope: Scope, override: str
) -> tuple[list[str], str]:
    if "valuesLists" in fields and set(fields) <= {"valuesLists", "limitOption", "op"}:
        return _rows(fields["valuesLists"], columns, table, scope, override)
    _check_given(columns, override)
    query = emit_query(fields, scope.nested(), [column.type for column in columns])
    if len(query.columns) > len(columns):
        raise DatabaseError("INSERT has more expressions than target columns", sqlstate="42601")
    if len(query.columns) < len(columns):
        columns = columns[: len(query.columns)]
    # SQLite reads ON after a bare SELECT as the start of a join's condition; WHERE true ends the FROM clause.
    return [column.name for column in columns], f"SELECT * FROM ({query.sql}) WHERE true"


def _rows(
    rows: list[Node], columns: list[Column], table: Table, scope: Scope, override: str
) -> tuple[list[str], str]:
    lists = [row["List"]["items"] for row in rows]
    for items in lists:
        if len(items) > len(columns):
            raise DatabaseError("INSERT has more expressions than target columns", sqlstate="42601")
        if len(items) < len(columns):
            raise DatabaseError("INSERT has more target columns than expressions", sqlstate="42601")
    kept = [
        place for place in range(len(columns)) if not all("SetToDefault" in items[place] for items in lists)
    ]
    _check_given([columns[place] for place in kept], override)
    if not kept and len(lists) == 1:
        return [], "DEFAULT VALUES"
    if not kept:
        raise refused("several rows of nothing but DEFAULT")
    listed = [
        ", ".join(_value(items[place], columns[place], table, scope).sql for place in kept) for items in lists
    ]
    names = [columns[place].name for place in kept]
    return names, "VALUES " + ", ".join(f"({row})" for row in listed)


def _check_given(columns: Iterable[Column], override: str) -> None:
    for column in columns:
        if column.generated and not (column.identity and override == "OVERRIDING_SYSTEM_VALUE"):
            hint = "Use OVERRIDING SYSTEM VALUE to override." if column.identity else None
            raise DatabaseError(
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                sqlstate="428C9",
                detail=f'Column "{column.name}" is {_generated_kind(column)}.',
                hint=hint,
                column=column.name,
            )


def _generated_kind(column: Column) -> str:
    return "an identity column defined as GENERATED ALWAYS" if column.identity else "a generated column"


def _value(node: Node, column: Column, table: Table, scope: Scope) -> Expr:
    if "SetToDefault" in node:
        return default_value(column, scope.catalogue)
    return _given(node, column, table, scope)


def _given(node: Node, column: Column, table: Table, scope: Scope) -> Expr:
    try:
        expr = _stored(expressions.emit(node, scope), column)
    except DatabaseError as error:
        raise _mismatch(error, column) from error
    if makes_own_value(column) and expr.literal is None:
        return expr._replace(
            sql=f"pg_given({expr.sql}, {text_literal(table.name)}, {text_literal(column.name)})"
        )
    return expr


def _stored(expr: Expr, column: Column) -> Expr:
    converted = types.coerce(expr, column.type, assign=True)
    return converted._replace(sql=fit(column.type, converted.sql))


def _mismatch(error: DatabaseError, column: Column) -> DatabaseError:
    if error.sqlstate == "42804" and "does not go where" in error.message:
        source = error.message.split(" type ", 1)[1].split(" does ", 1)[0]
        return DatabaseError(
            f'column "{column.name}" is of type {base_type(column.type)} but expression is of type {source}',
            sqlstate="42804",
            hint=error.hint,
            column=column.name,
        )
    return error


def _conflict(clause: Node, target: Target, scope: Scope, writing: guards.Writing) -> Callable[[], str]:
    """Emit ON CONFLICT; what it demands of rows is known once RETURNING has been read."""
    only(clause, "ON CONFLICT", "action", "infer", "targetList", "whereClause")
    inner = scope.nested()
    inner.add(target.item())
    key = _conflict_target(clause["infer"], target, scope) if "infer" in clause else ""
    if clause["action"] == "ONCONFLICT_NOTHING":
        return lambda: f" ON CONFLICT{key} DO NOTHING"
    if not key:
        raise DatabaseError(
            "ON CONFLICT DO UPDATE requires inference specification or constraint name", sqlstate="42601"
        )
    # A bare name means the row that is there; only a qualified one means the row that was to be inserted.
    inner.items.append(target.excluded())
    sets = _assignments(clause["targetList"], target, inner)
    where = (
        f" WHERE {expressions.condition(clause['whereClause'], inner, 'WHERE')}"
        if "whereClause" in clause
        else ""
    )
    return lambda: f" ON CONFLICT{key} DO UPDATE SET {_listed(writing.merged(sets))}{where}"


def _conflict_target(infer: Node, target: Target, scope: Scope) -> str:
    only(infer, "ON CONFLICT", "indexElems", "whereClause", "conname")
    if "conname" in infer:
        index = next(
            (index for index in target.named.indexes if index.unique and index.name == infer["conname"]), None
        )
        if index is None:
            raise DatabaseError(
                f'constraint "{infer["conname"]}" for table "{target.named.name}" does not exist',
                sqlstate="42704",
            )
        columns = [column for column in index.columns if column]
        target.uses("select", columns)
        return f" ({', '.join(map(quote, columns))})"
    bare = scope.nested()
    bare.add(target.item(quote, target.named.name))
    keys = [_conflict_key(item["IndexElem"], bare) for item in infer["indexElems"]]
    where = (
        f" WHERE {expressions.condition(infer['whereClause'], bare, 'WHERE')}"
        if "whereClause" in infer
        else ""
    )
    return f" ({', '.join(keys)}){where}"


def _conflict_key(fields: Node, scope: Scope) -> str:
    only(fields, "ON CONFLICT", "name", "expr", "ordering", "nulls_ordering")
    if "name" in fields:
        return scope.column(fields["name"]).sql
    return expressions.emit(fields["expr"], scope).sql


def _assignments(targets: Sequence[Node], target: Target, scope: Scope) -> dict[str, str]:
    """Return the SQL of each column's new value, by the names that the table has for them."""
    found: dict[str, str] = {}
    table = target.table
    for item in targets:
        fields = item["ResTarget"]
        only(fields, "SET", "name", "val")
        column = target.column(fields["name"])
        if column.name in found:
            raise DatabaseError(f'multiple assignments to same column "{column.name}"', sqlstate="42601")
        several = fields["val"].get("MultiAssignRef", {})
        if "SubLink" in several.get("source", {}):
            found[column.name] = ""
            if several["colno"] == several["ncolumns"]:
                names = list(found)[-several["ncolumns"] :]
                found |= _assigned_row(several, [table.columns[name] for name in names], scope)
        else:
            found[column.name] = _assigned(fields["val"], column, target, scope).sql
    target.uses("update", [item["ResTarget"]["name"] for item in targets])
    return found


def _listed(sets: Mapping[str, str]) -> str:
    return ", ".join(f"{quote(name)} = {sql}" for name, sql in sets.items())


def _assigned_row(fields: Node, columns: list[Column], scope: Scope) -> dict[str, str]:
    """Return what a subquery's one row gives to each of several columns; a second row is refused."""
    link = fields["source"]["SubLink"]
    if link["subLinkType"] != "EXPR_SUBLINK":
        raise refused(f"SET (...) = {link['subLinkType']}")
    _check_given(columns, "")
    query_fields = kind_of(link["subselect"])[1]
    query = emit_query(query_fields, scope.nested(), [column.type for column in columns])
    if len(query.columns) != len(columns):
        raise DatabaseError("number of columns does not match number of values", sqlstate="42601")
    names = ", ".join(f"c{place}" for place in range(len(columns)))
    alone = "iif((SELECT count(*) FROM (SELECT 1 FROM q LIMIT 2)) < 2, 1, pg_too_many())"
    return {
        column.name: f"(WITH q({names}) AS ({query.sql}) SELECT c{place} FROM q WHERE {alone})"
        for place, column in enumerate(columns)
    }


def _assigned(node: Node, column: Column, target: Target, scope: Scope) -> Expr:
    kind, fields = kind_of(node)
    if kind == "MultiAssignRef":
        row_kind, row = kind_of(fields["source"])
        if row_kind != "RowExpr":
            raise refused(f"SET (...) = {row_kind}")
        if len(row["args"]) != fields["ncolumns"]:
            raise DatabaseError("number of columns does not match number of values", sqlstate="42601")
        return _assigned(row["args"][fields["colno"] - 1], column, target, scope)
    if kind == "SetToDefault" and not column.identity:
        if column.generated:
            raise refused("SET to DEFAULT of a generated column")
        if target.named.kind == "view":  # whose columns have none of their own
            return Expr("NULL", base_type(column.type), is_null=True)
        return default_value(column, scope.catalogue)
    if column.generated:
        raise DatabaseError(
            f'column "{column.name}" can only be updated to DEFAULT',
            sqlstate="428C9",
            detail=f'Column "{column.name}" is {_generated_kind(column)}.',
            column=column.name,
        )
    return _given(node, column, target.table, scope)


def emit_update(fields: Node, scope: Scope) -> Plan:
    """Return the plan of an UPDATE."""
    only(
        fields,
        "UPDATE",
        "relation",
        "targetList",
        "whereClause",
        "fromClause",
        "returningClause",
        "withClause",
    )
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    target = Target(fields["relation"], scope, "update")
    scope.add(target.item())
    writing = guards.writing(target, scope, "update")
    from_sql = ""
    if "fromClause" in fields:
        from_sql = " FROM " + ", ".join(emit_from(item, scope) for item in fields["fromClause"])
    sets = _assignments(fields["targetList"], target, scope)
    test = target.where(_where(fields, scope, target))
    if from_sql and "returningClause" in fields:
        outputs = _outputs(fields, joined.returned_scope(scope, target, len(sets)), scope)
        source = f"{target.sql}, {from_sql.removeprefix(' FROM ')}{writing.where(test)}"
        plan = joined.updated(scope, target, source, writing.changed(sets), outputs)
        return _with(with_sql, msgspec.structs.replace(plan, columns=columns_of(outputs)))
    returning, columns = _returning(fields, target, scope)
    changed = _listed(writing.changed(sets))
    sql = f"UPDATE {target.sql} SET {changed}{from_sql}{writing.where(test)}{returning}"
    return Plan("write", with_sql + sql, "UPDATE", columns=columns)


def _where(fields: Node, scope: Scope, target: Target) -> str | None:
    """Return the test for rows to be changed, which are still as the statement found them."""
    untouched = scope.snapshot.untouched(target.table, target.alias) if scope.snapshot else None
    if "whereClause" not in fields:
        return untouched
    test = expressions.condition(fields["whereClause"], scope, "WHERE")
    return test if untouched is None else f"({untouched} AND {test})"


def emit_delete(fields: Node, scope: Scope) -> Plan:
    """Return the plan of a DELETE; USING becomes a subquery of row ids, for SQLite joins nothing there."""
    only(fields, "DELETE", "relation", "whereClause", "usingClause", "returningClause", "withClause")
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    target = Target(fields["relation"], scope, "delete")
    scope.add(target.item())
    writing = guards.writing(target, scope, "delete")
    using = [emit_from(item, scope) for item in fields.get("usingClause", ())]
    test = target.where(_where(fields, scope, target))
    if using and "returningClause" in fields:
        outputs = _outputs(fields, scope, scope)
        source = f"{', '.join([target.sql, *using])}{writing.where(test)}"
        return _with(with_sql, joined.deleted(target, source, outputs))
    returning, columns = _returning(fields, target, scope)
    where = writing.where(test)
    if using:
        rowid = rowid_of(target.table.columns)
        inner = f"SELECT {quote(target.alias)}.{rowid} FROM {target.sql}, {', '.join(using)}{where}"
        where = f" WHERE {rowid} IN ({inner})"
    return Plan("write", f"{with_sql}DELETE FROM {target.sql}{where}{returning}", "DELETE", columns=columns)


def _with(with_sql: str, plan: Plan) -> Plan:
    """Return a plan whose first step sees the statement's WITH queries."""
    first, *others = plan.steps
    first = msgspec.structs.replace(first, sql=with_sql + first.sql)
    return msgspec.structs.replace(plan, steps=(first, *others))


def _returning(fields: Node, target: Target, scope: Scope) -> tuple[str, Columns]:
    """Emit RETURNING of a statement's own table, with its columns' names and types."""
    if "returningClause" not in fields:
        return "", ()
    inner = scope.apart()
    inner.add(target.item(quote))
    outputs = _outputs(fields, inner, scope)
    listed = ", ".join(f"{item.sql} AS {quote(item.name)}" for item in outputs)
    return f" RETURNING {listed}", columns_of(outputs)


def _outputs(fields: Node, inner: Scope, scope: Scope) -> list[Expr]:
    clause = fields["returningClause"]
    only(clause, "RETURNING", "exprs")
    outputs = emit_targets(clause["exprs"], inner, scope.returned)
    if scope.returned and len(outputs) != len(scope.returned):
        raise DatabaseError("return type mismatch in a function's RETURNING", sqlstate="42P13")
    return outputs
