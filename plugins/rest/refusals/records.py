"""What the records refuse: names and relationships that are not there, and what an engine cannot do."""

from __future__ import annotations

from kernel.contracts.catalogue import Function
from kernel.contracts.database import DatabaseError
from kernel.contracts.records import (
    AmbiguousFunction,
    AmbiguousRelationship,
    NoRelationship,
    NotEmbedded,
    NotToOne,
    RecordsError,
    TooManyAffected,
    UnknownColumn,
    UnknownFunction,
    UnknownTable,
    Unsupported,
    WrongCount,
)
from kernel.contracts.relationships import Relationship, Side
from kernel.identity import Identity
from plugins.rest.errors import RestError, not_embedded, not_implemented
from plugins.rest.refusals.database import of_database


def translate(error: RecordsError | DatabaseError, identity: Identity | None) -> RestError:
    """Say in PostgREST's words what the records or the database refused."""
    match error:
        case DatabaseError():
            return of_database(error, identity)
        case UnknownTable():
            hint = (
                f"Perhaps you meant the table '{error.schema}.{error.suggestion}'"
                if error.suggestion
                else None
            )
            message = f"Could not find the table '{error.schema}.{error.table}' in the schema cache"
            return RestError(404, "PGRST205", message, hint=hint)
        case UnknownColumn():
            message = f"Could not find the '{error.column}' column of '{error.table}' in the schema cache"
            return RestError(400, "PGRST204", message)
        case NoRelationship():
            return _no_relationship(error)
        case AmbiguousRelationship():
            return _ambiguous(error)
        case NotEmbedded():
            return not_embedded(error.name)
        case NotToOne():
            message = f"A related order on '{error.relation}' is not possible"
            details = (
                f"'{error.table}' and '{error.relation}' do not form a many-to-one or one-to-one relationship"
            )
            return RestError(400, "PGRST118", message, details)
        case WrongCount():
            message = "Cannot coerce the result to a single JSON object"
            return RestError(406, "PGRST116", message, f"The result contains {error.count} rows")
        case TooManyAffected():
            message = "Query result exceeds max-affected preference constraint"
            return RestError(400, "PGRST124", message, f"The query affects {error.count} rows")
        case UnknownFunction() | AmbiguousFunction():
            return _function(error)
        case Unsupported():
            return not_implemented(str(error))
    raise error


def _no_relationship(error: NoRelationship) -> RestError:
    between = f"between '{error.table}' and '{error.relation}'"
    message = f"Could not find a relationship {between} in the schema cache"
    using = f" using the hint '{error.hint}'" if error.hint is not None else ""
    details = (
        f"Searched for a foreign key relationship {between}{using} in the schema '{error.schema}', "
        "but no matches were found."
    )
    meant = error.suggestion
    hint = None if meant is None else f"Perhaps you meant '{meant}' instead of '{error.instead_of}'."
    return RestError(400, "PGRST200", message, details, hint)


def _ambiguous(error: AmbiguousRelationship) -> RestError:
    name = error.relation
    message = f"Could not embed because more than one relationship was found for '{error.table}' and '{name}'"
    ways = ", ".join(f"'{found.target}!{_telling(found)}'" for found in error.candidates)
    hint = (
        f"Try changing '{name}' to one of the following: {ways}. "
        "Find the desired relationship in the 'details' key."
    )
    return RestError(300, "PGRST201", message, [_described(found) for found in error.candidates], hint)


def _function(error: UnknownFunction | AmbiguousFunction) -> RestError:
    return _no_function(error) if isinstance(error, UnknownFunction) else _ambiguous_function(error)


def _no_function(error: UnknownFunction) -> RestError:
    name, names = f"{error.schema}.{error.function}", ", ".join(sorted(error.names))
    whole = f"a single unnamed {'json/jsonb' if error.whole == 'json' else error.whole} parameter"
    given, searched = f"({names})", f" with parameter{'s' if len(error.names) > 1 else ''} {names}"
    if not error.names:
        given = searched = " without parameters"
    if error.whole == "json":
        searched += f" or with {whole}"
    elif error.whole is not None:
        given, searched = "", f" with {whole}"
    details = f"Searched for the function {name}{searched}, but no matches were found in the schema cache."
    hint = None
    if error.suggestion is not None:
        hint = f"Perhaps you meant to call the function {error.schema}.{error.suggestion}"
    message = f"Could not find the function {name}{given} in the schema cache"
    return RestError(404, "PGRST202", message, details, hint)


def _ambiguous_function(error: AmbiguousFunction) -> RestError:
    candidates = ", ".join(map(_signature, error.candidates))
    message = f"Could not choose the best candidate function between: {candidates}"
    hint = (
        "Try renaming the parameters or the function itself in the database "
        "so function overloading can be resolved"
    )
    return RestError(300, "PGRST203", message, hint=hint)


def _signature(function: Function) -> str:
    arguments = (f"{argument.name or ''} => {argument.type}" for argument in function.arguments)
    return f"{function.schema}.{function.name}({', '.join(arguments)})"


def _telling(found: Relationship) -> str:
    """Return the hint that tells one relationship from others: its foreign key, or the table between."""
    return found.junction.table if found.junction is not None else _side(found).constraint


def _described(found: Relationship) -> dict[str, str]:
    if found.junction is not None:
        near, far = found.junction.near, found.junction.far
        how = (
            f"{found.junction.table} using {near.constraint}{_listed(near.columns)} "
            f"and {far.constraint}{_listed(far.columns)}"
        )
    else:
        side = _side(found)
        how = (
            f"{side.constraint} using {found.table}{_listed(side.columns)} "
            f"and {found.target}{_listed(side.related_columns)}"
        )
    embedding = f"{found.table} with {found.target}"
    return {"cardinality": found.cardinality, "relationship": how, "embedding": embedding}


def _side(found: Relationship) -> Side:
    assert found.side is not None  # noqa: S101 - the contract: one of the two is there
    return found.side


def _listed(columns: tuple[str, ...]) -> str:
    return f"({', '.join(columns)})"
