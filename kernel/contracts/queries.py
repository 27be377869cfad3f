"""Queries: the typed tree in which rows of tables are asked for and changed.

Names in the tree are the client's: who answers it resolves every one of them against the catalogue. Values are the
client's text: each is read by its column's type. The tree says what PostgREST's language can say; its terms are
explained there (https://docs.postgrest.org/en/stable/references/api.html).
"""

from __future__ import annotations

from typing import Literal

import msgspec

Operator = Literal[
    "eq", "neq", "gt", "gte", "lt", "lte", "isdistinct",
    "like", "ilike", "match", "imatch",
    "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj",
]  # fmt: skip
"""Comparisons of values, of text with patterns, and of arrays, documents and ranges with one another.

The last are PostgreSQL's ``@> <@ &&`` and, for ranges, ``<< >> &< &> -|-``: contains, contained by, overlaps; left of,
right of, not right of (``nxr``), not left of (``nxl``), adjacent.
"""

SearchSyntax = Literal["fts", "plfts", "phfts", "wfts"]
"""How a search is written: PostgreSQL's ``to_tsquery``, ``plainto_``, ``phraseto_`` and ``websearch_to_tsquery``."""


class Step(msgspec.Struct, frozen=True):
    """One step into a JSON value: an object's key or an array's index (negative counts from the end).

    `as_text` is PostgreSQL's ``->>``: the value found there, as text; otherwise ``->``: as JSON.
    """

    key: str | int
    as_text: bool = False


class Field(msgspec.Struct, frozen=True):
    """A column, or what stands at `path` inside its JSON."""

    column: str
    path: tuple[Step, ...] = ()


class Item(msgspec.Struct, frozen=True):
    """One member of the answer's objects; `field` is None for ``*``, all columns of the table.

    `alias` names the member, by default the last key of the path, else the column. `cast` is a type's name.
    """

    field: Field | None = None
    alias: str | None = None
    cast: str | None = None


class Aggregate(msgspec.Struct, frozen=True):
    """A member that is reckoned from many rows; `field` is None for ``count()``, the number of rows.

    A selection that holds one has a row for each combination of the values of its other members. `alias` names the
    member, by default `function`. `cast` is the type that the field's values are read as, `result_cast` that of the
    result.
    """

    function: Literal["sum", "avg", "count", "max", "min"]
    field: Field | None = None
    alias: str | None = None
    cast: str | None = None
    result_cast: str | None = None


class Embed(msgspec.Struct, frozen=True):
    """A member that holds rows of a related table: an object or null where there is one at most, else an array.

    `relation` is the related table, the foreign key's name, or its one column in this table; `hint` tells between
    several relationships: a foreign key, one of its columns, or the table between the two. `alias` names the member,
    by default `relation`. Rows without a related one are left out if it is `inner`. A `spread` puts the related
    row's members in place of the one; of many rows, each member becomes an array. Without `items` there is no
    member, but the conditions count. `where` and the rest concern the related rows, as in `Select`.

    A condition `Is` null (or not) on a field named as an embed is about there being no related row (or one).
    """

    relation: str
    hint: str | None = None
    alias: str | None = None
    items: tuple[Selected, ...] = (Item(),)
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    inner: bool = False
    spread: bool = False


Selected = Item | Aggregate | Embed


class Comparison(msgspec.Struct, frozen=True):
    """`field` compared with `value`, the client's text for a value of the field's type.

    In the patterns of ``like`` and ``ilike``, ``%`` and ``_`` are wild and a backslash escapes; ``match`` and
    ``imatch`` take regular expressions. With a `quantifier`, `value` is an array literal (``{a,b}``), and the
    comparison holds for any or for all of its elements.
    """

    field: Field
    operator: Operator
    value: str
    negated: bool = False
    quantifier: Literal["any", "all"] | None = None


class Search(msgspec.Struct, frozen=True):
    """`field`, a text or a ``tsvector``, matches a full-text query; `language` is a text search configuration."""

    field: Field
    syntax: SearchSyntax
    value: str
    language: str | None = None
    negated: bool = False


class Membership(msgspec.Struct, frozen=True):
    """`field` equals one of `values`."""

    field: Field
    values: tuple[str, ...]
    negated: bool = False


class Is(msgspec.Struct, frozen=True):
    """`field` is null, not null, or one of the three truth values."""

    field: Field
    value: Literal["null", "not_null", "true", "false", "unknown"]
    negated: bool = False


class Logic(msgspec.Struct, frozen=True):
    """Conditions joined by ``and`` or ``or``; at least one."""

    operator: Literal["and", "or"]
    conditions: tuple[Condition, ...]
    negated: bool = False


Condition = Comparison | Search | Membership | Is | Logic


class Order(msgspec.Struct, frozen=True):
    """One term of an order; without `nulls`, they come last when ascending and first when descending.

    With `related`, the field is that of the row that an embed of this name (its alias, if it has one) holds.
    """

    field: Field
    descending: bool = False
    nulls: Literal["first", "last"] | None = None
    related: str | None = None


