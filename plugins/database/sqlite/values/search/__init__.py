"""Full-text search: words, documents of lexemes (``tsvector``) and queries (``tsquery``)."""
