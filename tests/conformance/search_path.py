"""Writes names with their schema, for an engine without ``search_path``: SQLite asks for that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database import parser

Node = dict[str, Any]

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
# Names that the grammar's trees tell no place of: after these words.
_PLACELESS = re.compile(
    r"(?P<before>\A(?:create\s+(?:or\s+replace\s+)?(?:function|procedure|type|domain|aggregate)"
    r"|alter\s+(?:function|type|domain)"
    r"|drop\s+(?:table|view|function|type|domain|aggregate|sequence)(?:\s+if\s+exists)?"
    r"|comment\s+on\s+(?:table|column|view|function|type|domain)"
    r"|(?:grant|revoke)\s+(?:execute|all)\s+on\s+function)\s+"
    r"|\bexecute\s+(?:procedure|function)\s+"
    r"|\b(?:s|state|final)func\s*=\s*"
    r"|\b(?:nextval|currval|setval)\s*\(\s*')"
    rf"(?P<name>{_NAME})(?!\s*\.\s*{_NAME}\s*\.)(?P<after>\s*\.\s*{_NAME})?",
    re.IGNORECASE,
)
_MAKES = re.compile(r"\Acreate\b", re.IGNORECASE)
_OF_COLUMN = re.compile(r"\Acomment\s+on\s+column\b", re.IGNORECASE)
_BODY = re.compile(r"(\$(?:[^\W\d]\w*)?\$)(.*)\1", re.DOTALL)
_CREATED = (
    "CreateStmt",
    "ViewStmt",
    "CreateSeqStmt",
    "CreateTableAsStmt",
    "CreateForeignTableStmt",
    "CompositeTypeStmt",
)


class SearchPath:
    """What a session's ``search_path`` is as statements come by, and what they have made in each schema."""

    def __init__(self) -> None:
        self.path = ["public"]
        self._made: set[tuple[str, str]] = set()

    def follow(self, text: str) -> bool:
        """Take over a SET of the path; tells whether the statement is one."""
        tree = parser.parse(text).statements[0]
        fields = tree.get("VariableSetStmt", {})
        if fields.get("name") != "search_path":
            return False
        values = [node["A_Const"]["sval"]["sval"] for node in fields.get("args", ())]
        self.path = [name for name in values if name not in ("pg_catalog", "$user")]
        return True

    def qualified(self, text: str) -> str:
        """Return a statement with the schemas that its names are found in, and remember what it makes."""
        parsed = parser.parse(text)
        source = text.encode()
        if parsed.source != source:
            return text  # has parameters, so it is none of a script's
        tree = parsed.statements[0]
        for schema, name in (*_created(tree), *_granted_sequences(tree)):
            self._made.add((schema or self.path[0], name))
        places = dict(self._places(tree))
        for place in sorted(places, reverse=True):
            source = source[:place] + f"{_quoted(places[place])}.".encode() + source[place:]
        whole = self._placeless(source.decode())
        return _BODY.sub(self._in_body, whole) if _is_sql_function(tree) else whole

    def _in_body(self, match: re.Match[str]) -> str:
        try:
            statements = [self.qualified(text) for text in parser.split(match[2])]
        except DatabaseError:
            return match[0]
        return f"{match[1]}{';'.join(statements)}{match[1]}"

    def _placeless(self, text: str) -> str:
        def write(match: re.Match[str]) -> str:
            name = match["name"]
            makes = _MAKES.match(match["before"])
            if match["after"] and not _OF_COLUMN.match(text):
                if makes:
                    self._made.add((_bare(name), _bare(match["after"].lstrip(" .\t\n"))))
                return match[0]
            bare = _bare(name)
            if makes:
                self._made.add((self.path[0], bare))
            schema = self._schema(bare)
            if schema is None:
                return match[0]
            return f"{match['before']}{_quoted(schema)}.{name}{match['after'] or ''}"

        return _PLACELESS.sub(write, text)

    def _schema(self, name: str) -> str | None:
        return next((schema for schema in self.path if (schema, name) in self._made), None)

    def _places(self, value: Any) -> Iterator[tuple[int, str]]:
        """Yield where names stand without a schema, and the schema that each is found in."""
        if isinstance(value, list):
            for inner in value:
                yield from self._places(inner)
        if not isinstance(value, dict):
            return
        name = _bare_name(value)
        schema = self._schema(name) if name is not None else None
        if schema is not None:
            yield value.get("location", 0), schema
        for inner in value.values():
            yield from self._places(inner)


def _bare_name(node: Node) -> str | None:
    """Return the name that a table, a type or a function is called by without a schema, where `node` is one."""
    if "relname" in node:
        return None if "schemaname" in node else str(node["relname"])
    if "typemod" in node and len(node.get("names", ())) == 1:
        return _text(node["names"][0])
    if "funcname" in node and "location" in node and len(node["funcname"]) == 1:
        return _text(node["funcname"][0])
    return None


def _created(tree: Node) -> Iterator[tuple[str | None, str]]:
    """Yield the schema that is written and the name of what a statement makes."""
    for kind in _CREATED:
        fields = tree.get(kind)
        if fields is None:
            continue
        made = fields.get("relation") or fields.get("view") or fields.get("sequence") or fields.get("typevar")
        made = made or fields.get("into", {}).get("rel") or fields.get("base", {}).get("relation") or {}
        if "relname" in made:
            yield made.get("schemaname"), made["relname"]


def _granted_sequences(tree: Node) -> Iterator[tuple[str | None, str]]:
    """Yield the sequences that rights are given on: columns have made them, of which nothing else tells."""
    fields = tree.get("GrantStmt", {})
    if fields.get("objtype") == "OBJECT_SEQUENCE" and fields.get("targtype") == "ACL_TARGET_OBJECT":
        for item in fields["objects"]:
            yield item["RangeVar"].get("schemaname"), item["RangeVar"]["relname"]


def _is_sql_function(tree: Node) -> bool:
    options = tree.get("CreateFunctionStmt", {}).get("options", ())
    return any(
        option["DefElem"]["defname"] == "language" and _text(option["DefElem"]["arg"]).lower() == "sql"
        for option in options
    )


def _text(node: Node) -> str:
    return str(node["String"]["sval"])


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
