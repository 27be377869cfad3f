"""The handler of imports: all rows of a large body in one transaction, or what is wrong with which of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from kernel.contracts.database import Database, DatabaseError, Transaction
from kernel.contracts.queries import Insert
from kernel.contracts.records import Records
from kernel.http import Request, Response, Upload
from kernel.identity import Identity
from plugins.rest.errors import RestError, bad_body, not_implemented
from plugins.rest.idempotency import HEADER
from plugins.rest.imports.reading import Line, csv_rows, json_lines
from plugins.rest.language.query import QueryParser
from plugins.rest.negotiation.terms import Negotiator
from plugins.rest.payload import Row, checked, media_type, refuse_encoding
from plugins.rest.refusals.records import translate
from plugins.rest.routes import answering
from plugins.rest.writes import VARY, Write

MOST_TOLD = 100
"""After how many faults an import gives up."""

_ROWS_AT_ONCE = 500
_READERS: dict[str, Callable[[BinaryIO, Collection[str]], Iterator[Line]]] = {
    "text/csv": csv_rows,
    "application/x-ndjson": json_lines,
}
# What is wrong with a row, and not with the table, the caller or the database: values, constraints, triggers, views.
_OF_A_ROW = ("22", "23", "44", "P0")
_POLICY = "new row violates row-level security policy"

Numbered = list[tuple[int, Row]]


class Imports:
    """The method on a table."""

    def __init__(
        self, database: Database, records: Records, parser: QueryParser, negotiator: Negotiator
    ) -> None:
        self.negotiator = negotiator
        self._database = database
        self._records = records
        self._parser = parser

    @answering
    def run(self, request: Request, table: str, body: Upload) -> Response:
        """POST: insert or upsert all rows, or none and say why."""
        if request.headers.get(HEADER) is not None:
            raise not_implemented("An import takes no Idempotency-Key; import by a key of the table's.")
        refuse_encoding(request)
        read = _READERS.get(media_type(request))
        if read is None:
            raise bad_body(f"an import is {' or '.join(_READERS)}, not {media_type(request)}")
        terms = self.negotiator.terms(request, "content-profile")
        query = self._parser.parse_write(request.query).query
        identity = request.identity or Identity("anon")
        found = self._records.table(table, terms.schema, identity)
        terms.watch.lap("parse")
        write = Write(found, query, terms)
        shape = Insert(
            table,
            query.columns or (),
            "[]",
            0,
            terms.schema,
            write.conflict(),
            terms.prefer.missing == "default",
        )
        with self._database.transaction(identity, terms.settings) as transaction:
            records = self._records.within(transaction, identity)
            taken = _Import(records, transaction, identity, shape, query.columns)
            documents = [column.name for column in found.columns.values() if column.type in ("json", "jsonb")]
            taken.take(read(body.file, documents))
            if terms.undo:
                transaction.undo()
        terms.watch.lap("transaction")
        headers = [
            *terms.profile,
            *terms.prefer.applied("missing", *(("resolution",) if shape.conflict else ())),
            VARY,
            ("content-type", "application/json; charset=utf-8"),
        ]
        return terms.answer(msgspec.json.encode({"rows": taken.count}), 201, headers)


class _Import:
    """Writes rows as `shape` says, within a transaction; `columns` are what the client wants written of them."""

    def __init__(
        self,
        records: Records,
        transaction: Transaction,
        identity: Identity,
        shape: Insert,
        columns: tuple[str, ...] | None,
    ) -> None:
        self.count = 0
        self._records = records
        self._transaction = transaction
        self._identity = identity
        self._shape = shape
        self._columns = columns
        self._faults: list[dict[str, Any]] = []

    def take(self, lines: Iterator[Line]) -> None:
        """Write all rows; raises `RestError` with the faults that were found, line by line."""
        while some := list(islice(lines, _ROWS_AT_ONCE)):
            rows: Numbered = []
            for number, row in some:
                if isinstance(row, RestError):
                    self._fault(number, row)
                else:
                    rows.append((number, row))
            if rows:
                self._columns = self._columns or tuple(rows[0][1])
                self._write(rows)
            if len(self._faults) >= MOST_TOLD:
                break
        if self._faults:
            raise self._refusal()

    def _write(self, rows: Numbered) -> None:
        """Write rows; where that fails, halve them until it is known which are at fault."""
        try:
            with self._transaction.savepoint():
                self.count += self._insert([row for _, row in rows])
        except (RestError, DatabaseError) as error:
            refusal = error if isinstance(error, RestError) else translate(error, self._identity)
            if isinstance(error, DatabaseError) and not _is_of_a_row(error):
                raise
            if len(rows) == 1:
                self._fault(rows[0][0], refusal)
                return
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                if len(self._faults) < MOST_TOLD:
                    self._write(half)

    def _insert(self, rows: list[Row]) -> int:
        columns = self._columns or ()
        if self._shape.columns == () and any(row.keys() != set(columns) for row in rows):
            raise bad_body("the row has other members than the first; name the columns to write as ?columns=")
        payload = checked(rows, columns)
        insert = msgspec.structs.replace(
            self._shape, columns=payload.columns, rows=payload.text, size=len(rows)
        )
        return self._records.insert(insert, self._identity).count

    def _fault(self, line: int, error: RestError) -> None:
        fault = {"line": line, "code": error.code, "message": error.message, "details": error.details}
        self._faults.append({name: value for name, value in fault.items() if value is not None})

    def _refusal(self) -> RestError:
        faults = sorted(self._faults, key=lambda fault: int(fault["line"]))
        told = f"{len(faults)} lines" if len(faults) > 1 else "1 line"
        message = f"{told} cannot be imported; nothing was"
        hint = None
        if len(faults) >= MOST_TOLD:
            hint = f"There may be more: reading ended after {MOST_TOLD}."
        return RestError(400, "PGRST102", message, faults, hint)


def _is_of_a_row(error: DatabaseError) -> bool:
    return error.sqlstate.startswith(_OF_A_ROW) or error.message.startswith(_POLICY)
