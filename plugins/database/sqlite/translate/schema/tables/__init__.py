"""Tables: written down, emitted for SQLite, written anew."""
