"""Functions: which one a call means, and what it returns as if that were a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kernel.contracts.catalogue import Argument, Catalogue, Column, Function, Table
from kernel.contracts.queries import Call
from kernel.contracts.records import AmbiguousFunction, Medium, UnknownFunction
from plugins.records.similarity import SURE, nearest

_DOCUMENTS = ("json", "jsonb")
_BODIES = (*_DOCUMENTS, "text", "bytea", "xml")
_NAME = r'"(?:[^"]|"")+"|[^".]+'
_ROWS = re.compile(rf"(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME})")


Functions = Mapping[tuple[str, str], tuple[Function, ...]]


def resolve(catalogue: Catalogue, call: Call, others: Functions = MappingProxyType({})) -> Function:
    """Return the function, of the catalogue or of `others`, that takes arguments of the names that a call gives.

    Arguments without a default must be given, others may be; the name of one without a name is empty. Raises
    `UnknownFunction` or `AmbiguousFunction`.
    """
    candidates = _callable(catalogue, others, call.schema, call.function)
    if call.whole is not None:
        wanted = _DOCUMENTS if call.whole == "json" else (call.whole,)
        found = tuple(one for one in candidates if takes_whole(one, wanted))
    else:
        found = tuple(one for one in candidates if _takes(one, set(call.names)))
    if len(found) > 1:
        raise AmbiguousFunction(tuple(sorted(found, key=_signature)))
    if not found:
        suggestion = None
        if candidates and call.whole in (None, "json"):
            suggestion = _arguments_meant(candidates, call)
        elif call.whole in (None, "json"):
            names = {name for schema, name in (*catalogue.functions, *others) if schema == call.schema}
            known = (name for name in names if _callable(catalogue, others, call.schema, name))
            suggestion = nearest(call.function, known, least=SURE)
        raise UnknownFunction(call.schema, call.function, call.names, suggestion, call.whole)
    return found[0]


def _callable(catalogue: Catalogue, others: Functions, schema: str, name: str) -> tuple[Function, ...]:
    """Return the functions of a name that a client can call: of their arguments at most one has no name.

    That one is of a type that a whole body may be.
    """
    found = catalogue.functions.get((schema, name), ()) + others.get((schema, name), ())
    unnamed = [[one for one in function.arguments if one.name is None] for function in found]
    return tuple(
        function
        for function, arguments in zip(found, unnamed, strict=True)
        if not arguments or (len(arguments) == 1 and arguments[0].type in _BODIES)
    )


def _signature(function: Function) -> tuple[int, list[tuple[str, str]]]:
    arguments = [(argument.name or "", argument.type) for argument in function.arguments]
    return len(arguments), arguments


def _arguments_meant(candidates: tuple[Function, ...], call: Call) -> str | None:
    lists = [_listed(argument.name or "" for argument in one.arguments) for one in candidates]
    found = nearest(_listed(call.names), lists)
    return None if found is None else f"{call.function}{found}"


def _listed(names: Iterable[str]) -> str:
    return f"({', '.join(sorted(names))})"


def arguments_given(function: Function, call: Call) -> list[Argument]:
    """Return those of a function's arguments that a call gives by their names."""
    return [argument for argument in function.arguments if (argument.name or "") in call.names]


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
    return None if function.columns else rows_of(catalogue, base_of(catalogue, function.returns))


def medium(catalogue: Catalogue, function: Function) -> Medium | None:
    """Return the media type of a function's one value: the name of the domain that it returns, which has a slash."""
    named = _ROWS.fullmatch(function.returns)
    if named is None or function.returns_set or "/" not in named["name"]:
        return None
    return Medium(_unquoted(named["name"]), base_of(catalogue, function.returns))


def base_of(catalogue: Catalogue, type_name: str) -> str:
    """Return the type that a domain is at bottom, any other type as it is."""
    named = _ROWS.fullmatch(type_name)
    if named is None:
        return type_name
    schema = "public" if named["schema"] is None else _unquoted(named["schema"])
    domain = catalogue.domains.get((schema, _unquoted(named["name"])))
    return type_name if domain is None else base_of(catalogue, domain.type)


def rows_of(catalogue: Catalogue, type_name: str) -> Table | None:
    """Return the table or view whose rows are of a type, None for any other type."""
    named = _ROWS.fullmatch(type_name)
    if named is None:
        return None
    schema, name = named["schema"], named["name"]
    return catalogue.table(_unquoted(name), "public" if schema is None else _unquoted(schema))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _takes(function: Function, given: set[str]) -> bool:
    names = {argument.name or "" for argument in function.arguments}
    wanted = {argument.name or "" for argument in function.arguments if _is_required(argument)}
    return wanted <= given <= names


def _is_required(argument: Argument) -> bool:
    return argument.default is None and not argument.variadic
