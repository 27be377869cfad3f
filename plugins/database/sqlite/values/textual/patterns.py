r"""Regular expressions: PostgreSQL's syntax (its advanced regular expressions) run by RE2, in linear time.

A pattern is a client's to choose, and one that backtracks can be made to run for ever, so only what RE2 can do is
taken: back references, look-around and ``\m`` ``\M`` are refused (0A000). Source: "Pattern Matching" in
PostgreSQL's manual, and the syntax page of RE2.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import unsupported

_LONGEST_PATTERN = 10_000
_LITERAL_ESCAPES = frozenset("afnrtv")
_CLASSES = {"d": r"0-9", "s": r"\s\v\x85\pZ", "w": r"\pL\pN\pM_"}
_NAMED = {
    "alpha": r"\pL\pM", "alnum": r"\pL\pN\pM", "digit": r"0-9", "upper": r"\p{Lu}", "lower": r"\p{Ll}",
    "space": r"\s\v\x85\pZ", "punct": "[:punct:]", "xdigit": "[:xdigit:]", "blank": r"\t\p{Zs}", "word": r"\pL\pN\pM_",
}  # fmt: skip
_ASSERTIONS = {"A": r"\A", "Z": r"\z", "y": r"\b", "Y": r"\B"}
_QUANTIFIER = re.compile(r"(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})(\?)?")
_OPTIONS = re.compile(r"\(\?([a-z]+)\)")
_LOOK_AROUND = re.compile(r"\?<?[=!]")
_BACK = re.compile(r"\\(.)", re.DOTALL)
_REASONS = {
    "missing )": "parentheses () not balanced",
    "missing ]": "brackets [] not balanced",
    "unexpected )": "parentheses () not balanced",
    "no argument for repetition": "quantifier operand invalid",
    "bad repetition operator": "quantifier operand invalid",
    "invalid repetition size": "invalid repetition count(s)",
    "invalid character class range": "invalid character range",
}


def invalid(reason: str) -> DatabaseError:
    """Return the error for a pattern that is none."""
    return DatabaseError(f"invalid regular expression: {reason}", sqlstate="2201B")


@functools.lru_cache(maxsize=500)
def compiled(pattern: str, flags: str = "", *, extent: bool = False) -> Any:
    """Return RE2's object for a pattern; `extent` tells that it matters how far a match goes.

    Raises `DatabaseError` 2201B for a wrong pattern, 22023 for a wrong flag, 0A000 for what RE2 cannot do.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise invalid("regular expression is too complex")
    import re2

    options = re2.Options()
    options.log_errors = False
    pattern, flags = _embedded(pattern, flags)
    translated = _Translated(pattern, lines=_set_flags(options, flags))
    if extent and translated.lazy and translated.greedy:
        raise unsupported("a regular expression that mixes greedy and non-greedy quantifiers")
    options.longest_match = not translated.lazy
    try:
        return re2.compile(translated.text, options)
    except re2.error as error:
        text = error.args[0].decode(errors="replace")
        reason = next((ours for theirs, ours in _REASONS.items() if text.startswith(theirs)), "not a pattern")
        raise invalid(reason) from None


def _embedded(pattern: str, flags: str) -> tuple[str, str]:
    """Take the options off a pattern's beginning: ``(?i)``."""
    if pattern.startswith("***"):
        raise unsupported("a regular expression with a *** prefix")
    match = _OPTIONS.match(pattern)
    return (pattern[match.end() :], flags + match[1]) if match else (pattern, flags)


def _set_flags(options: Any, flags: str) -> bool:
    """Apply flags; returns whether ``^`` and ``$`` match at each line."""
    lines = False
    options.dot_nl = True
    for flag in flags:
        if flag in "ci":
            options.case_sensitive = flag == "c"
        elif flag in "nms":
            lines = flag != "s"
            options.dot_nl = not lines
        elif flag in "pwxqbe":
            raise unsupported(f'the regular expression option "{flag}"')
        elif flag != "t":
            raise DatabaseError(f'invalid regular expression option: "{flag}"', sqlstate="22023")
    return lines


