"""From text to lexemes: PostgreSQL's default parser, and the configurations ``simple`` and ``english``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from kernel.contracts.database import DatabaseError

CONFIGURATIONS = ("english", "simple")
DEFAULT = "english"

_LETTER = r"[^\W\d_]"
_WORD = rf"(?:{_LETTER}|\d)+"
_PIECE = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9]*(?::\d+)?"
_TOKEN = re.compile(
    rf"""
      (?P<tag></?[A-Za-z!?][^<>]*>)
    | (?P<entity>&(?:\#[xX]?[0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);)
    | (?P<protocol>[A-Za-z]+://)
    | (?P<email>[A-Za-z0-9][\w.+-]*@{_HOST})
    | (?P<url>(?P<url_host>{_HOST})(?P<url_path>/[^\s<>"']*))
    | (?P<host>{_HOST})(?![\w@])
    | (?P<version>\d+\.\d+\.\d+(?:\.\d+)*)(?!\w)
    | (?P<number>(?:(?<![\w])[-+])?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![^\W_])(?!-[^\W\d_])
    | (?P<file>(?:~|\.{{1,2}})?(?:/{_PIECE})+|{_PIECE}(?:/{_PIECE})+)
    | (?P<compound>{_WORD}(?:-{_WORD})+)
    | (?P<word>{_WORD})
    """,
    re.VERBOSE,
)
_STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it
    its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now
    """.split()  # noqa: SIM905 - a hundred quoted words would be harder to read
)


def check(configuration: str) -> str:
    """Return a configuration's plain name; raises 42704 for one that does not exist here."""
    name = configuration.strip().lower().removeprefix("pg_catalog.")
    if name not in CONFIGURATIONS:
        raise DatabaseError(
            f'text search configuration "{configuration}" does not exist',
            sqlstate="42704",
            hint=f"On SQLite there are: {', '.join(CONFIGURATIONS)}.",
        )
    return name


def lexemes(text: str, configuration: str) -> Iterator[str | None]:
    """Yield the lexeme of each word in order, None for one that is left out as too common."""
    english = check(configuration) == "english"
    stem = _stemmer() if english else None
    for word, is_plain in _words(text):
        lower = word.lower()
        if stem is None or not is_plain:
            yield lower
        else:
            yield None if lower in _STOP_WORDS else stem(lower)


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words, and whether each is made of letters alone, so that a stemmer knows what to do with it."""
    for match in _TOKEN.finditer(text):
        kind, whole = match.lastgroup, match[0]
        if match["url"] is not None:
            yield whole, False
            yield match["url_host"], False
            yield match["url_path"], False
        elif match["compound"] is not None:
            parts = whole.split("-")
            yield whole, not any(character.isdigit() for character in whole)
            for part in parts:
                yield part, part.isalpha()
        elif kind not in ("tag", "entity", "protocol"):
            yield whole, whole.isalpha()


@functools.cache
def _stemmer() -> Callable[[str], str]:
    # It takes most of a second to import, and one word a sixth of a millisecond.
    import snowballstemmer  # type: ignore[import-untyped]

    stem: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return functools.lru_cache(maxsize=50_000)(stem)
