"""DROP TYPE and DROP DOMAIN, and what stands or falls with a type."""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.catalogue import Catalogue, Domain, Enum, Function
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.catalogue import apply
from plugins.database.sqlite.catalogue.definitions import Definition, definitions
from plugins.database.sqlite.catalogue.kinds import DomainType, resolve
from plugins.database.sqlite.statements import Change, Plan, Rebuild
from plugins.database.sqlite.stored import element_of
from plugins.database.sqlite.translate.nodes import Node, only
from plugins.database.sqlite.translate.schema.altering.alteration import Alteration
from plugins.database.sqlite.translate.schema.altering.columns import drop_column
from plugins.database.sqlite.translate.schema.dependents import Dropped, Reason, functions
from plugins.database.sqlite.translate.schema.types.enums import missing_type, type_key

Uses = Callable[[str], bool]


def drop_type(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP TYPE or DROP DOMAIN; with CASCADE, columns, functions and domains go with it."""
    only(fields, "DROP TYPE", "objects", "removeType", "behavior", "missing_ok")
    dropping = _Dropping(parsed, catalogue, cascade=fields["behavior"] == "DROP_CASCADE")
    is_domain = fields["removeType"] == "OBJECT_DOMAIN"
    for item in fields["objects"]:
        key = type_key(item["TypeName"]["names"])
        made: Enum | Domain | None = catalogue.enums.get(key) or catalogue.domains.get(key)
        if made is None and not fields.get("missing_ok"):
            raise missing_type(*key)
        if made is not None:
            if is_domain and isinstance(made, Enum):
                raise DatabaseError(f'"{made.name}" is not a domain', sqlstate="42809")
            dropping.drop(made)
    return dropping.plan("DROP DOMAIN" if is_domain else "DROP TYPE")


class _Dropping:
    def __init__(self, parsed: Parsed, catalogue: Catalogue, *, cascade: bool) -> None:
        self._parsed = parsed
        self._catalogue = catalogue
        self._cascade = cascade
        self._sql: list[str] = []
        self._changes: list[Change] = []
        self._rebuilds: list[Rebuild] = []

    def drop(self, made: Enum | Domain) -> None:
        """Drop a type, and what has it."""
        shown = made.name if made.schema == "public" else f"{made.schema}.{made.name}"
        reason = Reason(f"type {shown}", self._cascade)

        def uses(declared: str) -> bool:
            return shown in (declared, element_of(declared))

        for domain in list(self._catalogue.domains.values()):
            if uses(domain.type):
                over = DomainType(
                    domain.name if domain.schema == "public" else f"{domain.schema}.{domain.name}"
                )
                reason.check(f"type {over}")
                self.drop(domain)
        for table in definitions(self._catalogue):
            self._columns(table, uses, reason)
        self._functions(uses, reason)
        self._add(Plan("schema", "", "", (Change(made.schema, made.name, value=made, is_gone=True),)))

    def _columns(self, table: Definition, uses: Uses, reason: Reason) -> None:
        names = [
            name for name, column in table.columns.items() if uses(str(resolve(column.type, self._catalogue)))
        ]
        for name in names:
            reason.check(f"column {name} of {table.kind} {table.name}")
        # A view's columns go with the view, which goes with the table's.
        if names and table.kind == "table":
            alteration = Alteration(table, self._parsed, self._catalogue)
            for name in names:
                drop_column(
                    {"subtype": "AT_DropColumn", "name": name, "behavior": "DROP_CASCADE"}, alteration
                )
            self._add(alteration.plan())

    def _functions(self, uses: Uses, reason: Reason) -> None:
        for function in functions(self._catalogue):
            if any(uses(declared) for declared in _types_of(function)):
                reason.check(f"function {function.signature}")
                dropped = Dropped(self._catalogue)
                dropped.function(function, reason)
                gone = Change(function.schema, function.signature, function=function, is_gone=True)
                changes = (*dropped.changes, gone)
                self._add(
                    Plan("schema", "; ".join(dropped.sql), "", changes, rebuilds=tuple(dropped.rebuilds))
                )

    def _add(self, plan: Plan) -> None:
        self._sql += [plan.sql] if plan.sql else []
        self._changes += plan.changes
        self._rebuilds += plan.rebuilds
        self._catalogue = apply(self._catalogue, plan.changes)

    def plan(self, tag: str) -> Plan:
        """Return the plan of the whole statement."""
        return Plan("schema", "; ".join(self._sql), tag, tuple(self._changes), rebuilds=tuple(self._rebuilds))


def _types_of(function: Function) -> list[str]:
    return [
        *(argument.type for argument in function.arguments),
        *(column.type for column in function.columns),
        function.returns,
    ]
