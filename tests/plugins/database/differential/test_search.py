"""Full-text search on generated texts and queries: the same lexemes, queries and matches on both engines."""

from __future__ import annotations

from typing import Any

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
