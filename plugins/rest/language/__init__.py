"""PostgREST's query language: from the text of a query string to the tree of `kernel.contracts.queries`."""
