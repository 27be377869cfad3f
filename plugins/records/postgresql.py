# ruff: noqa: S608 - writing SQL from quoted names and bound parameters is what this module is for
"""PostgreSQL's SQL: rows are read from JSON as records of the table's types, and written as JSON piece by piece."""

from __future__ import annotations

from kernel.contracts.catalogue import Table
from kernel.contracts.queries import Step
from kernel.contracts.rights import Rights
from plugins.records.dialect import Assignment, Dialect, Member, Upsert, fill

# What a body is read into; a table with this name could still be told from it by its schema.
_GIVEN = '".given"'


class PostgreSQL(Dialect):
    """The dialect of PostgreSQL; see `Dialect`."""

    everything = "ALL"

    def column(self, table: Table, name: str) -> str:
        """Name a column of the statement's table."""
        return f"{self._table(table)}.{self.name(name)}"

    def json_path(self, steps: tuple[Step, ...]) -> str:
        """Return the text of the parameter that holds a path into JSON."""
        return "{" + ",".join(_step(step.key) for step in steps) + "}"

    def json_at(self, json: str, path: str) -> str:
        """Return the value at `path` (a parameter) inside `json`, as JSON."""
        return f"(to_jsonb({json}) #> {path}::text[])"

    def text_at(self, json: str, path: str, template: str) -> str:
        """Return the value at `path` (a parameter) inside `json`, as text."""
        return f"(to_jsonb({json}) #>> {path}::text[])"

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

    def object(self, members: list[Member]) -> str:
        """Build a JSON object's text; ``json_build_object`` takes no more than 50 members."""
        texts = [
            f"to_json({member.name}::text) || ':' || coalesce(to_json({member.value})::text, 'null')"
            for member in members
        ]
        return f"'{{' || array_to_string(ARRAY[{', '.join(texts)}]::text[], ',') || '}}'"

    def select(
        self,
        table: Table,
        rights: Rights,
        row: str,
        where: str | None,
        order: str,
        *,
        counted: bool,
    ) -> str:
        """Return one row: how many rows there are, their JSON array, and if `counted` the total."""
        source = f"FROM {self._table(table)}{f' WHERE {where}' if where else ''}"
        total = f", (SELECT count(*) {source})" if counted else ""
        body = "'[' || coalesce(string_agg(j, ','), '') || ']'"
        return f"SELECT count(*), {body}{total} FROM (SELECT {row} AS j {source}{order}) _"

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
            f"INSERT INTO {self._table(table)} ({names}) SELECT {names} "
            f"FROM json_to_recordset(:rows::json) AS {self._given(table, columns)}{conflict}{_returning(row)}"
        )

    def insert_defaults(self, table: Table, rights: Rights, row: str | None) -> str:
        """Insert one row of defaults."""
        return f"INSERT INTO {self._table(table)} DEFAULT VALUES{_returning(row)}"

    def has_new(self, table: Table, rights: Rights, keys: list[Assignment]) -> str:
        """Tell whether any of the objects in the parameter ``rows`` has keys that are not in the table."""
        same = " AND ".join(
            f"{self.column(table, key.column)} = {_GIVEN}.{self.name(key.column)}" for key in keys
        )
        found = f"SELECT FROM {self._table(table)} WHERE {same}"
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
        return f"UPDATE {self._table(table)} SET {sets} FROM {given}{rights.where(where)}{_returning(row)}"

    def delete(self, table: Table, rights: Rights, where: str | None, row: str | None) -> str:
        """Delete rows."""
        return f"DELETE FROM {self._table(table)}{rights.where(where)}{_returning(row)}"

    def _table(self, table: Table) -> str:
        return f"{self.name(table.schema)}.{self.name(table.name)}"

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


def _elements(values: str) -> str:
    return f"json_array_elements_text({values}::json) AS _(e)"


def _returning(row: str | None) -> str:
    return "" if row is None else f" RETURNING {row}"


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
