"""What a statement does with its tables, gathered while it is emitted, and whether the role's grants allow it."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import DatabaseError

_WHOLE = ("delete", "truncate")  # no column has these


class Access:
    """What a statement does with one table or view: privileges it needs, and on which columns."""

    def __init__(self, table: Table, *privileges: str) -> None:
        self.table = table
        self.needs: dict[str, set[str]] = {privilege: set() for privilege in privileges}
        self.numbers: set[str] = set()

    def read(self, column: str) -> None:
        """Note that a column is read."""
        self.use("select", column)

    def use(self, privilege: str, *columns: str) -> None:
        """Note that a privilege is needed on columns."""
        self.needs.setdefault(privilege, set()).update(columns)

    @property
    def reads(self) -> bool:
        """Whether rows are read: then they must be visible, too."""
        return "select" in self.needs


class Calling:
    """The call of a function."""

    def __init__(self, function: Function) -> None:
        self.function = function


def check(access: Access | Calling, acting: frozenset[str]) -> None:
    """Raise `DatabaseError` (42501) unless one who acts as `acting` may do what was noted."""
    if isinstance(access, Calling):
        if access.function.executors.isdisjoint(acting):
            raise DatabaseError(f"permission denied for function {access.function.name}", sqlstate="42501")
        return
    table = access.table
    for privilege, columns in access.needs.items():
        if table.allows(acting, privilege):
            continue
        # Columns that were not named at all take any one of them, as in count(*) or DEFAULT VALUES.
        allowed = {name for name in table.columns if table.allows(acting, privilege, name)}
        if privilege in _WHOLE or not allowed or not columns <= allowed:
            raise denied(table)
    for column in access.numbers:
        if not any(
            grant.privilege == "usage" and grant.column == column and grant.role in acting
            for grant in table.grants
        ):
            raise no_sequence(f"{table.name}_{column}_seq", table)


def denied(table: Table) -> DatabaseError:
    """Return the error for a table or view on which a grant is missing."""
    return DatabaseError(
        f"permission denied for {table.kind} {table.name}",
        sqlstate="42501",
        schema=table.schema,
        table=table.name,
    )


def no_sequence(name: str, table: Table) -> DatabaseError:
    """Return the error for a sequence on which a grant is missing."""
    return DatabaseError(f"permission denied for sequence {name}", sqlstate="42501", table=table.name)


def check_schema(schema: str, catalogue: Catalogue, acting: frozenset[str]) -> None:
    """Raise `DatabaseError` (42501) unless one who acts as `acting` may look into a schema."""
    if schema in catalogue.schemas and not catalogue.may_use(schema, acting):
        raise DatabaseError(f"permission denied for schema {schema}", sqlstate="42501", schema=schema)
