"""`Records` over a database: look the plan up, bind the values, run the statement."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, Function, Table
from kernel.contracts.database import (
    Compiled,
    Database,
    DatabaseError,
    Params,
    RequestSettings,
    Row,
    Transaction,
)
from kernel.contracts.queries import Call, Delete, Explain, Insert, Select, Update
from kernel.contracts.records import (
    Called,
    Medium,
    Page,
    Records,
    UnknownTable,
    Unsupported,
    Written,
)
from kernel.identity import Identity
from plugins.records.batches import batches
from plugins.records.compiling.calls import as_json, compile_call, given
from plugins.records.compiling.compiler import Compiler
from plugins.records.compiling.statement import Statement
from plugins.records.dialects.dialect import Dialect
from plugins.records.dialects.postgresql import PostgreSQL
from plugins.records.dialects.sqlite import SQLite
from plugins.records.functions import medium, resolve
from plugins.records.hooks import AnyWrite, WriteHooks
from plugins.records.plans import Plan, PlanCache, Plans
from plugins.records.procedures import Procedures, Reading
from plugins.records.refusals import Query, hinting
from plugins.records.similarity import SURE, nearest
from plugins.records.streams import begun
from plugins.records.tally import Tally, check_count, explained
from plugins.records.templates import template

Run = Callable[[str | Compiled, Params], list[Row]]

_DIALECTS: dict[str, Callable[[], Dialect]] = {"sqlite": SQLite, "postgresql": PostgreSQL}

_ANONYMOUS = Identity("anon")
_NULL = msgspec.Raw(b"null")
_decode_row = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode


class TableRecords:
    """The `Records` contract on one database; `hooks` are those of writes, `procedures` the functions in Python."""

    def __init__(self, database: Database, kept: Plans, hooks: WriteHooks, procedures: Procedures) -> None:
        self.database = database
        self.kept = kept
        self.hooks = hooks
        self.procedures = procedures
        self.settings: RequestSettings | None = None

    def under(self, settings: RequestSettings) -> Records:
        """Return these records for one request."""
        records = object.__new__(type(self))
        records.__dict__.update(self.__dict__, settings=settings)
        return records

    def table(self, table: str, schema: str, identity: Identity | None) -> Table:
        """Return what the catalogue says of a table on which the identity has any right."""
        found = self._table(table, schema)
        _check_any_right(found, _caller(identity).role, self.database.catalogue)
        return found

    def _table(self, table: str, schema: str) -> Table:
        catalogue = self.database.catalogue
        found = catalogue.table(table, schema)
        if found is None:
            names = [name for in_schema, name in catalogue.tables if in_schema == schema]
            raise UnknownTable(schema, table, nearest(table, names, least=SURE))
        return found

    @hinting
    def read(self, query: Select, identity: Identity | None, *, inline: bool = False) -> Page:
        """Answer `query` with one statement."""
        caller = _caller(identity)
        shape, values = template(query)
        plan = self._plan(shape, values, caller, lambda compiler: compiler.select(shape))
        params = plan.params(values)
        if query.offset > 0:
            params["offset"] = query.offset
        run = self.reading(caller, inline=inline)
        if query.explain is not None:
            return Page(explained(run(self._explaining(query.explain, plan), params)), 1)
        row = run(plan.statement, params)[0]
        if (check := plan.check_for(row[0])) is not None:
            run(check, params)
        return Page(row[1].encode(), row[0], plan.total(query, row, lambda statement: run(statement, params)))

    @hinting
    def stream(self, query: Select, identity: Identity | None) -> Iterator[list[str]]:
        """Answer `query` with one statement that tells its rows while it runs."""
        caller = _caller(identity)
        shape, values = template(query)
        key = ("stream", caller.role, shape)
        plan = self._plan_by(key, values, lambda: self._compiler(shape, caller).stream(shape))
        params = plan.params(values)
        if query.offset > 0:
            params["offset"] = query.offset
        if plan.check is not None:
            self.reading(caller)(plan.check, params)
        return begun([row[0] for row in rows] for rows in self.streaming(plan.statement, params, caller))

    def function(self, call: Call, identity: Identity | None) -> Function:
        """Return the function that a call means."""
        return resolve(self.database.catalogue, call, self.procedures.functions)

    def medium(self, function: Function) -> Medium | None:
        """Return the media type that a function declares."""
        return medium(self.database.catalogue, function)

    def callable(self, schema: str, identity: Identity | None) -> tuple[Function, ...]:
        """Return the functions in Python that the identity may call."""
        return self.procedures.allowed(schema, _caller(identity).role, self.database.catalogue)

    @hinting
    def call(self, call: Call, identity: Identity | None) -> Called:
        """Call a function and return what is wanted of its rows."""
        caller, function = _caller(identity), self.function(call, identity)
        is_python = function.language == "python"
        if is_python:
            self.procedures.check(function, call, caller.role, self.database.catalogue)
        if call.read_only or function.volatility != "volatile":
            reader = self.reader(caller) if is_python else None
            return self._called(call, function, caller, self.reading(caller), reader)
        with self.transaction(call, caller) as transaction:
            return self._called(call, function, caller, transaction.query, transaction if is_python else None)

    def _called(
        self,
        call: Call,
        function: Function,
        caller: Identity,
        run: Run,
        transaction: Transaction | None,
    ) -> Called:
        """Call a function: one in Python with a transaction."""
        catalogue = self.database.catalogue
        shape, values = template(call)
        plan = self._plan_by(
            (caller.role, shape),
            values,
            lambda: compile_call(self._statement(caller), shape, function, catalogue),
        )
        params = {**plan.params(values), "arguments": call.arguments}
        if call.offset > 0:
            params["offset"] = call.offset
        if call.explain is not None:
            return Called(explained(run(self._explaining(call.explain, plan), params)), 1, single=True)
        if transaction is not None:
            params["rows"] = self.procedures.rows(function, call, caller, transaction)
        elif plan.first is not None:
            params["rows"] = as_json(function, catalogue, run(plan.first, given(function, call)))
        row = run(plan.statement, params)[0]
        if (check := plan.check_for(row[0])) is not None:
            run(check, params)
        total = (row[2] if len(row) > 2 else row[0]) if call.counted else None
        body = row[1].encode()
        if function.returns_set:
            check_count(row[0], call.single, call.max_affected)
            return Called(body, row[0], total)
        return Called(body[1:-1], row[0], total, single=True, is_void=function.returns == "void")

    @hinting
    def insert(self, insert: Insert, identity: Identity | None) -> Written:
        """Write new rows, all or none."""
        caller = _caller(identity)
        written = Tally(insert.returning is not None)
        inserted = True
        with self.transaction(insert, caller) as transaction:
            insert = self.hooks.before(insert, caller, transaction)
            for batch in batches(insert):
                self._refuse_null_numbers(batch, batch.rows)
                inserted = self._has_new(batch, caller, transaction) or written.count > 0
                given = {"rows": batch.rows} if batch.columns else {}
                for _ in range(1 if batch.columns else batch.size):
                    self._write(batch, _inserting, given, caller, transaction, written)
            written.finish(transaction, insert.single, None)
            self.hooks.after(insert, written.whole, written.count, caller, transaction)
        return written.result(inserted)

    @hinting
    def update(self, update: Update, identity: Identity | None) -> Written:
        """Change rows, all or none."""
        caller = _caller(identity)
        written = Tally(update.returning is not None)
        if update.columns:
            with self.transaction(update, caller) as transaction:
                update = self.hooks.before(update, caller, transaction)
                row = self._with_defaults(update, caller) if update.defaults else update.values
                self._refuse_null_numbers(update, f"[{row}]")
                self._write(update, _updating, {"row": row}, caller, transaction, written)
                written.finish(transaction, update.single, update.max_affected)
                self.hooks.after(update, written.whole, written.count, caller, transaction)
        else:
            written.check(update.single, update.max_affected)
        return written.result()

    @hinting
    def delete(self, delete: Delete, identity: Identity | None) -> Written:
        """Delete rows, all or none."""
        caller = _caller(identity)
        written = Tally(delete.returning is not None)
        with self.transaction(delete, caller) as transaction:
            delete = self.hooks.before(delete, caller, transaction)
            self._write(delete, _deleting, {}, caller, transaction, written)
            written.finish(transaction, delete.single, delete.max_affected)
            self.hooks.after(delete, written.whole, written.count, caller, transaction)
        return written.result()

    def _write(
        self,
        write: AnyWrite,
        compile_: Callable[[Compiler, AnyWrite], Plan],
        given: Params,
        caller: Identity,
        transaction: Transaction,
        written: Tally,
    ) -> None:
        """Run the one statement of a write; where hooks want its rows, it returns them if the caller may read them."""
        shape, values = template(write)
        if self.hooks.takes_rows and write.explain is None:
            with _unless_forbidden(), transaction.savepoint():
                plan = self._plan_by(
                    ("whole", caller.role, shape),
                    values,
                    lambda: compile_(self._compiler(shape, caller, whole=True), shape),
                )
                written.run(transaction, plan, {**plan.params(values), **given}, whole=True)
                return
        plan = self._plan(shape, values, caller, lambda compiler: compile_(compiler, shape))
        if write.explain is not None:
            statement = self._explaining(write.explain, plan)
            written.explain(transaction.query(statement, {**plan.params(values), **given}))
            return
        written.run(transaction, plan, {**plan.params(values), **given})

    @contextmanager
    def transaction(self, write: Insert | Update | Delete | Call, caller: Identity) -> Iterator[Transaction]:
        """Begin the transaction of a write, and undo it at its end if that is wanted."""
        with self.writing(caller) as transaction:
            yield transaction
            if write.undo or (write.explain is not None and "analyze" not in write.explain.options):
                transaction.undo()

    def reading(self, caller: Identity, *, inline: bool = False) -> Run:
        """Return what runs a statement that reads."""
        return functools.partial(self.database.query, identity=caller, inline=inline, settings=self.settings)

    def streaming(self, statement: Compiled, params: Params, caller: Identity) -> Iterator[list[Row]]:
        """Run a statement that reads, and yield its rows."""
        return self.database.stream(statement, params, identity=caller, settings=self.settings)

    def reader(self, caller: Identity) -> Transaction:
        """Return what a function in Python reads by."""
        return Reading(self.database, caller)

    def writing(self, caller: Identity) -> AbstractContextManager[Transaction]:
        """Begin the transaction of a write."""
        return self.database.transaction(caller, self.settings)

    @contextmanager
    def together(self, identity: Identity | None) -> Iterator[Records]:
        """Begin a transaction that all methods of the yielded records share."""
        with self.writing(_caller(identity)) as transaction:
            yield self.within(transaction, identity)

    def within(self, transaction: Transaction, identity: Identity | None) -> Records:
        """Return records whose methods all share a transaction."""
        from plugins.records.together import RecordsTogether

        return RecordsTogether(self, transaction, _caller(identity))

    def _refuse_null_numbers(self, write: Insert | Update, rows: str) -> None:
        """Refuse null for a column that numbers its rows by itself: an engine may take it for "the next one"."""
        table = self._table(write.table, write.schema)
        numbered = [name for name in write.columns if name in table.columns and table.columns[name].numbered]
        if not numbered:
            return
        for row in _decode_rows(rows):
            for name in numbered:
                if bytes(row.get(name, _NULL)) == b"null":
                    message = f'null value in column "{name}" of relation "{table.name}" violates not-null constraint'
                    raise DatabaseError(message, sqlstate="23502", table=table.name, column=name)

    def _with_defaults(self, update: Update, caller: Identity) -> str:
        """Return the values with the default of each column that they lack."""
        values = _decode_row(update.values)
        columns = self._table(update.table, update.schema).columns
        for name in update.columns:
            column = columns[name]
            if name in values:
                continue
            if column.numbered:
                raise Unsupported(f"The column '{name}' numbers rows as they are inserted; an update cannot.")
            if column.default is not None:
                values[name] = self._default(column, caller)
        return _encode(values).decode()

    def _default(self, column: Column, caller: Identity) -> msgspec.Raw:
        """Return a column's default as JSON; text will do for every type but JSON itself."""
        ((value,),) = self.database.query(f"select cast({column.default} as {column.type})", identity=caller)
        if isinstance(value, bytes):
            value = f"\\x{value.hex()}"
        if value is None or column.type in ("json", "jsonb"):
            return msgspec.Raw(b"null" if value is None else value.encode())
        return msgspec.Raw(_encode(str(value)))

    def _has_new(self, insert: Insert, caller: Identity, transaction: Transaction) -> bool:
        if insert.conflict is None or insert.conflict.action != "merge" or not insert.columns:
            return True
        plan = self._compiler(insert, caller).has_new(insert)
        return plan is None or bool(transaction.query(plan.statement, {"rows": insert.rows})[0][0])

    def _plan(
        self, shape: Query, values: list[Any], caller: Identity, compile_: Callable[[Compiler], Plan]
    ) -> Plan:
        return self._plan_by((caller.role, shape), values, lambda: compile_(self._compiler(shape, caller)))

    def _plan_by(self, key: Hashable, values: list[Any], compile_: Callable[[], Plan]) -> Plan:
        plans = self.plans()
        plan = plans.get(key)
        if plan is None:
            plan = compile_()
            # A shape that is very large hardly comes again.
            if len(values) <= plans.LARGEST:
                plans.put(key, plan)
        return plan

    def plans(self) -> PlanCache:
        """Return the plans for the catalogue as it is now."""
        return self.kept.of(self.database.catalogue)

    def _compiler(self, query: Query, caller: Identity, *, whole: bool = False) -> Compiler:
        return Compiler(self._statement(caller), self._table(query.table, query.schema), whole=whole)

    def _explaining(self, how: Explain, plan: Plan) -> Compiled:
        return plan.explained(_DIALECTS[self.database.engine]().explaining(how))

    def _statement(self, caller: Identity) -> Statement:
        dialect = _DIALECTS[self.database.engine]()
        return Statement(self.database, dialect, self.plans().relationships, caller.role)


def _inserting(compiler: Compiler, insert: Insert) -> Plan:
    return compiler.insert(insert)


def _updating(compiler: Compiler, update: Update) -> Plan:
    return compiler.update(update)


def _deleting(compiler: Compiler, delete: Delete) -> Plan:
    return compiler.delete(delete)


@contextmanager
def _unless_forbidden() -> Iterator[None]:
    """Let the block be left where a right is missing."""
    try:
        yield
    except DatabaseError as error:
        if error.sqlstate != "42501":
            raise


def _caller(identity: Identity | None) -> Identity:
    return _ANONYMOUS if identity is None else identity


def _check_any_right(table: Table, role: str, catalogue: Catalogue) -> None:
    """Raise `DatabaseError` (42501) for a role that may do nothing at all with a table."""
    known = catalogue.roles.get(role)
    if known is None:
        raise DatabaseError(f'role "{role}" does not exist', sqlstate="22023")
    if known.unrestricted or role == "service_role":
        return
    acting = catalogue.acting_as(role)
    if not any(grant.role in acting for grant in table.grants):
        raise DatabaseError(
            f"permission denied for {table.kind} {table.name}", sqlstate="42501", table=table.name
        )