class _Translated:
    """PostgreSQL's pattern in RE2's syntax; `lazy` and `greedy` tell which quantifiers it holds."""

    def __init__(self, pattern: str, *, lines: bool) -> None:
        self._pattern = pattern
        self._lines = lines
        self._at = 0
        self.lazy = self.greedy = False
        text = "".join(self._pieces())
        self.text = f"(?m:{text})" if lines else text

    def _pieces(self) -> Iterator[str]:
        while self._at < len(self._pattern):
            yield self._piece(self._pattern[self._at])

    def _piece(self, character: str) -> str:
        if character == "\\":
            return self._escape()
        if character == "[":
            return self._bracket()
        if character == "(":
            return self._group()
        quantifier = _QUANTIFIER.match(self._pattern, self._at)
        if quantifier:
            return self._quantifier(quantifier)
        self._at += 1
        return f"\\{character}" if character in "{}" else character

    def _quantifier(self, match: re.Match[str]) -> str:
        self._at = match.end()
        if match[1]:
            self.lazy = True
        else:
            self.greedy = True
        counts = [int(count) for count in re.findall("[0-9]+", match[0])]
        if any(count > 255 for count in counts) or counts != sorted(counts):
            raise invalid("invalid repetition count(s)")
        if _QUANTIFIER.match(self._pattern, self._at):
            raise invalid("quantifier operand invalid")
        return match[0]

    def _group(self) -> str:
        self._at += 1
        if not self._pattern.startswith("?", self._at):
            return "("
        if not self._pattern.startswith("?:", self._at):
            if _LOOK_AROUND.match(self._pattern, self._at):
                raise unsupported("look-around in a regular expression")
            raise invalid("quantifier operand invalid")
        self._at += 2
        return "(?:"

    def _escape(self) -> str:
        letter = self._letter()
        if letter in _CLASSES:
            return f"[{_CLASSES[letter]}]"
        if letter.lower() in _CLASSES:
            return f"[^{_CLASSES[letter.lower()]}]"
        return _ASSERTIONS.get(letter) or _literal(letter)

    def _letter(self) -> str:
        self._at += 2
        if self._at > len(self._pattern):
            raise invalid("invalid escape \\ sequence")
        return self._pattern[self._at - 1]

    def _bracket(self) -> str:
        self._at += 1
        pieces = ["["]
        if self._pattern.startswith("^", self._at):
            pieces.append("^\\n" if self._lines else "^")
            self._at += 1
        first = True
        while first or not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise invalid("brackets [] not balanced")
            pieces.append(self._bracket_item())
            first = False
        self._at += 1
        return "".join([*pieces, "]"])

    def _bracket_item(self) -> str:
        character = self._pattern[self._at]
        if character == "[" and self._pattern[self._at + 1 : self._at + 2] in (":", ".", "="):
            return self._named_class()
        if character == "\\":
            letter = self._letter()
            if letter in _CLASSES:
                return _CLASSES[letter]
            if letter.lower() in _CLASSES:
                raise invalid("invalid escape \\ sequence")
            return _literal(letter)
        self._at += 1
        return "-" if character == "-" else _quoted(character)

    def _named_class(self) -> str:
        end = self._pattern.find(":]", self._at)
        name = self._pattern[self._at + 2 : end] if end > 0 else ""
        if self._pattern[self._at + 1] != ":" or name in ("<", ">"):
            raise unsupported("a collating element in a regular expression")
        if name not in _NAMED:
            raise invalid("invalid character class")
        self._at = end + 2
        return _NAMED[name]


def _literal(letter: str) -> str:
    if letter in _LITERAL_ESCAPES:
        return f"\\{letter}"
    if letter.isalnum():
        raise unsupported(f"\\{letter} in a regular expression")
    return _quoted(letter)


def _quoted(character: str) -> str:
    return (
        character
        if character.isalnum() or ord(character) > 127 or character in " _\n\t"
        else f"\\{character}"
    )


def matches(value: str | None, pattern: str | None, flags: str | None = "") -> int | None:
    """Tell whether a pattern matches anywhere in a text."""
    if value is None or pattern is None or flags is None:
        return None
    return int(compiled(pattern, flags).search(value) is not None)


def _found(value: str, pattern: str, flags: str = "") -> Iterator[Any]:
    """Yield matches from left to right; RE2's binding finds an empty one twice that is not where it began to look."""
    last = (-1, -1)
    for match in compiled(pattern, flags, extent=True).finditer(value):
        if match.span() != last:
            yield match
        last = match.span()


