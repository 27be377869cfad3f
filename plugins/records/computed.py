"""What functions add to tables: columns and related rows that are worked out from a row."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.relationships import Relationship
from plugins.records.functions import rows_of, table_of


class Computed:
    """The functions of one catalogue whose one argument is a row of a table or view.

    They are found by their name: in the schema of the table, or else in ``public``.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._functions: dict[tuple[str, str, str, str], Function] = {}
        for overloads in catalogue.functions.values():
            for function in overloads:
                if len(function.arguments) == 1:
                    table = rows_of(catalogue, function.arguments[0].type)
                    if table is not None:
                        self._functions[table.schema, table.name, function.schema, function.name] = function

    def column(self, table: Table, name: str) -> Function | None:
        """Return the function that works out one value from a row; its `returns` is the type."""
        function = self._find(table, name)
        if function is None or function.returns_set or function.columns:
            return None
        return function if table_of(self._catalogue, function) is None else None

    def relationship(self, table: Table, name: str) -> Relationship | None:
        """Return the relationship that a function makes, which returns rows of a table or view.

        It is to one if the function does not return a set, or promises one row at most.
        """
        function = self._find(table, name)
        target = None if function is None else table_of(self._catalogue, function)
        if function is None or target is None:
            return None
        return Relationship(
            table.schema,
            table.name,
            target.schema,
            target.name,
            "one-to-many" if function.returns_set and not function.promises_one else "many-to-one",
            function=function,
        )

    def _find(self, table: Table, name: str) -> Function | None:
        own = self._functions.get((table.schema, table.name, table.schema, name))
        return own or self._functions.get((table.schema, table.name, "public", name))
