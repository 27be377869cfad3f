"""Filters and logic trees: ``eq.5``, ``not.in.(1,2)``, ``(a.eq.1,or(b.gt.2,c.is.null))``."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from kernel.contracts.queries import (
    Comparison,
    Condition,
    Field,
    Is,
    Logic,
    Membership,
    Operator,
    Search,
    SearchSyntax,
)
from plugins.rest.errors import RestError
from plugins.rest.language import grammar
from plugins.rest.language.scanner import Scanner, parse, parse_beginning

MAX_DEPTH = 50
"""How deep logic trees may nest."""

_OPERATOR = "operator (eq, gt, ...)"
_IS_VALUE = "isVal: (null, not_null, true, false, unknown)"
_FAST = re.compile(r"(eq|neq|gte?|lte?|isdistinct|cs|cd|ov|sl|sr|nxr|nxl|adj)\.")
_WORD = re.compile(
    "isdistinct|ilike|imatch|like|match|plfts|phfts|wfts|fts|neq|gte|gt|lte|lt|eq|in|is|cs|cd|ov|sl|sr|nxr|nxl|adj"
)
_PLAIN = frozenset(("neq", "isdistinct", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"))
_SYNTAXES = frozenset(("fts", "plfts", "phfts", "wfts"))
_QUANTIFIER = re.compile(r"\((any|all)\)(?=\.)")
_LANGUAGE = re.compile(r"\([\w $]+\)(?=\.)")
_TRUTH = re.compile(r"(?:not_null|null|true|false|unknown)", re.IGNORECASE)
_REST = re.compile(r".*", re.DOTALL)
_ELEMENT = re.compile(r"[^,)]*")
_QUOTED_ELEMENT = re.compile(r'("(?:[^"\\]|\\.)*")(?=[,)]|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LOGIC_OPERATOR = re.compile(r"and|or")
_TREE_AHEAD = re.compile(r"(?=(?:not\.)?(?:and|or)[ \t]*\()")
_ARRAY = re.compile(r"\{[^{}]*\}")


def condition(field: Field, value: str) -> Condition:
    """Return the condition that a parameter's value puts on `field`; raises `RestError` PGRST100."""
    fast = _FAST.match(value)
    if fast is not None:
        return Comparison(field, cast("Operator", fast[1]), value[fast.end() :])
    return parse(value, "filter", lambda s: _operation(s, field, in_tree=False))


def _operation(s: Scanner, field: Field, *, in_tree: bool) -> Condition:
    negated = s.text.startswith("not.", s.pos)
    if negated:
        s.pos += 4
    elif s.text.startswith("not", s.pos):
        s.miss("delimiter (.)", at=s.pos + 3)
    else:
        s.miss_word("not")
    word = s.match(_WORD)
    if word is None:
        raise s.fail(_OPERATOR)
    if word in _SYNTAXES:
        language = _modifier(s, _LANGUAGE)
        _operator_end(s)
        text = _value(s, in_tree=in_tree)
        return Search(field, cast("SearchSyntax", word), text, language and language.strip(), negated)
    quantifier = None if word in _PLAIN or word in ("in", "is") else _modifier(s, _QUANTIFIER)
    _operator_end(s)
    if word == "in":
        return Membership(field, _list(s), negated)
    if word == "is":
        return Is(field, _truth(s), negated)
    return _comparison(field, word, negated, quantifier, _value(s, in_tree=in_tree))


def _operator_end(s: Scanner) -> None:
    if s.peek() != ".":
        raise s.fail(_OPERATOR)
    s.pos += 1


def _modifier(s: Scanner, pattern: re.Pattern[str]) -> str | None:
    """Read what an operator has in parentheses, if anything."""
    if s.peek() != "(":
        return None
    found = s.match(pattern)
    if found is None:
        raise s.fail(_OPERATOR, at=s.pos + 1)
    return found[1:-1]


def _comparison(field: Field, operator: str, negated: bool, quantifier: str | None, value: str) -> Comparison:
    if operator in ("like", "ilike"):
        value = value.replace("*", "%")
    which = cast("Literal['any', 'all'] | None", quantifier)
    return Comparison(field, cast("Operator", operator), value, negated, which)


def _value(s: Scanner, *, in_tree: bool) -> str:
    if not in_tree:
        return s.match(_REST) or ""
    text = _quoted_element(s)
    return text if text is not None else s.match(_ARRAY) or s.match(_ELEMENT) or ""


def _quoted_element(s: Scanner) -> str | None:
    found = s.match(_QUOTED_ELEMENT)
    return None if found is None else _ESCAPE.sub(r"\1", found[1:-1])


def _list(s: Scanner) -> tuple[str, ...]:
    grammar.token(s, "(")
    values = []
    while True:
        values.append(_element(s))
        if not s.accept(","):
            break
    grammar.space(s)
    s.expect(")")
    grammar.space(s)
    return () if values == [""] else tuple(values)


def _element(s: Scanner) -> str:
    text = _quoted_element(s)
    return text if text is not None else s.match(_ELEMENT) or ""


def _truth(s: Scanner) -> Any:
    word = s.match(_TRUTH)
    if word is None:
        raise s.fail(_IS_VALUE)
    return word.lower()


def logic(name: str, negated: bool, value: str) -> Logic:
    """Return the tree that a parameter ``and``, ``or``, ``not.and`` or ``not.or`` holds.

    As in PostgREST, the operator counts in an error's position, and what follows the tree is ignored.
    """
    prefix = f"not.{name}" if negated else name
    return parse_beginning(prefix, value, "logic tree", _logic)


def _logic(s: Scanner) -> Logic:
    s.depth += 1
    if s.depth > MAX_DEPTH:
        raise RestError(400, "PGRST100", f"logic trees nest at most {MAX_DEPTH} deep")
    negated = s.text.startswith("not.", s.pos)
    if negated:
        s.pos += 4
    else:
        s.miss("negation operator (not)")
    operator = s.match(_LOGIC_OPERATOR)
    if operator is None:
        raise s.fail("logic operator (and, or)")
    grammar.token(s, "(")
    conditions = [_node(s)]
    while True:
        grammar.space(s)
        if not s.accept(","):
            break
        grammar.space(s)
        conditions.append(_node(s))
    grammar.token(s, ")")
    s.depth -= 1
    return Logic(cast("Literal['and', 'or']", operator), tuple(conditions), negated)


def _node(s: Scanner) -> Condition:
    if s.match(_TREE_AHEAD) is not None:
        return _logic(s)
    leaf = s.attempt(_leaf)
    return leaf if leaf is not None else _logic(s)


def _leaf(s: Scanner) -> Condition:
    field = grammar.field(s)
    grammar.delimiter(s)
    return _operation(s, field, in_tree=True)