def _first(value: str, pattern: str, flags: str = "") -> Any:
    return compiled(pattern, flags, extent=True).search(value)


def _flags(flags: str, name: str) -> str:
    """Return a function's flags; raises 22023 for ``g``, which it does not take."""
    if "g" in flags:
        raise DatabaseError(f'{name} does not support the "global" option', sqlstate="22023")
    return flags


def replace(value: str | None, pattern: str | None, new: str | None, flags: str | None = "") -> str | None:
    r"""Return `value` with the first match replaced, with the flag ``g`` all.

    In `new`, ``\1`` to ``\9`` stand for groups and ``\&`` for the match.
    """
    if value is None or pattern is None or new is None or flags is None:
        return None
    pieces, end = [], 0
    for match in _found(value, pattern, flags.replace("g", "")):
        pieces += [value[end : match.start()], _expanded(new, match)]
        end = match.end()
        if "g" not in flags:
            break
    return "".join([*pieces, value[end:]])


def _expanded(new: str, match: Any) -> str:
    def expand(back: re.Match[str]) -> str:
        kind = back[1]
        if kind == "&":
            return str(match.group(0))
        if kind.isdigit() and kind != "0":
            return (match.group(int(kind)) or "") if int(kind) <= match.re.groups else ""
        return "\\" if kind == "\\" else str(back[0])

    return _BACK.sub(expand, new)


def _groups(match: Any) -> list[str | None]:
    return list(match.groups()) if match.re.groups else [match.group(0)]


def first_match(value: str | None, pattern: str | None, flags: str | None = "") -> str | None:
    """Return the first match's groups (or the whole of it) as an array of texts, NULL for none."""
    if value is None or pattern is None or flags is None:
        return None
    match = _first(value, pattern, _flags(flags, "regexp_match()"))
    return None if match is None else _array(_groups(match))


def all_matches(value: str | None, pattern: str | None, flags: str | None = "") -> str | None:
    """Return the first match's groups, with the flag ``g`` all matches', as a list of arrays."""
    if value is None or pattern is None or flags is None:
        return None
    found = [_array(_groups(match)) for match in _found(value, pattern, flags.replace("g", ""))]
    return _array(found if "g" in flags else found[:1])


def split(value: str | None, pattern: str | None, flags: str | None = "") -> str | None:
    """Return the pieces between matches as an array of texts; empty ones at an end or behind another part nothing."""
    if value is None or pattern is None or flags is None:
        return None
    pieces, end, last = [], 0, 0
    for match in _found(value, pattern, _flags(flags, "regexp_split_to_array()")):
        if match.start() < len(value) and match.end() > last:
            pieces.append(value[end : match.start()])
            end = match.end()
        last = match.end()
    return _array([*pieces, value[end:]])


def part(value: str | None, pattern: str | None) -> str | None:
    """Return ``substring(value from pattern)``: the first group, or all that matched; NULL for no match."""
    if value is None or pattern is None:
        return None
    match = _first(value, pattern)
    return None if match is None else match.group(1 if match.re.groups else 0)


def whole(value: str | None, pattern: str | None) -> str | None:
    """Return the first match, NULL for none."""
    if value is None or pattern is None:
        return None
    match = _first(value, pattern)
    return None if match is None else match.group(0)


def count(value: str | None, pattern: str | None) -> int | None:
    """Return how many matches there are."""
    return None if value is None or pattern is None else sum(1 for _ in _found(value, pattern))


def _array(items: list[Any]) -> str:
    return msgspec.json.encode(items).decode()


def similar(pattern: str | None, escape: str | None = "\\") -> str | None:
    """Return a regular expression for the pattern of SIMILAR TO."""
    if pattern is None or escape is None:
        return None
    if len(escape) > 1:
        raise DatabaseError("invalid escape string", sqlstate="22025")
    pieces, inside, characters = ["^(?:"], False, iter(pattern)
    for character in characters:
        if character == escape:
            pieces.append("\\" + next(characters, ""))
        elif inside:
            inside = character != "]"
            pieces.append("\\\\" if character == "\\" else character)
        else:
            inside = character == "["
            pieces.append({"%": ".*", "_": ".", "(": "(?:"}.get(character) or _plain(character))
    return "".join([*pieces, ")$"])


def _plain(character: str) -> str:
    return f"\\{character}" if character in ".^$\\" else character
