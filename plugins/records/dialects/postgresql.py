"""PostgreSQL's SQL: rows are read from JSON as records of the table's types, and written as JSON piece by piece."""

from __future__ import annotations

from collections.abc import Container

from kernel.contracts.catalogue import Argument, Function, Table
from kernel.contracts.queries import Call, Explain, Step
from kernel.contracts.rights import Rights
from plugins.records.dialects.dialect import Assignment, Called, Dialect, Member, Upsert, fill
from plugins.records.functions import arguments_given

# What a body is read into; a table with this name could still be told from it by its schema.
_GIVEN = '".given"'
_ARGUMENTS = '".arguments"'
_CALLED = '".called"'


class PostgreSQL(Dialect):
    """The dialect of PostgreSQL; see `Dialect`."""

    everything = "ALL"
    explain = "EXPLAIN (FORMAT JSON)"
    locks = " FOR UPDATE"

    def alias(self, table: Table) -> str:
        """Return the table's name without its schema."""
        return self.name(table.name)

    def json_path(self, steps: tuple[Step, ...]) -> str:
        """Return the text of the parameter that holds a path into JSON."""
        return "{" + ",".join(_step(step.key) for step in steps) + "}"

    def json_at(self, json: str, path: str) -> str:
        """Return the value at `path` (a parameter) inside `json`, as JSON."""
        return f"(to_jsonb({json}) #> {path}::text[])"

    def text_at(self, json: str, path: str, template: str | None) -> str:
        """Return the value at `path` (a parameter) inside `json`, as text."""
        document = f"to_jsonb({json})" if template is not None else json
        return f"({document} #>> {path}::text[])"

    def member_of(self, left: str, template: str, values: str) -> str:
        """Test whether `left` equals one of `values`; an array lets an index find them."""
        return f"{left} = ANY (ARRAY(SELECT {fill(template, 'e')} FROM {_elements(values)}))"

    def read_all(self, template: str, values: str) -> str:
        """Read every one of `values`, for the errors' sake."""
        return f"(SELECT count({fill(template, 'e')}) FROM {_elements(values)})"

    def any_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for any element of `values`."""
        found = "CASE WHEN bool_or(t) THEN true WHEN bool_or(t IS NULL) THEN NULL ELSE false END"
        return self._quantified(found, test, values)

    def all_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for all elements of `values`."""
        found = "CASE WHEN NOT bool_and(t) THEN false WHEN bool_or(t IS NULL) THEN NULL ELSE true END"
        return self._quantified(found, test, values)

    def key(self, value: str) -> str:
        """Write a value as text."""
        return f"({value})::text"

    def kept_key(self, place: int, type_name: str) -> str:
        """Read a key from text."""
        return f"(k ->> {place})::{type_name}"

    def sorting(self, terms: list[str]) -> str:
        """Sort what is in the parameter ``rows``."""
        rows = "json_array_elements(:rows::json) WITH ORDINALITY AS _(k, n)"
        return f"SELECT n - 1 FROM {rows} ORDER BY {', '.join(terms)}, n"

    def explaining(self, how: Explain) -> str:
        """Write EXPLAIN."""
        return f"EXPLAIN ({', '.join((f'FORMAT {how.format}', *how.options))})"

    def object(self, members: list[Member]) -> str:
        """Build a row's JSON object, as text."""
        return f"(SELECT row_to_json(_)::text FROM (SELECT {self._columns(members)}) _)"

    def page(self, members: list[Member], source: str, ending: str, counted: str | None) -> str:
        """Return one row: how many rows there are, their JSON array, and the number of those in `counted`."""
        total = "" if counted is None else f", (SELECT count(*) {counted})"
        rows = self._rows(members, source, ending)
        return f"SELECT count(*), coalesce(json_agg(_), '[]')::text{total} FROM {rows} _"

    def array(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON array of all rows."""
        return f"SELECT coalesce(json_agg(_), '[]') FROM {self._rows(members, source, ending)} _"

    def single(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON object of the one row there may be."""
        return f"SELECT row_to_json(_) FROM {self._rows(members, source, ending)} _"

    def values(self, member: Member, source: str, ending: str) -> str:
        """Select the JSON array of one member of all rows."""
        return f"SELECT coalesce(json_agg(v), '[]') FROM (SELECT {member.value} AS v {source}{ending}) _"

    def scalar(self, member: Member, source: str, ending: str) -> str:
        """Select one member of the one row there may be."""
        return f"SELECT {member.value} {source}{ending}"

    def groupable(self, member: Member) -> str:
        """Write finished JSON as text, which can be compared."""
        return f"({member.value})::text"

    def ungrouped(self, cell: str) -> str:
        """Return JSON again."""
        return f"{cell}::json"

    def _rows(self, members: list[Member], source: str, ending: str) -> str:
        return f"(SELECT {self._columns(members)} {source}{ending})"

    def _columns(self, members: list[Member]) -> str:
        return ", ".join(f"{member.value} AS {self.name(member.name)}" for member in members)

    def called(
        self,
        function: Function,
        call: Call,
        columns: list[Assignment],
        rows: Container[Argument],
        *,
        is_row: bool,
    ) -> Called:
        """Write a call whose arguments are read from JSON as a record of their types."""
        name = f"{self.name(function.schema)}.{self.name(function.name)}"
        taken = arguments_given(function, call)
        named = [argument for argument in taken if argument.name is not None]
        given = ""
        if call.whole is not None:
            arguments = f":arguments::{function.arguments[0].type}"
        else:
            arguments = ", ".join(self._argument(argument, call) for argument in taken)
        if named and call.whole is None:
            # A query string's values are read as any text is, those in JSON as JSON.
            typed = ", ".join(
                f"{self.name(one.name or '')} {'text' if call.texts and not one.variadic else _of_any_length(one.type)}"
                for one in named
            )
            given = f"json_to_record(:arguments::json) AS {_ARGUMENTS}({typed})"
        if not is_row:
            source = f" FROM {given}" if given else ""
            return Called(f"SELECT {name}({arguments}) AS {self.name(function.name)}{source}")
        before = f"{given}, " if given else ""
        return Called(f"SELECT {_CALLED}.* FROM {before}{name}({arguments}) AS {_CALLED}")

    def given(self, table: Table, columns: list[Assignment]) -> str:
        """Write a query of the rows in the parameter ``rows``."""
        return f"SELECT * FROM json_to_recordset(:rows::json) AS {self._given(table, columns)}"

    def each(self, member: Member, source: str, ending: str, counted: str | None) -> str:
        """Return what `page` does for rows that are one value each."""
        total = "" if counted is None else f", (SELECT count(*) {counted})"
        rows = f"(SELECT {member.value} AS v {source}{ending})"
        return f"SELECT count(*), coalesce(json_agg(v), '[]')::text{total} FROM {rows} _"

    def _argument(self, argument: Argument, call: Call) -> str:
        if argument.name is None:
            arrow = "->" if argument.type in ("json", "jsonb") and not call.texts else "->>"
            return f"(:arguments::json {arrow} '')::{argument.type}"
        name = self.name(argument.name)
        value = f"{_ARGUMENTS}.{name}"
        if call.texts and not argument.variadic:
            value = f"{value}::{_of_any_length(argument.type)}"
        return f"{'VARIADIC ' if argument.variadic else ''}{name} := {value}"

    def insert(
        self,
        table: Table,
        rights: Rights,
        columns: list[Assignment],
        upsert: Upsert | None,
        row: str | None,
    ) -> str:
        """Insert the objects in the parameter ``rows``."""
        names = ", ".join(self.name(column.column) for column in columns)
        conflict = "" if upsert is None else self._conflict(upsert)
        return (
            f"INSERT INTO {self._target(table)} ({names}) SELECT {names} "
            f"FROM json_to_recordset(:rows::json) AS {self._given(table, columns)}{conflict}{_returning(row)}"
        )

    def insert_defaults(self, table: Table, rights: Rights, row: str | None) -> str:
        """Insert one row of defaults."""
        return f"INSERT INTO {self._target(table)} DEFAULT VALUES{_returning(row)}"

    def has_new(self, table: Table, rights: Rights, keys: list[Assignment]) -> str:
        """Tell whether any of the objects in the parameter ``rows`` has keys that are not in the table."""
        same = " AND ".join(
            f"{self._column(table, key.column)} = {_GIVEN}.{self.name(key.column)}" for key in keys
        )
        found = f"SELECT FROM {self._target(table)} WHERE {same}"
        given = f"json_to_recordset(:rows::json) AS {self._given(table, keys)}"
        return f"SELECT EXISTS (SELECT FROM {given} WHERE NOT EXISTS ({found}))"

    def read_row(self, table: Table, columns: list[Assignment]) -> list[str]:
        """Read the members of the object in the parameter ``row``, for the errors' sake."""
        return [f"(SELECT count(*) FROM json_to_record(:row::json) AS {self._given(table, columns)})"]

    def update(
        self, table: Table, rights: Rights, columns: list[Assignment], where: str | None, row: str | None
    ) -> str:
        """Set columns from the object in the parameter ``row``."""
        sets = ", ".join(
            f"{self.name(column.column)} = {_GIVEN}.{self.name(column.column)}" for column in columns
        )
        given = f"json_to_record(:row::json) AS {self._given(table, columns)}"
        return f"UPDATE {self._target(table)} SET {sets} FROM {given}{rights.where(where)}{_returning(row)}"

    def delete(self, table: Table, rights: Rights, where: str | None, row: str | None) -> str:
        """Delete rows."""
        return f"DELETE FROM {self._target(table)}{rights.where(where)}{_returning(row)}"

    def _target(self, table: Table) -> str:
        return f"{self.name(table.schema)}.{self.name(table.name)} AS {self.alias(table)}"

    def _column(self, table: Table, name: str) -> str:
        return f"{self.alias(table)}.{self.name(name)}"

    def _given(self, table: Table, columns: list[Assignment]) -> str:
        typed = (f"{self.name(column.column)} {table.columns[column.column].type}" for column in columns)
        return f"{_GIVEN}({', '.join(typed)})"

    def _quantified(self, found: str, test: str, values: str) -> str:
        return f"(SELECT {found} FROM (SELECT {fill(test, 'e')} AS t FROM {_elements(values)}) _)"

    def _conflict(self, upsert: Upsert) -> str:
        target = ", ".join(self.name(name) for name in upsert.target)
        if not upsert.merged:
            return f" ON CONFLICT ({target}) DO NOTHING"
        sets = ", ".join(f"{self.name(name)} = excluded.{self.name(name)}" for name in upsert.merged)
        return f" ON CONFLICT ({target}) DO UPDATE SET {sets}"


def _of_any_length(kind: str) -> str:
    """Return the type that holds what an argument takes: a function's has no length, a cast would cut it to one."""
    base = kind.removesuffix("[]")
    return f"{base} varying{kind[len(base) :]}" if base in ("character", "bit") else kind


def _elements(values: str) -> str:
    return f"json_array_elements_text({values}::json) AS _(e)"


def _returning(row: str | None) -> str:
    return "" if row is None else f" RETURNING {row}"


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
