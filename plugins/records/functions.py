"""Functions: which one a call means, and what it returns as if that were a table."""

from __future__ import annotations

from kernel.contracts.catalogue import Argument, Catalogue, Column, Function, Table
from kernel.contracts.queries import Call
from kernel.contracts.records import AmbiguousFunction, UnknownFunction
from plugins.records.similarity import nearest

_DOCUMENTS = ("json", "jsonb")


def resolve(catalogue: Catalogue, call: Call) -> Function:
    """Return the function that takes arguments of the names that a call gives.

    Arguments without a default must be given, others may be. Raises `UnknownFunction` or `AmbiguousFunction`.
    """
    candidates = catalogue.functions.get((call.schema, call.function), ())
    if call.whole is not None:
        wanted = _DOCUMENTS if call.whole == "json" else (call.whole,)
        found = tuple(one for one in candidates if takes_whole(one, wanted))
    else:
        found = tuple(one for one in candidates if _takes(one, set(call.names)))
    if len(found) > 1:
        raise AmbiguousFunction(found)
    if not found:
        names = (name for schema, name in catalogue.functions if schema == call.schema)
        raise UnknownFunction(
            call.schema,
            call.function,
            call.names,
            nearest(call.function, names),
            whole=call.whole is not None,
        )
    return found[0]


def takes_whole(function: Function, types: tuple[str, ...]) -> bool:
    """Tell whether a function has one argument, without a name and of one of some types."""
    return (
        len(function.arguments) == 1
        and function.arguments[0].name is None
        and function.arguments[0].type in types
    )


def returned(catalogue: Catalogue, function: Function) -> Table | None:
    """Return what a function returns as a table, or None where it is no row: one value, or many, or nothing.

    Rows of a table that is known are the table's, with its relationships.
    """
    table = table_of(catalogue, function)
    if table is not None:
        return table
    if not function.columns:
        return None
    columns = {column.name or "": Column(column.name or "", column.type) for column in function.columns}
    return Table(function.schema, function.name, "view", columns)


def table_of(catalogue: Catalogue, function: Function) -> Table | None:
    """Return the table or view whose rows a function returns."""
    if function.columns:
        return None
    schema, dot, name = function.returns.rpartition(".")
    return catalogue.table(name.strip('"'), schema.strip('"') if dot else "public")


def _takes(function: Function, given: set[str]) -> bool:
    names = {argument.name for argument in function.arguments}
    wanted = {argument.name for argument in function.arguments if _is_required(argument)}
    return wanted <= given <= names


def _is_required(argument: Argument) -> bool:
    return argument.default is None and not argument.variadic
