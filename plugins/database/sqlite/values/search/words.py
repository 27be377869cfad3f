"""From text to lexemes: PostgreSQL's default parser, and its configurations: ``simple``, and one for each language.

Stems and the words that are left out (in ``stop_words``) are the Snowball project's, as PostgreSQL's are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kernel.contracts.database import DatabaseError

CONFIGURATIONS = (
    "simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german",
    "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
)  # fmt: skip
DEFAULT = "english"

# Words without any but ASCII's letters are English to these.
_NOT_LATIN = ("hindi", "russian")
_FOLDER = Path(__file__).parent / "stop_words"

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
    language = check(configuration)
    other = DEFAULT if language in _NOT_LATIN else language
    for word, is_plain in _words(text):
        lower = word.lower()
        if language == "simple" or not is_plain:
            yield lower
        else:
            spoken = other if lower.isascii() else language
            yield None if lower in _stop_words(spoken) else _stemmer(spoken)(lower)


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
def _stop_words(language: str) -> frozenset[str]:
    path = _FOLDER / f"{language}.txt"
    return frozenset(path.read_text(encoding="utf-8").split()) if path.exists() else frozenset()


@functools.cache
def _stemmer(language: str) -> Callable[[str], str]:
    # It takes most of a second to import, and one word a sixth of a millisecond.
    import snowballstemmer  # type: ignore[import-untyped]

    stem: Callable[[str], str] = snowballstemmer.stemmer(language).stemWord
    return functools.lru_cache(maxsize=50_000)(stem)
