"""What the conditions of policies do, as far as their text tells; the same on both engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.schema import Body, Compared, Expression
from plugins.database import parser
from plugins.database.parser import Node, Parsed

_COMPARING = frozenset({"=", "<", ">", "<=", ">="})
_KINDS = frozenset({"AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_IN", "AEXPR_BETWEEN"})
_BEFORE = "SELECT ("

Names = Mapping[str, Table]
Relation = tuple[str, str]


def expression(sql: str, table: Table, catalogue: Catalogue) -> Expression:
    """Return what a condition over a table's rows does."""
    parsed = parser.parse(f"{_BEFORE}{sql}\n)")
    tree = parsed.statements[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    names = {table.name: table}
    return Expression(
        value=_value(tree),
        of_row=any(_columns(tree, names, catalogue)),
        compared=tuple(dict.fromkeys(_compared(tree, names, catalogue))),
        reads=relations(tree),
        asks=any("SubLink" in node for node in _nodes(tree)),
        lifted=_lifted(parsed, tree),
        calls=_calls(tree),
    )


def reads(view: Table) -> frozenset[Relation]:
    """Return what a view reads with its caller's rights."""
    if not view.security_invoker or view.definition is None:
        return frozenset()
    return relations(list(parser.parse(view.definition).statements))


def body(statements: list[Node]) -> Body:
    """Return what a function does whose statements' trees these are."""
    return Body(relations(statements), _calls(statements))


def _calls(tree: Any) -> frozenset[Relation]:
    found = set()
    for node in _nodes(tree):
        if "FuncCall" in node:
            *schema, name = (item["String"].get("sval", "") for item in node["FuncCall"]["funcname"])
            found.add((schema[-1] if schema else "public", name))
    return frozenset(found)


def relations(tree: Any, hidden: frozenset[str] = frozenset()) -> frozenset[Relation]:
    """Return the tables and views that the queries in a tree read; `hidden` are names of WITH."""
    if isinstance(tree, list):
        return frozenset().union(*(relations(item, hidden) for item in tree))
    if not isinstance(tree, dict):
        return frozenset()
    if "ctes" in tree:
        hidden = hidden | {item["CommonTableExpr"]["ctename"] for item in tree["ctes"]}
    if "withClause" in tree:
        hidden = hidden | {item["CommonTableExpr"]["ctename"] for item in tree["withClause"]["ctes"]}
    found = frozenset().union(*(relations(value, hidden) for value in tree.values()))
    relation = tree.get("RangeVar")
    if relation is not None and (relation["relname"] not in hidden or "schemaname" in relation):
        found |= {(relation.get("schemaname", "public"), relation["relname"])}
    return found


def _value(node: Node) -> bool | None:
    """Return what a condition always is, or None."""
    if "BoolExpr" in node:
        word, values = node["BoolExpr"]["boolop"], [_value(item) for item in node["BoolExpr"]["args"]]
        if word == "NOT_EXPR":
            return None if values[0] is None else not values[0]
        decides: bool = word == "OR_EXPR"
        if decides in values:
            return decides
        return None if None in values else not decides
    if "A_Expr" in node and node["A_Expr"]["kind"] == "AEXPR_OP" and "lexpr" in node["A_Expr"]:
        fields = node["A_Expr"]
        left, right = _constant(fields["lexpr"]), _constant(fields["rexpr"])
        if left is None or right is None or type(left) is not type(right):
            return None
        outcomes: dict[str, bool] = {"=": left == right, "<>": left != right}
        return outcomes.get(fields["name"][-1]["String"]["sval"])
    if "NullTest" in node:
        known = _constant(node["NullTest"]["arg"])
        return None if known is None else node["NullTest"]["nulltesttype"] == "IS_NOT_NULL"
    if "SubLink" in node and node["SubLink"]["subLinkType"] == "EXPR_SUBLINK":
        query = node["SubLink"]["subselect"]["SelectStmt"]
        only = set(query) <= {"targetList", "limitOption", "op"} and len(query["targetList"]) == 1
        return _value(query["targetList"][0]["ResTarget"]["val"]) if only else None
    found = _constant(node)
    return found if isinstance(found, bool) else None


def _constant(node: Node) -> Any:
    if "TypeCast" in node:
        inner, kind = _constant(node["TypeCast"]["arg"]), node["TypeCast"]["typeName"]["names"][-1]
        if kind["String"]["sval"] == "bool" and isinstance(inner, str):
            return {"t": True, "true": True, "f": False, "false": False}.get(inner)
        return inner
    constant = node.get("A_Const", {})
    if "boolval" in constant:
        return bool(constant["boolval"].get("boolval"))
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    return constant["sval"].get("sval", "") if "sval" in constant else None


def _compared(node: Any, names: Names, catalogue: Catalogue) -> Iterator[Compared]:
    """Yield the columns that each alternative compares, and what the queries within it do."""
    for alternative in _split(node, "OR_EXPR"):
        found: dict[Relation, set[str]] = {}
        for test in _split(alternative, "AND_EXPR"):
            if "BoolExpr" in test and test["BoolExpr"]["boolop"] == "OR_EXPR":
                yield from _compared(test, names, catalogue)
            for table, column in _tested(test, names):
                found.setdefault((table.schema, table.name), set()).add(column)
            for query in _queries(test):
                yield from _of_query(query, catalogue)
        for (schema, name), columns in found.items():
            yield Compared(schema, name, frozenset(columns))


def _split(node: Any, word: str) -> list[Any]:
    fields = node.get("BoolExpr", {}) if isinstance(node, dict) else {}
    return (
        [part for item in fields["args"] for part in _split(item, word)]
        if fields.get("boolop") == word
        else [node]
    )


def _tested(node: Node, names: Names) -> Iterator[tuple[Table, str]]:
    fields = node.get("A_Expr")
    if fields is None or fields["kind"] not in _KINDS:
        return
    if fields["kind"] == "AEXPR_OP" and fields["name"][-1]["String"]["sval"] not in _COMPARING:
        return
    sides = [_column(fields.get(side, {}), names) for side in ("lexpr", "rexpr")]
    if None not in sides and sides[0][0] is sides[1][0]:  # type: ignore[index]
        return  # one column of a row with another
    yield from (side for side in sides if side is not None)


def _column(node: Any, names: Names) -> tuple[Table, str] | None:
    if not isinstance(node, dict) or "ColumnRef" not in node:
        return None
    *qualifier, name = (item.get("String", {}).get("sval", "") for item in node["ColumnRef"]["fields"])
    if qualifier:
        table = names.get(qualifier[-1])
        return (table, name) if table is not None and name in table.columns else None
    return next(((table, name) for table in names.values() if name in table.columns), None)


def _of_query(query: Node, catalogue: Catalogue) -> Iterator[Compared]:
    names = {}
    for relation in _relations_of(query.get("fromClause", [])):
        found = catalogue.table(relation["relname"], relation.get("schemaname", "public"))
        if found is not None and found.kind == "table":
            names[relation.get("alias", {}).get("aliasname", relation["relname"])] = found
    if "whereClause" in query:
        yield from _compared(query["whereClause"], names, catalogue)
    for side in ("larg", "rarg"):
        if side in query:
            yield from _of_query(query[side], catalogue)


def _relations_of(tree: Any) -> Iterator[Node]:
    """Yield the tables that FROM names itself."""
    if isinstance(tree, list):
        for item in tree:
            yield from _relations_of(item)
    elif isinstance(tree, dict):
        if "RangeVar" in tree:
            yield tree["RangeVar"]
        elif "JoinExpr" in tree:
            yield from _relations_of([tree["JoinExpr"]["larg"], tree["JoinExpr"]["rarg"]])


def _queries(tree: Any) -> Iterator[Node]:
    """Yield the outermost queries in an expression."""
    if isinstance(tree, list):
        for item in tree:
            yield from _queries(item)
    elif isinstance(tree, dict):
        if "SelectStmt" in tree:
            yield tree["SelectStmt"]
        else:
            yield from _queries(list(tree.values()))


def _columns(tree: Any, names: Names, catalogue: Catalogue) -> Iterator[bool]:
    """Yield once for each place that names a column of the row, in subqueries by its table's name or alone."""
    for node in _nodes(tree):
        fields = node.get("ColumnRef")
        if fields is not None and _column(node, names) is not None:
            yield True


def _nodes(tree: Any) -> Iterator[Node]:
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            yield part
            pending += part.values()


def _lifted(parsed: Parsed, tree: Node) -> str | None:
    places = sorted(_called(tree))
    if not places:
        return None
    tokens = parser.tokens(parsed.source)
    pieces, done = [], len(_BEFORE)
    for place in places:
        depth, end = 0, place
        for token in tokens:
            if token.start < place:
                continue
            word = parsed.text(token.start, token.end)
            depth += (word == "(") - (word == ")")
            if word == ")" and depth == 0:
                end = token.end
                break
        pieces += [parsed.text(done, place), "(select ", parsed.text(place, end), ")"]
        done = end
    return ("".join(pieces) + parsed.text(done, len(parsed.source) - 2)).strip()


def _called(tree: Any) -> Iterator[int]:
    """Yield where calls stand that tell who asks, but for those in a query without FROM: that is run once."""
    if isinstance(tree, list):
        for item in tree:
            yield from _called(item)
        return
    if not isinstance(tree, dict):
        return
    link = tree.get("SubLink", {})
    if link.get("subLinkType") == "EXPR_SUBLINK" and "fromClause" not in link["subselect"]["SelectStmt"]:
        return
    call = tree.get("FuncCall")
    if call is not None:
        *schema, name = (item["String"].get("sval", "") for item in call["funcname"])
        if schema == ["auth"] or name == "current_setting":
            yield call.get("location", 0)
            return
    yield from _called(list(tree.values()))
