"""The SchemaWork contract on both engines: what migrations do to a schema, and where they rehearse it."""
