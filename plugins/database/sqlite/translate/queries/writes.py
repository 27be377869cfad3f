"""INSERT, UPDATE and DELETE: values take their column's stored form on the way in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernel.contracts.catalogue import Column, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote, rowid_of, text_literal
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.stored import base_type, fit
from plugins.database.sqlite.translate import expressions, types
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.queries.select import emit_query, emit_targets, emit_with
from plugins.database.sqlite.translate.queries.sources import emit_from, emit_relation
from plugins.database.sqlite.translate.schema.defaults import default_value, makes_own_value
from plugins.database.sqlite.translate.scope import Expr, Item, Scope, file_name


def emit_insert(fields: Node, scope: Scope) -> Plan:
    """Return the plan of an INSERT."""
    only(
        fields, "INSERT", "relation", "cols", "selectStmt", "onConflictClause", "returningClause", "override",
        "withClause",
    )  # fmt: skip
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    table = _target(fields["relation"], scope, "insert into")
    override = fields.get("override", "OVERRIDING_NOT_SET")
    if override == "OVERRIDING_USER_VALUE":
        raise refused("OVERRIDING USER VALUE")
    target = _named(fields, table)
    if "selectStmt" not in fields:
        source = "DEFAULT VALUES"
    else:
        columns = _insert_columns(fields.get("cols"), table, fields["selectStmt"])
        target, source = _source(fields["selectStmt"]["SelectStmt"], columns, table, scope, target, override)
    conflict = (
        _conflict(fields["onConflictClause"], table, fields, scope) if "onConflictClause" in fields else ""
    )
    returning = _returning(fields, table, _alias(fields), scope)
    return Plan("write", f"{with_sql}INSERT INTO {target} {source}{conflict}{returning}", "INSERT")


def _target(relation: Node, scope: Scope, verb: str) -> Table:
    table = scope.table(relation)
    if table.kind == "view":
        raise DatabaseError(f'cannot {verb} view "{table.name}"', sqlstate="55000")
    return table


def _alias(fields: Node) -> str:
    relation = fields["relation"]
    return str(relation.get("alias", {}).get("aliasname", relation["relname"]))


def _named(fields: Node, table: Table) -> str:
    only(fields["relation"], "a table to write", "schemaname", "relname", "inh", "relpersistence", "alias")
    return f"{file_name(table)} AS {quote(_alias(fields))}"


def _insert_columns(cols: list[Node] | None, table: Table, select: Node) -> list[Column]:
    if cols is None:
        values = kind_of(select)[1].get("valuesLists")
        columns = list(table.columns.values())
        return columns[: len(values[0]["List"]["items"])] if values else columns
    columns = []
    for item in cols:
        only(item["ResTarget"], "a column to insert", "name")
        column = _column(table, item["ResTarget"]["name"])
        if column in columns:
            raise DatabaseError(f'column "{column.name}" specified more than once', sqlstate="42701")
        columns.append(column)
    return columns


def _column(table: Table, name: str) -> Column:
    column = table.columns.get(name)
    if column is None:
        raise DatabaseError(
            f'column "{name}" of relation "{table.name}" does not exist',
            sqlstate="42703",
            table=table.name,
            column=name,
        )
    return column


def _source(
    fields: Node, columns: list[Column], table: Table, scope: Scope, target: str, override: str
) -> tuple[str, str]:
    if "valuesLists" in fields and set(fields) <= {"valuesLists", "limitOption", "op"}:
        return _rows(fields["valuesLists"], columns, table, scope, target, override)
    _check_given(columns, override)
    query = emit_query(fields, scope.nested(), [column.type for column in columns])
    if len(query.columns) > len(columns):
        raise DatabaseError("INSERT has more expressions than target columns", sqlstate="42601")
    if len(query.columns) < len(columns):
        columns = columns[: len(query.columns)]
    names = ", ".join(quote(column.name) for column in columns)
    # SQLite reads ON after a bare SELECT as the start of a join's condition; WHERE true ends the FROM clause.
    return f"{target} ({names})", f"SELECT * FROM ({query.sql}) WHERE true"


def _rows(
    rows: list[Node], columns: list[Column], table: Table, scope: Scope, target: str, override: str
) -> tuple[str, str]:
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
        return target, "DEFAULT VALUES"
    if not kept:
        raise refused("several rows of nothing but DEFAULT")
    listed = [
        ", ".join(_value(items[place], columns[place], table, scope).sql for place in kept) for items in lists
    ]
    names = ", ".join(quote(columns[place].name) for place in kept)
    return f"{target} ({names})", "VALUES " + ", ".join(f"({row})" for row in listed)


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


def _conflict(clause: Node, table: Table, fields: Node, scope: Scope) -> str:
    only(clause, "ON CONFLICT", "action", "infer", "targetList", "whereClause")
    own = Item(_alias(fields), _types(table), table=table)
    inner = scope.nested()
    inner.add(own)
    target = _conflict_target(clause["infer"], table, scope) if "infer" in clause else ""
    if clause["action"] == "ONCONFLICT_NOTHING":
        return f" ON CONFLICT{target} DO NOTHING"
    if not target:
        raise DatabaseError(
            "ON CONFLICT DO UPDATE requires inference specification or constraint name", sqlstate="42601"
        )
    inner.items.append(Item("excluded", _types(table)))
    # A bare name means the row that is there; only a qualified one means the row that was to be inserted.
    inner.merged.update({name: own.column(name) for name in table.columns})
    sets = _assignments(clause["targetList"], table, inner)
    where = (
        f" WHERE {expressions.condition(clause['whereClause'], inner, 'WHERE')}"
        if "whereClause" in clause
        else ""
    )
    return f" ON CONFLICT{target} DO UPDATE SET {sets}{where}"


def _conflict_target(infer: Node, table: Table, scope: Scope) -> str:
    only(infer, "ON CONFLICT", "indexElems", "whereClause", "conname")
    if "conname" in infer:
        index = next(
            (index for index in table.indexes if index.unique and index.name == infer["conname"]), None
        )
        if index is None:
            raise DatabaseError(
                f'constraint "{infer["conname"]}" for table "{table.name}" does not exist', sqlstate="42704"
            )
        return f" ({', '.join(quote(column) for column in index.columns if column)})"
    bare = scope.nested()
    bare.add(Item(table.name, _types(table), qualified=False))
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


def _types(table: Table) -> dict[str, str]:
    return {name: column.type for name, column in table.columns.items()}


def _assignments(targets: Sequence[Node], table: Table, scope: Scope) -> str:
    pieces = []
    columns: list[Column] = []
    for item in targets:
        fields = item["ResTarget"]
        only(fields, "SET", "name", "val")
        column = _column(table, fields["name"])
        if column in columns:
            raise DatabaseError(f'multiple assignments to same column "{column.name}"', sqlstate="42601")
        columns.append(column)
        several = fields["val"].get("MultiAssignRef", {})
        if "SubLink" not in several.get("source", {}):
            pieces.append(f"{quote(column.name)} = {_assigned(fields['val'], column, table, scope).sql}")
        elif several["colno"] == several["ncolumns"]:
            pieces.append(_assigned_row(several, columns[-several["ncolumns"] :], scope))
    return ", ".join(pieces)


def _assigned_row(fields: Node, columns: list[Column], scope: Scope) -> str:
    """Emit the assignment of a subquery's one row to several columns; a second row is refused."""
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
    targets = ", ".join(quote(column.name) for column in columns)
    return f"({targets}) = (WITH q({names}) AS ({query.sql}) SELECT {names} FROM q WHERE {alone})"


