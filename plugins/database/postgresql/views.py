"""Which columns of tables and of other views the views show, as PostgreSQL itself keeps it.

A view is a rewrite rule, whose query it keeps as a tree in text. An entry of the query's select list says of a plain
column which one it is (``resorigtbl``, ``resorigcol``), also through subqueries, joins and WITH, but not through views.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kernel.contracts.catalogue import Origin
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement
from plugins.database.views import Name

_RULES = Statement(
    b"""
    select c.oid, n.nspname, c.relname, r.ev_action::text
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_rewrite r on r.ev_class = c.oid
    where c.relkind in ('v', 'm') and r.rulename = '_RETURN'
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    """,
    (),
)
_COLUMNS = Statement(
    b"""
    select a.attrelid, a.attnum, n.nspname, c.relname, a.attname
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where a.attnum > 0 and not a.attisdropped
      and a.attrelid in (select value::oid from json_array_elements_text($1) value)
    """,
    ("relations",),
)

_ENTRY_DEPTH = 2
"""How deep an entry of the select list stands: inside the query's braces and its own."""


def shown(session: Session) -> dict[Name, dict[str, Origin]]:
    """Return by view which of its columns are columns of tables and views, and which these are."""
    rules, _ = session.run(_RULES, {})
    entries = [(view, *entry) for view, _, _, rule in rules for entry in _entries(rule)]
    relations = sorted({number for view, _, origin, _ in entries for number in (view, origin)})
    rows, _ = session.run(_COLUMNS, {"relations": msgspec.json.encode(relations).decode()})
    columns = {(relation, number): Origin(*names) for relation, number, *names in rows}
    found: dict[Name, dict[str, Origin]] = {(schema, name): {} for _, schema, name, _ in rules}
    for view, place, relation, number in entries:
        own, origin = columns.get((view, place)), columns.get((relation, number))
        if own is not None and origin is not None:
            found[own.schema, own.table][own.column] = origin
    return found


def _entries(rule: str) -> Iterator[tuple[int, int, int]]:
    """Yield of each plain column of a rule's query its place, and the numbers of a relation and of its column."""
    depth = 0
    before, *pieces = rule.split(" :resorigtbl ")
    for piece in pieces:
        depth += _opened(before)
        relation, _, column, _ = piece.split(" ", 3)
        if depth == _ENTRY_DEPTH and relation != "0":
            place = before.rpartition(" :resno ")[2].partition(" ")[0]
            yield int(place), int(relation), int(column)
        before = piece


def _opened(text: str) -> int:
    """Return how many more braces a piece of a tree opens than it closes; those in names have a backslash."""
    return text.count("{") - text.count("\\{") - text.count("}") + text.count("\\}")
