"""A scanner that remembers the furthest place where parsing failed and what was expected there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import TypeVar

from plugins.rest.errors import RestError

T = TypeVar("T")

END = "end of input"


class Backtrack(Exception):
    """What was tried does not match here; another alternative may."""


class Scanner:
    """Reads `text` from the left.

    A method that cannot go on records what it expected with `miss` and raises `Backtrack`. Of the records,
    those at the furthest position make the error, in the order they were made, as Parsec (PostgREST's parser)
    words it.
    """

    __slots__ = ("_expected", "_furthest", "_surprise", "depth", "pos", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.depth = 0
        self._furthest = 0
        self._expected: list[str] = []
        self._surprise: str | None = None

    @property
    def at_end(self) -> bool:
        """Whether all of the text has been read."""
        return self.pos >= len(self.text)

    def peek(self) -> str:
        """Return the next character, or the empty string at the end."""
        return self.text[self.pos : self.pos + 1]

    def miss(self, label: str, at: int | None = None, offset: int = 0) -> None:
        """Record that `label` was expected at `at` (by default here) and something else was found.

        `offset` is how far behind `at` the surprising character stands, for a word that matched in part. An
        empty label records the surprise alone.
        """
        at = self.pos if at is None else at
        if at < self._furthest:
            return
        if at > self._furthest:
            self._furthest, self._expected, self._surprise = at, [], None
        if self._surprise is None:
            found = self.text[at + offset : at + offset + 1]
            self._surprise = _quoted(found) if found else END
        if label == END and at < len(self.text):
            self._surprise = f"'{self.text[at]}'"
        if label and label not in self._expected:
            self._expected.append(label)

    def fail(self, label: str, at: int | None = None, offset: int = 0) -> Backtrack:
        """Record a miss and return the exception to raise."""
        self.miss(label, at, offset)
        return Backtrack()

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Read what `pattern` matches here, or return None; records nothing."""
        found = pattern.match(self.text, self.pos)
        if found is None:
            return None
        self.pos = found.end()
        return found.group()

    def accept(self, token: str) -> bool:
        """Read `token` if it comes next; otherwise record a miss and return False."""
        if self.text.startswith(token, self.pos):
            self.pos += len(token)
            return True
        self.miss_word(token)
        return False

    def miss_word(self, word: str) -> None:
        """Record that `word` was expected here and something else was found."""
        found = self.text[self.pos : self.pos + len(word)]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(found, word, strict=False))
        self.miss(_quoted(word), offset=sum(1 for _ in same))

    def expect(self, token: str) -> None:
        """Read `token` or give up."""
        if not self.accept(token):
            raise Backtrack

    def end(self) -> None:
        """Demand that nothing is left."""
        if not self.at_end:
            raise self.fail(END)

    def attempt(self, rule: Callable[[Scanner], T], *, silent: bool = False) -> T | None:
        """Return what `rule` reads, or None and go back to where it began.

        With `silent`, what it expected is forgotten: the alternative that follows is the one worth reporting.
        """
        before = self.pos, self.depth
        record = self._furthest, list(self._expected), self._surprise
        try:
            return rule(self)
        except Backtrack:
            self.pos, self.depth = before
            if silent:
                self._furthest, self._expected, self._surprise = record
            return None

    def error(self, what: str, shift: int = 0) -> RestError:
        """Return the error for the furthest failure; `what` names the text that was parsed.

        `shift` is how many characters the scanned text has in front of what the client wrote.
        """
        before = self.text[: self._furthest]
        line = before.count("\n") + 1
        column = self._column(before.rpartition("\n")[2])
        expected = _listed(self._expected)
        details = f"unexpected {self._surprise or END}" + (f" expecting {expected}" if expected else "")
        message = f'"failed to parse {what} ({self.text[shift:]})" (line {line}, column {column})'
        return RestError(400, "PGRST100", message, details)

    @staticmethod
    def _column(line: str) -> int:
        column = 1
        for char in line:
            column = column + 8 - (column - 1) % 8 if char == "\t" else column + 1
        return column


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(labels: list[str]) -> str:
    if len(labels) < 2:
        return "".join(labels)
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def parse(text: str, what: str, rule: Callable[[Scanner], T]) -> T:
    """Parse all of `text` by `rule`; raises `RestError` PGRST100."""
    scanner = Scanner(text)
    try:
        result = rule(scanner)
        scanner.end()
    except Backtrack:
        raise scanner.error(what) from None
    return result


def parse_beginning(prefix: str, text: str, what: str, rule: Callable[[Scanner], T]) -> T:
    """Parse by `rule` what `prefix` and `text` begin with; what follows is ignored. Raises as `parse` does.

    The prefix counts in the positions.
    """
    scanner = Scanner(prefix + text)
    try:
        return rule(scanner)
    except Backtrack:
        raise scanner.error(what, len(prefix)) from None
