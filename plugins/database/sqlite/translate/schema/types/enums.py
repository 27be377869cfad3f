"""CREATE TYPE ... AS ENUM, ALTER TYPE and DROP TYPE."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Enum
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue import kinds
from plugins.database.sqlite.catalogue.definitions import Definition, definitions
from plugins.database.sqlite.catalogue.kinds import EnumArray, EnumType
from plugins.database.sqlite.names import quote, text_literal
from plugins.database.sqlite.statements import Change, Plan, Rebuild
from plugins.database.sqlite.stored import FORMS, base_type
from plugins.database.sqlite.translate.nodes import Node, only, refused, strings
from plugins.database.sqlite.translate.schema.tables.rebuilding import rebuild
from plugins.database.sqlite.translate.scope import check_name

_LONGEST = 63


def create_enum(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE TYPE ... AS ENUM."""
    only(fields, "CREATE TYPE", "typeName", "vals")
    schema, name = new_type(fields["typeName"], catalogue)
    labels = tuple(strings(fields.get("vals", [])))
    for label in labels:
        _check_label(label)
    if len(set(labels)) != len(labels):
        constraint = "pg_enum_typid_label_index"
        message = f'duplicate key value violates unique constraint "{constraint}"'
        raise DatabaseError(message, sqlstate="23505", constraint=constraint)
    return Plan("schema", "", "CREATE TYPE", (Change(schema, name, value=Enum(schema, name, labels)),))


def new_type(nodes: list[Node], catalogue: Catalogue) -> tuple[str, str]:
    """Return schema and name of a type to be made; raises 42710 where there is one."""
    schema, name = type_key(nodes)
    check_name(name)
    if schema not in catalogue.schemas:
        raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
    if any((schema, name) in known for known in (catalogue.enums, catalogue.domains, catalogue.tables)):
        raise DatabaseError(f'type "{name}" already exists', sqlstate="42710")
    if base_type(name) in FORMS:
        raise refused(f"a type named {name}")
    return schema, name


def type_key(nodes: list[Node]) -> tuple[str, str]:
    """Return schema and name of a type."""
    names = strings(nodes)
    if len(names) > 2:
        raise refused("a name with a database")
    return ("public", names[0]) if len(names) == 1 else (names[0], names[1])


def _check_label(label: str) -> None:
    if len(label.encode()) > _LONGEST:
        detail = f"Labels must be {_LONGEST} bytes or less."
        raise DatabaseError(f'invalid enum label "{label}"', sqlstate="42602", detail=detail)


def missing_type(schema: str, name: str) -> DatabaseError:
    """Return the error for a type that does not exist."""
    shown = name if schema == "public" else f"{schema}.{name}"
    return DatabaseError(f'type "{shown}" does not exist', sqlstate="42704")


def alter_enum(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TYPE ... ADD VALUE or RENAME VALUE: the tables that use it are written anew."""
    only(
        fields, "ALTER TYPE", "typeName", "oldVal", "newVal", "newValNeighbor", "newValIsAfter",
        "skipIfNewValExists",
    )  # fmt: skip
    schema, name = type_key(fields["typeName"])
    enum = catalogue.enums.get((schema, name))
    if enum is None:
        raise missing_type(schema, name)
    new, old = fields["newVal"], fields.get("oldVal")
    _check_label(new)
    if old is not None and old not in enum.labels:
        raise DatabaseError(f'"{old}" is not an existing enum label', sqlstate="22023")
    if new in enum.labels:
        if fields.get("skipIfNewValExists"):
            return Plan("schema", "", "ALTER TYPE")
        raise DatabaseError(f'enum label "{new}" already exists', sqlstate="42710")
    labels = list(enum.labels)
    if old is not None:
        labels[labels.index(old)] = new
    else:
        labels.insert(_place(fields, labels), new)
    return _changed(enum, msgspec.structs.replace(enum, labels=tuple(labels)), (old, new), catalogue)


def _place(fields: Node, labels: list[str]) -> int:
    neighbour = fields.get("newValNeighbor")
    if neighbour is None:
        return len(labels)
    if neighbour not in labels:
        raise DatabaseError(f'"{neighbour}" is not an existing enum label', sqlstate="22023")
    return labels.index(neighbour) + (1 if fields.get("newValIsAfter") else 0)


def _changed(before: Enum, after: Enum, renamed: tuple[str | None, str], catalogue: Catalogue) -> Plan:
    for domain in catalogue.domains.values():
        if domain.type == EnumType.of(before):
            raise refused(f'ALTER TYPE while the domain "{domain.name}" is over the type')
    changes = [Change(after.schema, after.name, value=after)]
    known = msgspec.structs.replace(catalogue, enums={**catalogue.enums, (after.schema, after.name): after})
    rebuilds: list[Rebuild] = []
    for table in definitions(catalogue):
        used = _columns(table, EnumType.of(before))
        if not used:
            continue
        if table.kind == "view":
            raise refused(
                f'ALTER TYPE while the view "{table.name}" has a column of the type',
                hint="Drop the view before, and create it again afterwards.",
            )
        columns = {
            name: msgspec.structs.replace(column, type=kinds.resolve(column.type, known))
            for name, column in table.columns.items()
        }
        now = msgspec.structs.replace(table, columns=columns)
        if renamed[0] is not None:
            _check_text(table, renamed[0])
        values = {name: _renamed(name, table, renamed) for name in used} if renamed[0] is not None else {}
        rebuilds.append(rebuild(table, now, known, values))
        changes.append(Change(table.schema, table.name, now))
    return Plan("schema", "", "ALTER TYPE", tuple(changes), rebuilds=tuple(rebuilds))


def _columns(table: Definition, enum: EnumType) -> list[str]:
    arrays = EnumArray.of(enum)
    return [name for name, column in table.columns.items() if column.type in (str(enum), str(arrays))]


def _check_text(table: Definition, old: str) -> None:
    """Refuse to rename a label that a default, a check or an index of the table names."""
    sources = [column.default or "" for column in table.columns.values()]
    trees = msgspec.json.encode([table.checks, table.generated, table.indexed]).decode()
    if any(text_literal(old) in text for text in sources) or msgspec.json.encode(old).decode() in trees:
        raise refused(
            f'ALTER TYPE ... RENAME VALUE while a definition of the table "{table.name}" names "{old}"',
            hint="Drop the default, check or index before, and create it again afterwards.",
        )


def _renamed(name: str, table: Definition, renamed: tuple[str | None, str]) -> str:
    if table.columns[name].type.endswith("[]"):
        raise refused("ALTER TYPE ... RENAME VALUE of a type that is in arrays")
    old, new = (text_literal(label or "") for label in renamed)
    return f"CASE WHEN {quote(name)} = {old} THEN {new} ELSE {quote(name)} END"
