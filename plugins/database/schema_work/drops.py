"""What statements drop, as far as their text tells: what a function does is not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.schema import Dropped
from plugins.database import parser
from plugins.database.parser import Node


def drops(sql: str, catalogue: Catalogue) -> list[Dropped]:
    """Return the tables and columns that statements drop and that are in `catalogue`, each once, in order."""
    found: dict[Dropped, None] = {}
    for statement in parser.parse(sql).statements:
        ((kind, fields),) = statement.items()
        reader = _READERS.get(kind)
        for dropped in reader(fields, catalogue) if reader is not None else ():
            table = catalogue.table(dropped.table, dropped.schema)
            if table is not None and table.kind == "table" and (dropped.column or "") in ("", *table.columns):
                found[dropped] = None
    return list(found)


def _drop(fields: Node, catalogue: Catalogue) -> Iterator[Dropped]:
    for item in fields["objects"]:
        if fields["removeType"] == "OBJECT_SCHEMA":
            name = item["String"]["sval"]
            yield from (Dropped(schema, table) for schema, table in catalogue.tables if schema == name)
        elif fields["removeType"] == "OBJECT_TABLE":
            *schema, name = (part["String"]["sval"] for part in item["List"]["items"])
            yield Dropped(schema[-1] if schema else "public", name)


def _alter(fields: Node, _: Catalogue) -> Iterator[Dropped]:
    relation = fields["relation"]
    for item in fields["cmds"]:
        command = item["AlterTableCmd"]
        if command["subtype"] == "AT_DropColumn":
            yield Dropped(relation.get("schemaname", "public"), relation["relname"], command["name"])


_READERS: dict[str, Callable[[Node, Catalogue], Iterator[Dropped]]] = {
    "DropStmt": _drop,
    "AlterTableStmt": _alter,
}
