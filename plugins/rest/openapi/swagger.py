"""The parts of the OpenAPI (Swagger 2.0) document that describes a schema, in PostgREST's form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kernel.contracts.catalogue import Argument, Catalogue, Column, Function, Table

Json = dict[str, Any]

MEDIA_TYPES = [
    "application/json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.object+json",
    "text/csv",
]

_TYPES = {
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
    "json": None,
    "jsonb": None,
}
_FORMATS = {"smallint": "int32", "integer": "int32", "bigint": "int64"}
_MODIFIER = re.compile(r"\((\d+)(?:,-?\d+)?\)")
_LENGTHS = ("character varying", "character", "bit varying", "bit")
_DEFAULT = re.compile(r"'((?:[^']|'')*)'(?:::.+)?", re.DOTALL)


def _type(name: str) -> str | None:
    """Return the JSON type of a PostgreSQL type without its modifier; None where it may be any."""
    if name.endswith("[]"):
        return "array"
    return _TYPES.get(name, "string")


def _typed(name: str) -> Json:
    """Describe a type without its modifier."""
    described: Json = {"format": _FORMATS.get(name, name)}
    kind = _type(name)
    if kind is not None:
        described["type"] = kind
    if kind == "array":
        element = _type(name.removesuffix("[]"))
        described["items"] = {} if element is None else {"type": element}
    return described


def definition(table: Table, catalogue: Catalogue) -> Json:
    """Describe the rows of a table or view."""
    properties = {name: _property(table, column, catalogue) for name, column in table.columns.items()}
    described: Json = {"type": "object", "properties": properties}
    required = [name for name, column in table.columns.items() if not column.nullable]
    if required:
        described["required"] = required
    if table.comment is not None:
        described["description"] = table.comment
    return described


def _property(table: Table, column: Column, catalogue: Catalogue) -> Json:
    modifier = _MODIFIER.search(column.type)
    name = _MODIFIER.sub("", column.type).removeprefix(f"{table.schema}.")
    described = _typed(name)
    enum = catalogue.enums.get((table.schema, name))
    if enum is not None:
        described["enum"] = list(enum.labels)
    if modifier is not None and name in _LENGTHS:
        described["maxLength"] = int(modifier[1])
    if column.default is not None:
        described |= _default(name, column.default)
    text = _described(table, column, catalogue)
    if text is not None:
        described["description"] = text
    return described


def _described(table: Table, column: Column, catalogue: Catalogue) -> str | None:
    notes = []
    if column.name in table.primary_key:
        notes.append("This is a Primary Key.<pk/>")
    referenced = _referenced(table, column.name, catalogue)
    if referenced is not None:
        target, key = referenced
        notes.append(f"This is a Foreign Key to `{target}.{key}`.<fk table='{target}' column='{key}'/>")
    if not notes:
        return column.comment
    note = "\n".join(["Note:", *notes])
    return note if column.comment is None else f"{column.comment}\n\n{note}"


def _referenced(table: Table, column: str, catalogue: Catalogue) -> tuple[str, str] | None:
    """Return table and column that a column refers to by itself; a view's does as the table's that it shows."""
    origin = table.origins.get(column)
    if origin is not None:
        shown = catalogue.table(origin.table, origin.schema)
        return None if shown is None else _referenced(shown, origin.column, catalogue)
    for key in table.foreign_keys:
        if key.columns == (column,) and key.referenced_schema == table.schema:
            return key.referenced_table, key.referenced_columns[0]
    return None


def _default(name: str, sql: str) -> Json:
    """Return a column's default where JSON can say it; an expression stands as its text."""
    if _type(name) == "string":
        quoted = _DEFAULT.fullmatch(sql)
        return {"default": quoted[1].replace("''", "'") if quoted else sql}
    try:
        return {"default": msgspec.json.decode(sql)}
    except msgspec.DecodeError:
        return {}


def path(table: Table) -> Json:
    """Describe what can be done with a table or view."""
    head: Json = {"tags": [table.name], **_titled(table.comment)}
    filters = [f"rowFilter.{table.name}.{column}" for column in table.columns]
    body = f"body.{table.name}"
    rows = {"type": "array", "items": {"$ref": f"#/definitions/{table.name}"}}
    described = {
        "get": head
        | {
            "parameters": _references(
                *filters, "select", "order", "range", "rangeUnit", "offset", "limit", "preferCount"
            ),
            "responses": {
                "200": {"description": "OK", "schema": rows},
                "206": {"description": "Partial Content"},
            },
        }
    }
    if table.writable:
        for method, parameters, status, said in (
            ("post", (body, "select", "preferPost"), "201", "Created"),
            ("patch", (*filters, body, "preferReturn"), "204", "No Content"),
            ("delete", (*filters, "preferReturn"), "204", "No Content"),
        ):
            responses = {status: {"description": said}}
            described[method] = head | {"parameters": _references(*parameters), "responses": responses}
    return described


