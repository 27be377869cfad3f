"""UPDATE ... FROM and DELETE ... USING that return what they joined: SQLite's RETURNING knows their own table only.

The rows to be changed are looked for first, with what the statement joins to them, and then changed by their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from plugins.database.sqlite.names import quote, rowid_of
from plugins.database.sqlite.statements import ROWS, Plan, Step
from plugins.database.sqlite.translate.queries.select import columns_of
from plugins.database.sqlite.translate.queries.writing.carried import spread_query, unpacked
from plugins.database.sqlite.translate.queries.writing.targets import Target
from plugins.database.sqlite.translate.schema.tables.defaults import makes_own_value
from plugins.database.sqlite.translate.scope import Expr, Scope

_FOUND, _CHANGED = f"${ROWS}found", f"${ROWS}changed"
_NEW, _OLD = '"kernel.changed"', '"kernel.found"'


def _found(number: str, values: Sequence[str], source: str) -> Step:
    """Return the step that finds each row to be changed once, by its number; the values follow it."""
    return Step(f"SELECT {', '.join([number, *values])} FROM {source} GROUP BY 1", "found")


def deleted(target: Target, source: str, outputs: Sequence[Expr]) -> Plan:
    """Return the plan of a DELETE; `source` is all that follows its FROM."""
    number, columns = rowid_of(target.table.columns), columns_of(outputs)
    delete = f"DELETE FROM {target.sql} WHERE {number} IN (SELECT value ->> 0 FROM json_each({_FOUND}))"
    rows = spread_query(_FOUND, (("n", "bigint"), *columns))
    names = ", ".join(f"c{place}" for place in range(len(columns) + 1))
    listed = ", ".join(f"c{place} AS {quote(name)}" for place, (name, _) in enumerate(columns, 1))
    final = f"SELECT {listed} FROM (WITH q({names}) AS ({rows}) SELECT * FROM q)"
    step = _found(f"{quote(target.alias)}.{number}", [item.sql for item in outputs], source)
    return Plan("write", f"{delete}; {final}", "DELETE", steps=(step,), columns=columns)


def returned_scope(scope: Scope, target: Target, width: int) -> Scope:
    """Return the scope of an UPDATE's RETURNING: its own table's new row, and the rows that it joined.

    `width` is the number of columns that it sets.
    """
    columns = target.table.columns
    places = {name: place for place, name in enumerate(columns, 1)}
    final = scope.apart()
    final.add(target.item(lambda name: unpacked(f"{_NEW}.value", places[name], columns[name].type)))
    place = 1 + width
    for item in scope.items[1:]:
        computed = {
            name: unpacked(f"{_OLD}.value", start, kind)
            for start, (name, kind) in enumerate(item.columns.items(), place)
        }
        final.add(msgspec.structs.replace(item, computed=computed))
        place += len(item.columns)
    return final


def updated(
    scope: Scope, target: Target, source: str, sets: Mapping[str, str], outputs: Sequence[Expr]
) -> Plan:
    """Return the plan of an UPDATE, whose outputs were emitted in `returned_scope`."""
    table = target.table
    number = rowid_of(table.columns)
    values = list(sets.values())
    for item in scope.items[1:]:
        values += [item.column(name).sql for name in item.columns]
    step = _found(f"{quote(target.alias)}.{number}", values, source)
    listed = ", ".join(
        f"{quote(name)} = {unpacked('found.value', place, table.columns[name].type)}"
        for place, name in enumerate(sets, 1)
    )
    change = (
        f"UPDATE {target.sql} SET {listed} FROM (SELECT value ->> 0 AS n, value FROM json_each({_FOUND})) AS found"
        f" WHERE {quote(target.alias)}.{number} = found.n"
        f" RETURNING {', '.join([number, *map(quote, table.columns)])}"
    )
    # A row whose number is a column that counts by itself may have got another one.
    counting = [place for place, name in enumerate(sets, 1) if makes_own_value(table.columns[name])]
    sql = (
        f"SELECT {', '.join(f'{item.sql} AS {quote(item.name)}' for item in outputs)}"
        f" FROM (SELECT value ->> 0 AS n, value FROM json_each({_CHANGED})) AS {_NEW}"
        f" JOIN (SELECT value ->> {counting[0] if counting else 0} AS n, value FROM json_each({_FOUND}))"
        f" AS {_OLD} USING (n)"
    )
    return Plan("write", sql, "UPDATE", steps=(step, Step(change, "changed")))
