"""Full-text search on generated texts and queries: the same lexemes, queries and matches on both engines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = [
    "the", "fox", "foxes", "Running", "RUN", "a", "of", "generally", "skies", "well-known", "e-mail", "x", "2nd", "42",
    "3.14", "naïve", "Ärger", "user@example.com", "example.com", "it's", "and/or", "v2", "1.2.3", "universities",
]  # fmt: skip
texts = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", ", ", ". ", "! ", "\n", " (", ") "])), max_size=8
)
operands = st.sampled_from(["fox", "the", "run:*", "sky:A", "well-known", "'quick fox'", "dog", "a"])
expressions = st.recursive(
    operands,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" & ", " | ", " <-> ", " <2> "]), inner).map("".join),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"!{one}"),
    ),
    max_leaves=6,
)
STATEMENTS = [
    "select to_tsvector('english', :text), to_tsvector('simple', :text)",
    "select plainto_tsquery('english', :text), phraseto_tsquery('english', :text)",
    "select websearch_to_tsquery('english', :text), websearch_to_tsquery('simple', :web)",
    "select to_tsquery('english', :query), to_tsquery('simple', :query), (:query)::text::tsquery",
    "select to_tsvector('english', :text) @@ to_tsquery('english', :query)",
    "select to_tsvector('english', :text) @@ websearch_to_tsquery('english', :web)",
    "select setweight(to_tsvector('simple', :text), 'A') || to_tsvector('english', :text) @@ to_tsquery(:query)",
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pieces=texts,
    query=expressions,
    web=st.lists(st.sampled_from(["fox", "or", "-the", '"quick fox"', "sky", '"']), max_size=5),
)
def test_searches_have_the_same_outcome(
    engines: Any, pieces: list[tuple[str, str]], query: str, web: list[str]
) -> None:
    text = "".join(map("".join, pieces))
    params = {"text": text, "query": query, "web": " ".join(web)}
    for statement in STATEMENTS:
        used = {name: value for name, value in params.items() if f":{name}" in statement}
        ((ours, theirs),) = engines.outcomes(statement, params=used)
        assert ours.agrees(theirs), f"{statement} {params}\n  SQLite:     {ours}\n  PostgreSQL: {theirs}"


LANGUAGES = {
    "danish": "Hunden og katten løb hurtigt over gaderne; de var ikke trætte",
    "dutch": "De snelle honden en katten liepen over de straten, maar zij waren niet moe",
    "finnish": "Koirat ja kissat juoksivat nopeasti katujen yli, mutta he eivät olleet väsyneitä",
    "french": "Les chevaux étaient fatigués, mais l'été n'est pas encore fini dans les rues françaises",
    "german": "Die schnellen Hunde liefen über die Straßen, aber sie waren nicht müde, Häuser Mädchen",
    "hungarian": "A kutyák és a macskák gyorsan futottak az utcákon, de nem voltak fáradtak",
    "italian": "I cavalli erano stanchi, ma l'estate non era ancora finita nelle strade italiane",
    "norwegian": "Hundene og kattene løp fort over gatene, men de var ikke trøtte",
    "portuguese": "Os cães e os gatos correram rapidamente pelas ruas, mas não estavam cansados",
    "romanian": "Caii erau obosiți, dar vara nu se terminase încă pe străzile românești",
    "russian": "Быстрые собаки бежали по улицам, но они не устали, the running dogs",
    "spanish": "Los caballos estaban cansados, pero el verano aún no había terminado en las calles españolas",
    "swedish": "Hundarna och katterna sprang snabbt över gatorna, men de var inte trötta",
    "turkish": "Köpekler ve kediler sokaklarda hızla koştular ama yorgun değillerdi",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_languages_have_the_same_lexemes(engines: Any, language: str) -> None:
    params = {"language": language, "text": LANGUAGES[language]}
    statement = (
        "select to_tsvector(:language::regconfig, :text), plainto_tsquery(:language::regconfig, :text)"
    )
    ((ours, theirs),) = engines.outcomes(statement, params=params)
    assert ours.agrees(theirs), f"SQLite: {ours}\nPostgreSQL: {theirs}"
    assert not ours.failure