def _assigned(node: Node, column: Column, table: Table, scope: Scope) -> Expr:
    kind, fields = kind_of(node)
    if kind == "MultiAssignRef":
        row_kind, row = kind_of(fields["source"])
        if row_kind != "RowExpr":
            raise refused(f"SET (...) = {row_kind}")
        if len(row["args"]) != fields["ncolumns"]:
            raise DatabaseError("number of columns does not match number of values", sqlstate="42601")
        return _assigned(row["args"][fields["colno"] - 1], column, table, scope)
    if kind == "SetToDefault" and not column.identity:
        if column.generated:
            raise refused("SET to DEFAULT of a generated column")
        return default_value(column, scope.catalogue)
    if column.generated:
        raise DatabaseError(
            f'column "{column.name}" can only be updated to DEFAULT',
            sqlstate="428C9",
            detail=f'Column "{column.name}" is {_generated_kind(column)}.',
            column=column.name,
        )
    return _given(node, column, table, scope)


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
    table = _target(fields["relation"], scope, "update")
    target = emit_relation(fields["relation"], scope)
    own = scope.items[0]
    from_sql = ""
    if "fromClause" in fields:
        from_sql = " FROM " + ", ".join(emit_from(item, scope) for item in fields["fromClause"])
    sets = _assignments(fields["targetList"], table, scope)
    where = (
        f" WHERE {expressions.condition(fields['whereClause'], scope, 'WHERE')}"
        if "whereClause" in fields
        else ""
    )
    returning = _returning(fields, table, own.alias, scope)
    return Plan("write", f"{with_sql}UPDATE {target} SET {sets}{from_sql}{where}{returning}", "UPDATE")


def emit_delete(fields: Node, scope: Scope) -> Plan:
    """Return the plan of a DELETE; USING becomes a subquery of row ids, for SQLite joins nothing there."""
    only(fields, "DELETE", "relation", "whereClause", "usingClause", "returningClause", "withClause")
    with_sql = emit_with(fields["withClause"], scope) if "withClause" in fields else ""
    table = _target(fields["relation"], scope, "delete from")
    target = emit_relation(fields["relation"], scope)
    own = scope.items[0]
    using = [emit_from(item, scope) for item in fields.get("usingClause", ())]
    where = (
        f" WHERE {expressions.condition(fields['whereClause'], scope, 'WHERE')}"
        if "whereClause" in fields
        else ""
    )
    if using:
        rowid = rowid_of(table.columns)
        inner = f"SELECT {quote(own.alias)}.{rowid} FROM {target}, {', '.join(using)}{where}"
        where = f" WHERE {rowid} IN ({inner})"
    returning = _returning(fields, table, own.alias, scope)
    return Plan("write", f"{with_sql}DELETE FROM {target}{where}{returning}", "DELETE")


def _returning(fields: Node, table: Table, alias: str, scope: Scope) -> str:
    if "returningClause" not in fields:
        return ""
    clause = fields["returningClause"]
    only(clause, "RETURNING", "exprs")
    inner = scope.apart()
    inner.add(Item(alias, _types(table), qualified=False, table=table))
    outputs = emit_targets(clause["exprs"], inner, scope.returned)
    if scope.returned and len(outputs) != len(scope.returned):
        raise DatabaseError("return type mismatch in a function's RETURNING", sqlstate="42P13")
    return " RETURNING " + ", ".join(f"{item.sql} AS {quote(item.name)}" for item in outputs)
