"""SQLite's SQL (3.44 and later): JSON made with json_object, rows read from JSON with json_each."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping

from kernel.contracts.catalogue import Argument, Function, Table
from kernel.contracts.queries import Call, Explain, Step
from kernel.contracts.records import Unsupported
from kernel.contracts.rights import Rights
from plugins.records.dialects.dialect import Assignment, Called, Dialect, Member, Upsert, fill
from plugins.records.functions import arguments_given

# The elements of a JSON array; no table has a name that begins with a dot. (RETURNING knows a table only by its
# own name, so that every statement uses that and not an alias.)
_EACH = '".each"'
_VALUE = f"{_EACH}.value"
# A function takes at most 1,000 arguments, and a member's name and value are two.
_MEMBERS_AT_ONCE = 400


class SQLite(Dialect):
    """The dialect of SQLite; see `Dialect`."""

    everything = "-1"
    explain = None
    locks = ""

    def alias(self, table: Table) -> str:
        """Return the table's name in the file."""
        return self.name(table.name if table.schema == "public" else f"{table.schema}.{table.name}")

    def json_path(self, steps: tuple[Step, ...]) -> str:
        """Return the text of the parameter that holds a path into JSON."""
        return "$" + "".join(_step(step.key) for step in steps)

    def json_at(self, json: str, path: str) -> str:
        """Return the value at `path` (a parameter) inside `json`, as JSON."""
        return f"json(json_quote({json}) -> {path})"

    def text_at(self, json: str, path: str, template: str | None) -> str:
        """Return the value at `path` (a parameter) inside `json`, as text."""
        value = f"json_quote({json}) -> {path}"
        # SQLite's ->> gives 1 and 0 for true and false, and rounds long numbers: only strings need it. The
        # concatenation takes the mark away that would have json_object paste the text in as JSON.
        text = f"({value}) || ''"
        nested = text if template is None else fill(template, f"({value})")
        return (
            f"(CASE json_type(json_quote({json}), {path}) WHEN 'text' THEN json_quote({json}) ->> {path} "
            f"WHEN 'null' THEN NULL WHEN 'object' THEN {nested} WHEN 'array' THEN {nested} ELSE {text} END)"
        )

    def member_of(self, left: str, template: str, values: str) -> str:
        """Test whether `left` equals one of `values`."""
        return f"{left} IN (SELECT {fill(template, _VALUE)} FROM json_each({values}) AS {_EACH})"

    def read_all(self, template: str, values: str) -> str:
        """Read every one of `values`, for the errors' sake."""
        return f"(SELECT max({fill(template, _VALUE)}) FROM json_each({values}) AS {_EACH})"

    def any_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for any element of `values`."""
        return self._quantified("max", test, values, none=0)

    def all_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for all elements of `values`."""
        return self._quantified("min", test, values, none=1)

    def key(self, value: str) -> str:
        """Write a value as JSON can hold it."""
        return f"CASE typeof({value}) WHEN 'blob' THEN hex({value}) ELSE {value} END"

    def kept_key(self, place: int, type_name: str) -> str:
        """Read a key as it was kept."""
        return f"({_EACH}.value ->> {place})"

    def sorting(self, terms: list[str]) -> str:
        """Sort what is in the parameter ``rows``."""
        return f"SELECT {_EACH}.key FROM json_each(:rows) AS {_EACH} ORDER BY {', '.join(terms)}, {_EACH}.key"

    def explaining(self, how: Explain) -> str:
        """Refuse it: what SQLite tells has another form."""
        raise Unsupported("Plans of statements are told by PostgreSQL only.")

    def object(self, members: list[Member]) -> str:
        """Build a row's JSON object; one that is wide or holds finished JSON is joined from texts."""
        if len(members) > _MEMBERS_AT_ONCE or any(member.raw for member in members):
            texts = [
                f"{self.literal((',' if place else '{') + _key(member.name))}, {self._text(member)}"
                for place, member in enumerate(members)
            ]
            return _concatenated([*texts, "'}'"])
        return (
            f"json_object({', '.join(f'{self.literal(member.name)}, {member.value}' for member in members)})"
        )

    def page(self, members: list[Member], source: str, ending: str, counted: str | None) -> str:
        """Return one row: how many rows there are, their JSON array, and the number of those in `counted`."""
        total = "" if counted is None else f", (SELECT count(*) {counted})"
        # Joining the rows' texts costs half of what json_group_array does, which parses each of them again.
        body = "'[' || coalesce(group_concat(j, ','), '') || ']'"
        return f"SELECT count(*), {body}{total} FROM (SELECT {self.object(members)} AS j {source}{ending})"

    def array(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON array of all rows."""
        return self._joined(self.object(members), source, ending)

    def single(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON object of the one row there may be."""
        return f"SELECT {self.object(members)} {source}{ending}"

    def values(self, member: Member, source: str, ending: str) -> str:
        """Select the JSON array of one member of all rows."""
        return self._joined(self._text(member), source, ending)

    def scalar(self, member: Member, source: str, ending: str) -> str:
        """Select one member of the one row there may be."""
        return f"SELECT {self._text(member)} {source}{ending}"

    def groupable(self, member: Member) -> str:
        """Write a member's value as its JSON's text."""
        return self._text(member)

    def ungrouped(self, cell: str) -> str:
        """Return the text as it is."""
        return cell

    def _text(self, member: Member) -> str:
        return f"coalesce({member.value}, 'null')" if member.raw else f"json_quote({member.value})"

    def _joined(self, text: str, source: str, ending: str) -> str:
        rows = f"SELECT {text} AS j {source}{ending}"
        return f"SELECT '[' || coalesce(group_concat(j, ','), '') || ']' FROM ({rows})"

    def called(
        self,
        function: Function,
        call: Call,
        columns: list[Assignment],
        rows: Container[Argument],
        *,
        is_row: bool,
    ) -> Called:
        """Write a call that stands alone, and what reads its rows from JSON."""
        values = ", ".join(
            f"{self._read(column, _VALUE)} AS {self.name(column.column)}" for column in columns
        )
        arguments = ":a0"
        if call.whole is None:
            arguments = ", ".join(
                self._argument(argument, place, is_row=argument in rows)
                for place, argument in enumerate(arguments_given(function, call))
            )
        called = f"{self.name(function.schema)}.{self.name(function.name)}({arguments})"
        stands_in_from = is_row or function.returns_set or function.returns == "void"
        first = f"select * from {called}" if stands_in_from else f"select {called}"
        return Called(f"SELECT {values} FROM json_each(:rows) AS {_EACH}", first)

    def _argument(self, argument: Argument, place: int, *, is_row: bool) -> str:
        value = f"json_populate_record(null::{argument.type}, :a{place})" if is_row else f":a{place}"
        if argument.name is None:
            return f"{value}::{argument.type}"
        return f"{'variadic ' if argument.variadic else ''}{self.name(argument.name)} => {value}"

    def given(self, table: Table, columns: list[Assignment]) -> str:
        """Write a query of the rows in the parameter ``rows``."""
        return self._rows(columns)

    def _rows(self, columns: list[Assignment]) -> str:
        values = ", ".join(
            f"{self._read(column, _VALUE)} AS {self.name(column.column)}" for column in columns
        )
        return f"SELECT {values} FROM json_each(:rows) AS {_EACH}"

    def each(self, member: Member, source: str, ending: str, counted: str | None) -> str:
        """Return what `page` does for rows that are one value each."""
        total = "" if counted is None else f", (SELECT count(*) {counted})"
        body = "'[' || coalesce(group_concat(j, ','), '') || ']'"
        return f"SELECT count(*), {body}{total} FROM (SELECT {self._text(member)} AS j {source}{ending})"

    def insert(
        self,
        table: Table,
        rights: Rights,
        columns: list[Assignment],
        upsert: Upsert | None,
        row: str | None,
    ) -> str:
        """Insert the objects in the parameter ``rows``."""
        values = ", ".join(self._read(column, _VALUE) for column in columns)
        given = f"SELECT {values} FROM json_each(:rows) AS {_EACH} WHERE true"
        written, source = rights.rows([column.column for column in columns], given)
        names = ", ".join(map(self.name, written))
        conflict = "" if upsert is None else self._conflict(upsert, rights)
        return f"INSERT INTO {rights.target} ({names}) {source}{conflict}{self._returning(row)}"

    def insert_defaults(self, table: Table, rights: Rights, row: str | None) -> str:
        """Insert one row of defaults."""
        written, source = rights.rows((), "DEFAULT VALUES")
        names = f" ({', '.join(map(self.name, written))})" if written else ""
        return f"INSERT INTO {rights.target}{names} {source}{self._returning(row)}"

    def has_new(self, table: Table, rights: Rights, keys: list[Assignment]) -> str:
        """Tell whether any of the objects in the parameter ``rows`` has keys that are not in the table."""
        same = " AND ".join(f"{self._column(table, key.column)} = {self._read(key, _VALUE)}" for key in keys)
        found = f"SELECT 1 FROM {rights.source} AS {self.alias(table)} WHERE {same}"
        return f"SELECT EXISTS (SELECT 1 FROM json_each(:rows) AS {_EACH} WHERE NOT EXISTS ({found}))"

    def read_row(self, table: Table, columns: list[Assignment]) -> list[str]:
        """Read the members of the object in the parameter ``row``, for the errors' sake."""
        return [self._read(column, ":row") for column in columns]

    def update(
        self, table: Table, rights: Rights, columns: list[Assignment], where: str | None, row: str | None
    ) -> str:
        """Set columns from the object in the parameter ``row``."""
        values = {column.column: self._read(column, ":row") for column in columns}
        sets = self._sets(rights.changed(values))
        return f"UPDATE {rights.target} SET {sets}{rights.where(where)}{self._returning(row)}"

    def delete(self, table: Table, rights: Rights, where: str | None, row: str | None) -> str:
        """Delete rows."""
        return f"DELETE FROM {rights.target}{rights.where(where)}{self._returning(row)}"

    def _column(self, table: Table, name: str) -> str:
        return f"{self.alias(table)}.{self.name(name)}"

    def _read(self, column: Assignment, source: str) -> str:
        path = self.literal("$" + _step(column.member))
        return fill(column.template, f"({source} -> {path})")

    def _quantified(self, extreme: str, test: str, values: str, *, none: int) -> str:
        # The three truth values are 0, 0.5 and 1, so that one pass over the elements finds the least or greatest.
        found = f"SELECT {extreme}(coalesce({fill(test, _VALUE)}, 0.5)) FROM json_each({values}) AS {_EACH}"
        return f"nullif(coalesce(({found}), {none}), 0.5)"

    def _sets(self, values: Mapping[str, str]) -> str:
        return ", ".join(f"{self.name(name)} = {value}" for name, value in values.items())

    def _conflict(self, upsert: Upsert, rights: Rights) -> str:
        target = ", ".join(self.name(name) for name in upsert.target)
        if not upsert.merged:
            return f" ON CONFLICT ({target}) DO NOTHING"
        sets = self._sets(rights.merged({name: f"excluded.{self.name(name)}" for name in upsert.merged}))
        return f" ON CONFLICT ({target}) DO UPDATE SET {sets}"

    def _returning(self, row: str | None) -> str:
        return "" if row is None else f" RETURNING {row}"


def _key(name: str) -> str:
    return f"{json.dumps(name, ensure_ascii=False)}:"


def _concatenated(texts: list[str]) -> str:
    """Join texts by one call, or calls of calls: a function takes only so many arguments."""
    if len(texts) <= _MEMBERS_AT_ONCE:
        return f"concat({', '.join(texts)})"
    middle = len(texts) // 2
    return f"concat({_concatenated(texts[:middle])}, {_concatenated(texts[middle:])})"


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]" if key >= 0 else f"[#{key}]"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'."{escaped}"'
