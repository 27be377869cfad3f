"""The errors that a value is refused with, in PostgreSQL's words."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError


def invalid_syntax(type_name: str, text: object, sqlstate: str = "22P02") -> DatabaseError:
    """Return the error for text that does not read as a value of `type_name`."""
    return DatabaseError(f'invalid input syntax for type {type_name}: "{text}"', sqlstate=sqlstate)


def out_of_range(type_name: str, text: object | None = None) -> DatabaseError:
    """Return the error for a number outside its type's range; `text` where it was read from a literal."""
    if text is None:
        return DatabaseError(f"{type_name} out of range", sqlstate="22003")
    return DatabaseError(f'value "{text}" is out of range for type {type_name}', sqlstate="22003")


def unsupported(feature: str, hint: str | None = None) -> DatabaseError:
    """Return the refusal of something PostgreSQL has and SQLite does not."""
    return DatabaseError(f"{feature} is not supported on SQLite", sqlstate="0A000", hint=hint)
