"""Procedures: the functions in Python of one kernel, called with the caller's rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from kernel.contracts.catalogue import Argument, Catalogue, Function
from kernel.contracts.database import NO_PARAMS, Compiled, Database, DatabaseError, Params, Row, Transaction
from kernel.contracts.procedures import Procedure
from kernel.contracts.queries import Call
from kernel.errors import HookError
from kernel.events import Event, Veto
from kernel.identity import Identity
from plugins.records.hooks import VETOED
from plugins.records.signatures import Signature, signature

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode


class Procedures:
    """All that plugins have registered."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], tuple[Function, ...]] = {}
        self._found: dict[Function, tuple[Procedure, Signature]] = {}

    def add(self, owner: str, procedure: Procedure) -> None:
        """Register a plugin's procedure; raises `HookError` where it cannot be called, or another is called so."""
        try:
            known = signature(procedure)
        except (TypeError, NameError) as error:
            raise HookError(f"plugin {owner!r}: {error}") from error
        function = known.function
        key, names = (function.schema, function.name), _names(function)
        others = self.functions.get(key, ())
        if any(_names(other) == names for other in others):
            raise HookError(
                f"plugin {owner!r}: there is another procedure {key[0]}.{key[1]}({', '.join(names)})"
            )
        self.functions[key] = (*others, function)
        self._found[function] = (procedure, known)

    def allowed(self, schema: str, role: str, catalogue: Catalogue) -> tuple[Function, ...]:
        """Return those of a schema that a role may call."""
        return tuple(
            function
            for function, (procedure, _) in self._found.items()
            if function.schema == schema and _may(procedure, role, catalogue)
        )

    def check(self, function: Function, call: Call, role: str, catalogue: Catalogue) -> None:
        """Raise `DatabaseError` where a role may not call a function (42501), or not so that it only reads (25006)."""
        procedure, _ = self._found[function]
        if not _may(procedure, role, catalogue):
            hint = f"To allow it: have its plugin name {role} among the roles of the procedure."
            raise DatabaseError(
                f"permission denied for function {function.name}", sqlstate="42501", hint=hint
            )
        if call.read_only and function.volatility == "volatile":
            raise DatabaseError(
                f"cannot execute {function.name}() in a read-only transaction", sqlstate="25006"
            )

    def rows(self, function: Function, call: Call, caller: Identity, transaction: Transaction) -> str:
        """Call a function, and return what it returned as a JSON array of objects; raises `DatabaseError`."""
        procedure, known = self._found[function]
        arguments = _arguments(known, call)
        given = {"transaction": transaction, "identity": caller}
        try:
            result = procedure.call(**arguments, **{name: given[name] for name in known.given})
            return _rows(function, result)
        except Veto as veto:
            raise DatabaseError(veto.reason, sqlstate=VETOED) from veto


class Reading:
    """A `Transaction` that only reads, each statement by itself."""

    def __init__(self, database: Database, identity: Identity | None) -> None:
        self._database = database
        self._identity = identity

    def query(self, statement: str | Compiled, params: Params = NO_PARAMS) -> list[Row]:
        """Run one statement and return its rows."""
        return self._database.query(statement, params, identity=self._identity)

    def execute(self, statement: str | Compiled, params: Params = NO_PARAMS) -> int:
        """Run one statement and return how many rows it returned."""
        return len(self.query(statement, params))

    def script(self, sql: str) -> None:
        """Refuse: a script is there to write."""
        raise DatabaseError("cannot execute a script in a read-only transaction", sqlstate="25006")

    def publish(self, event: Event) -> None:
        """Refuse: nothing will have happened."""
        raise DatabaseError("cannot publish an event in a read-only transaction", sqlstate="25006")

    def undo(self) -> None:
        """Do nothing: there is nothing to undo."""

    def on_behalf_of(self, identity: Identity | None) -> Transaction:
        """Return one with another's rights."""
        return Reading(self._database, identity)

    def savepoint(self) -> AbstractContextManager[None]:
        """Give a block in which there is nothing to undo."""
        return nullcontext()


def _names(function: Function) -> tuple[str, ...]:
    return tuple(sorted(argument.name or "" for argument in function.arguments))


def _may(procedure: Procedure, role: str, catalogue: Catalogue) -> bool:
    known = catalogue.roles.get(role)
    if known is None:
        raise DatabaseError(f'role "{role}" does not exist', sqlstate="22023")
    if known.unrestricted or role == "service_role":
        return True
    return not catalogue.acting_as(role).isdisjoint(procedure.roles)


def _arguments(known: Signature, call: Call) -> dict[str, Any]:
    text = _documents(known.function.arguments, call.arguments) if call.texts else call.arguments
    try:
        given = msgspec.json.decode(text, type=known.arguments, strict=False)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DatabaseError(
            f"invalid argument of function {known.function.name}: {error}", sqlstate="22P02"
        ) from error
    found = {name: getattr(given, name) for name in known.arguments.__struct_fields__}
    return {name: value for name, value in found.items() if value is not msgspec.UNSET}


def _documents(arguments: Iterable[Argument], text: str) -> str:
    """Have the texts of a query string be JSON where the argument is."""
    kinds = {argument.name: argument.type for argument in arguments}
    members: Mapping[str, Any] = {
        name: msgspec.Raw(value.encode()) if kinds[name] == "jsonb" or kinds[name].endswith("[]") else value
        for name, value in _decode_texts(text).items()
    }
    return _encode(members).decode()


def _rows(function: Function, result: Any) -> str:
    values = list(result) if function.returns_set else [result]
    if function.columns:
        return _encode([{} if value is None else value for value in values]).decode()
    return _encode([{function.name: value} for value in values]).decode()
