"""ALTER: what changes tables that are there."""