def _titled(comment: str | None) -> Json:
    """Return a comment's first line as summary, the rest as description."""
    if comment is None:
        return {}
    summary, _, rest = comment.partition("\n")
    rest = rest.lstrip("\n")
    return {"summary": summary, "description": rest} if rest else {"summary": summary}


def _references(*names: str) -> list[Json]:
    return [{"$ref": f"#/parameters/{name}"} for name in names]


def function_path(function: Function) -> Json:
    """Describe how a function is called."""
    head: Json = {
        "tags": [f"(rpc) {function.name}"],
        **_titled(function.comment),
        "produces": MEDIA_TYPES[:3],
        "responses": {"200": {"description": "OK"}},
    }
    arguments = [argument for argument in function.arguments if argument.name is not None]
    body: Json = {"type": "object", "properties": {a.name: _typed(_bare(a, function)) for a in arguments}}
    required = [argument.name for argument in arguments if _is_required(argument)]
    if required:
        body["required"] = required
    if function.comment is not None:
        body["description"] = function.comment
    posted = {"name": "args", "required": True, "in": "body", "schema": body}
    described = {"post": head | {"parameters": [posted, *_references("preferParams")]}}
    if function.volatility != "volatile":
        described["get"] = head | {"parameters": [_argument(argument, function) for argument in arguments]}
    return described


def _bare(argument: Argument, function: Function) -> str:
    return _MODIFIER.sub("", argument.type).removeprefix(f"{function.schema}.")


def _is_required(argument: Argument) -> bool:
    return argument.default is None and not argument.variadic


def _argument(argument: Argument, function: Function) -> Json:
    described: Json = {"name": argument.name, "required": _is_required(argument), "in": "query"}
    name = _bare(argument, function)
    if argument.variadic:
        element = name.removesuffix("[]")
        items = {"type": _type(element) or "string", "format": _FORMATS.get(element, element)}
        return described | {"type": "array", "collectionFormat": "multi", "items": items}
    kind = _type(name)
    # An array is written as a literal in braces.
    kind = "string" if kind in (None, "array") else kind
    return described | {"type": kind, "format": _FORMATS.get(name, name)}


def parameters(tables: Iterable[Table]) -> Json:
    """Describe the parameters that paths refer to."""
    found = dict(_COMMON)
    for table in tables:
        found[f"body.{table.name}"] = {
            "name": table.name,
            "description": table.name,
            "required": False,
            "in": "body",
            "schema": {"$ref": f"#/definitions/{table.name}"},
        }
        for column in table.columns.values():
            said = {} if column.comment is None else {"description": column.comment}
            found[f"rowFilter.{table.name}.{column.name}"] = _optional(column.name, "query", **said)
    return found


def _optional(name: str, where: str, **more: Any) -> Json:
    return {"name": name, "required": False, "in": where, "type": "string", **more}


def _prefer(*values: str) -> Json:
    more = {"enum": list(values)} if values else {}
    return _optional("Prefer", "header", description="Preference", **more)


_RETURNS = ("return=representation", "return=minimal", "return=headers-only")
_PAGES = "Limiting and Pagination"
_COMMON: Mapping[str, Json] = {
    "preferParams": _prefer(),
    "preferReturn": _prefer(*_RETURNS),
    "preferCount": _prefer("count=exact", "count=planned", "count=estimated"),
    "preferPost": _prefer(*_RETURNS, "resolution=ignore-duplicates", "resolution=merge-duplicates"),
    "select": _optional("select", "query", description="Filtering Columns"),
    "on_conflict": _optional("on_conflict", "query", description="On Conflict"),
    "order": _optional("order", "query", description="Ordering"),
    "range": _optional("Range", "header", description=_PAGES),
    "rangeUnit": _optional("Range-Unit", "header", description=_PAGES, default="items"),
    "offset": _optional("offset", "query", description=_PAGES),
    "limit": _optional("limit", "query", description=_PAGES),
}
