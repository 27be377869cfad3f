"""Values made of values: JSON documents and arrays."""
