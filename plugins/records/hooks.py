"""The hooks of a write as the service calls them: not at all where nobody implements them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from kernel.contracts.database import DatabaseError, Transaction
from kernel.contracts.queries import Delete, Insert, Update
from kernel.events import Veto
from kernel.identity import Identity

AnyWrite = TypeVar("AnyWrite", Insert, Update, Delete)

VETOED = "P0001"
"""The SQLSTATE of what a plugin refuses: that of a trigger's ``raise exception``."""

_decode_row = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_decode_rows = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class WriteHooks:
    """The implementations of the write's hooks that one kernel has; `callers` are pluggy's."""

    def __init__(self, callers: Any) -> None:
        self._before, self._after = callers.records_before_write, callers.records_after_write
        after = self._after.get_hookimpls()
        self._has_before, self._has_after = bool(self._before.get_hookimpls()), bool(after)
        self.takes_rows = any("rows" in implementation.argnames for implementation in after)

    def before(self, write: AnyWrite, caller: Identity, transaction: Transaction) -> AnyWrite:
        """Return a write as the hooks have changed it."""
        if not self._has_before or _is_nothing(write):
            return write
        rows = _rows_of(write)
        names = {name for row in rows for name in row}
        with _refusing():
            self._before(write=write, rows=rows, identity=caller, transaction=transaction)
        if isinstance(write, Insert):
            return msgspec.structs.replace(
                write, columns=_columns(write.columns, names, rows), rows=_text(rows), size=len(rows)
            )
        if isinstance(write, Update):
            return msgspec.structs.replace(
                write, columns=_columns(write.columns, names, rows), values=_text(rows[0])
            )
        return write

    def after(
        self,
        write: Insert | Update | Delete,
        rows: Iterable[str] | None,
        count: int,
        caller: Identity,
        transaction: Transaction,
    ) -> None:
        """Tell the hooks what a write did; `rows` are JSON objects."""
        if self._has_after and not _is_nothing(write):
            told = None if rows is None else _decode_rows(f"[{','.join(rows)}]")
            with _refusing():
                self._after(write=write, rows=told, count=count, identity=caller, transaction=transaction)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Veto as veto:
        raise DatabaseError(veto.reason, sqlstate=VETOED) from veto


def _is_nothing(write: Insert | Update | Delete) -> bool:
    return isinstance(write, Insert) and not write.size


def _rows_of(write: Insert | Update | Delete) -> list[dict[str, Any]]:
    """Return what a write gives to the columns that it writes."""
    if isinstance(write, Delete):
        return []
    if isinstance(write, Update):
        rows = [_decode_row(write.values)]
    elif write.columns:
        rows = _decode_rows(write.rows)
    else:
        rows = [{} for _ in range(write.size)]
    return [{name: row[name] for name in write.columns if name in row} for row in rows]


def _columns(before: tuple[str, ...], had: set[str], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the columns to write: as before, without those that all rows have lost, and with those they have got."""
    has = dict.fromkeys(name for row in rows for name in row)
    kept = tuple(name for name in before if name in has or name not in had)
    return kept + tuple(name for name in has if name not in before)


def _text(value: Any) -> str:
    return _encode(value).decode()