ALL: tuple[Selected, ...] = (Item(),)
"""The selection of every column."""


class Planned(msgspec.Struct, frozen=True):
    """A total that may be what the engine's planner expects; an engine whose planner expects nothing counts.

    Without `above` it is that; otherwise where there are more rows than so many, which are counted that far.
    """

    above: int | None = None


class Explain(msgspec.Struct, frozen=True):
    """What is answered instead: the engine's plan for the statement, as it writes it; see PostgreSQL's EXPLAIN.

    With the option ``analyze`` the statement runs.
    """

    format: Literal["json", "text"] = "text"
    options: tuple[Literal["analyze", "verbose", "settings", "buffers", "wal"], ...] = ()


class Select(msgspec.Struct, frozen=True):
    """Rows of a table that meet every condition of `where`, from `offset` on, at most `limit`.

    With `distinct`, what is selected of several rows is answered once where it is equal. With `counted`, the answer's
    `total` says how many there are without limit and offset; with `planned` too, it may be an estimate. `as_text` has
    the values of columns as PostgreSQL's text in place of JSON (``"t"`` for true), as CSV wants them; related rows and
    aggregates stay JSON. `locked` rows stay as they are for others until the transaction of the read ends; that takes
    the right to update them.
    """

    table: str
    schema: str = "public"
    items: tuple[Selected, ...] = ALL
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    counted: bool = False
    as_text: bool = False
    distinct: bool = False
    locked: bool = False
    planned: Planned | None = None
    explain: Explain | None = None


class Call(msgspec.Struct, frozen=True):
    """A call of a function, and what is wanted of the rows that it returns, as in `Select`.

    `arguments` is the text of a JSON object that has a member for each of `names`. With `texts` the members are
    PostgreSQL's text for the arguments' values (arrays of them for a variadic one), as a query string gives them. With
    `whole`, `arguments` is the one argument that a function without names for them takes, of the type that `whole`
    names. `read_only` calls may not write. `single`, `max_affected` (of the rows that come back) and `undo` are as in
    `Update`, `as_text` as in `Select`.
    """

    function: str
    names: tuple[str, ...] = ()
    arguments: str = "{}"
    schema: str = "public"
    texts: bool = False
    whole: str | None = None
    read_only: bool = False
    items: tuple[Selected, ...] = ALL
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    counted: bool = False
    single: bool = False
    max_affected: int | None = None
    undo: bool = False
    as_text: bool = False
    explain: Explain | None = None


class Conflict(msgspec.Struct, frozen=True):
    """What an insert does with a row that is there already: ignore the new one, or merge it into the old.

    `columns` names the unique columns that decide; by default the primary key. `merged` names those that are written
    over the old row's; by default all that the insert writes. One that the new row lacks is set to its default, unless
    that numbers the rows.
    """

    action: Literal["ignore", "merge"]
    columns: tuple[str, ...] = ()
    merged: tuple[str, ...] | None = None


class Insert(msgspec.Struct, frozen=True):
    """New rows: `rows` is the text of a JSON array of `size` objects, whose members are named as columns.

    Only `columns` are written. A row that lacks one gets null there, or with `defaults` the column's default.
    `returning` names the members of the answer's objects, or is None where no body is wanted. With `single`,
    anything but exactly one row written is an error; nothing is then written at all. With `undo`, all is done, answered
    and then undone. `as_text`, and the `order` of what is returned, are as in `Select`.
    """

    table: str
    columns: tuple[str, ...]
    rows: str
    size: int
    schema: str = "public"
    conflict: Conflict | None = None
    defaults: bool = False
    returning: tuple[Selected, ...] | None = None
    single: bool = False
    undo: bool = False
    as_text: bool = False
    order: tuple[Order, ...] = ()
    explain: Explain | None = None


class Update(msgspec.Struct, frozen=True):
    """New values for the rows that meet every condition: `values` is the text of one JSON object.

    Only `columns` are written. A member that the object lacks is null, or with `defaults` the column's default.
    A value that does not fit its column is refused even where no row meets the conditions.
    More than `max_affected` rows is an error, and changes none; `returning` and what else has the same name is as in
    `Insert`.
    """

    table: str
    columns: tuple[str, ...]
    values: str
    schema: str = "public"
    where: tuple[Condition, ...] = ()
    defaults: bool = False
    returning: tuple[Selected, ...] | None = None
    single: bool = False
    max_affected: int | None = None
    undo: bool = False
    as_text: bool = False
    order: tuple[Order, ...] = ()
    explain: Explain | None = None


class Delete(msgspec.Struct, frozen=True):
    """Rows to delete: those that meet every condition. The rest is as in `Update`."""

    table: str
    schema: str = "public"
    where: tuple[Condition, ...] = ()
    returning: tuple[Selected, ...] | None = None
    single: bool = False
    max_affected: int | None = None
    undo: bool = False
    as_text: bool = False
    order: tuple[Order, ...] = ()
    explain: Explain | None = None
