"""Where a text names tables and columns, so that it can follow when they get other names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from plugins.database import parser
from plugins.database.sqlite.names import identifier
from plugins.database.sqlite.translate.nodes import Node, strings

if TYPE_CHECKING:
    from kernel.contracts.catalogue import Table
    from plugins.database.sqlite.translate.scope import Item


class Mentions:
    """The nodes that name columns and relations, with what they turned out to mean; a scope gathers them.

    `stars` gives the columns that a star in a select list stood for, by its place in the text; the star of a command
    TABLE, which is not written, has the place of the table's name.
    `node` is the one being resolved.
    """

    def __init__(self) -> None:
        self.columns: list[tuple[Node, Item, str]] = []
        self.relations: list[tuple[Node, Table]] = []
        self.stars: dict[int, list[str]] = {}
        self.node: Node | None = None

    def select(self, fields: Node, names: Sequence[str]) -> None:
        """Note the columns' names of a SELECT that is the command TABLE: the place of its star is that of no token."""
        targets = fields.get("targetList", ())
        if targets and targets[0]["ResTarget"].get("location", 0) < 0:
            place = fields["fromClause"][0]["RangeVar"]["location"]
            self.stars[place] = [identifier(name) for name in names]

    def read(self, item: Item, name: str) -> None:
        """Note that the node being resolved is a column."""
        if self.node is not None and strings(self.node["fields"])[-1] == name:
            self.columns.append((self.node, item, name))


class Renaming(NamedTuple):
    """What gets another name: a table, or its column `old`, which becomes `new`."""

    table: Table
    schema: str
    name: str
    old: str | None = None
    new: str | None = None

    def means(self, table: Table | None) -> bool:
        """Tell whether it is about a table."""
        return table is not None and (table.schema, table.name) == (self.table.schema, self.table.name)


class Edit(NamedTuple):
    """Other words for the names from `place` on, of which the first `kept` stay as they are."""

    place: int
    kept: int
    words: list[str]
    suffix: str = ""


def spread_out(source: bytes, mentions: Mentions) -> str:
    """Return a text whose stars are the columns that they stand for, whatever columns come later."""
    changes = []
    tokens = parser.tokens(source)
    words = [source[token.start : token.end].lower() for token in tokens]
    for place, names in mentions.stars.items():
        at = next(number for number, token in enumerate(tokens) if token.start == place)
        before = at - 1 - (words[at - 1] == b"only")
        listed = ", ".join(names)
        if words[before] == b"table":  # no other word of that kind is in a query
            changes.append(Edit(tokens[before].start, 0, [f"SELECT {listed} FROM"]))
        else:
            changes.append(Edit(place, 0, [listed]))
    return edited(source, changes)


def edits(mentions: Mentions, renaming: Renaming, tree: Any, own: Item | None) -> list[Edit]:
    """Return what makes a text follow; `own` is the entry whose name is that of the renamed table itself."""
    unnamed = set(_unnamed(tree))
    found = []
    if renaming.old is not None and renaming.new is not None:
        for node, item, name in mentions.columns:
            if name == renaming.old and renaming.means(item.table):
                kept = len(node["fields"]) - 1
                suffix = f" AS {identifier(name)}" if id(node) in unnamed else ""
                found.append(Edit(node["location"], kept, [identifier(renaming.new)], suffix))
        return found
    for node, table in mentions.relations:
        if renaming.means(table):
            words = [identifier(renaming.name)]
            if renaming.schema != "public" or "schemaname" in node:
                words.insert(0, identifier(renaming.schema))
            changed = renaming.name != table.name and "alias" not in node
            found.append(Edit(node["location"], 0, words, f" AS {identifier(table.name)}" if changed else ""))
    for node, item, name in mentions.columns:
        if item is own and len(node["fields"]) > 1 and renaming.means(item.table):
            found.append(Edit(node["location"], 0, [identifier(renaming.name), identifier(name)]))
    return found


def followed(tree: Any, mentions: Mentions, renaming: Renaming) -> Any:
    """Return a tree that follows, without the places in its text."""
    changed: dict[int, Node] = {}
    if renaming.old is not None:
        for node, item, name in mentions.columns:
            if name == renaming.old and renaming.means(item.table):
                last = {"String": {"sval": renaming.new}}
                changed[id(node)] = {**node, "fields": [*node["fields"][:-1], last]}
    else:
        for node, table in mentions.relations:
            if renaming.means(table):
                alias = node.get("alias", {"aliasname": table.name})
                names = {"schemaname": renaming.schema, "relname": renaming.name, "alias": alias}
                changed[id(node)] = {**node, **names}
    return _replaced(tree, changed)


def _replaced(tree: Any, changed: dict[int, Node]) -> Any:
    if isinstance(tree, list):
        return [_replaced(item, changed) for item in tree]
    if not isinstance(tree, dict):
        return tree
    result = {key: _replaced(value, changed) for key, value in changed.get(id(tree), tree).items()}
    column = tree.get("ResTarget", {}).get("val", {}).get("ColumnRef")
    if id(column) in changed and "name" not in tree["ResTarget"]:
        result["ResTarget"]["name"] = strings(column["fields"])[-1]
    return result


def edited(source: bytes, changes: list[Edit], shift: int = 0) -> str:
    """Return a text after edits, whose places count from `shift` bytes before its beginning."""
    tokens = parser.tokens(source)
    for change in sorted(changes, key=lambda change: change.place, reverse=True):
        first = next(place for place, token in enumerate(tokens) if token.start == change.place - shift)
        last = first
        while last + 2 < len(tokens) and source[tokens[last + 1].start : tokens[last + 1].end] == b".":
            last += 2
        start = tokens[first + 2 * change.kept].start
        words = ".".join(change.words) + change.suffix
        source = source[:start] + words.encode() + source[tokens[last].end :]
    return source.decode()


def _unnamed(tree: Any) -> Iterator[int]:
    """Yield what tells the columns of a select list that go by their own names."""
    if isinstance(tree, list):
        for item in tree:
            yield from _unnamed(item)
    elif isinstance(tree, dict):
        target = tree.get("ResTarget", {})
        if "name" not in target and "ColumnRef" in target.get("val", {}):
            yield id(target["val"]["ColumnRef"])
        for value in tree.values():
            yield from _unnamed(value)
