"""The REST plugin: tables over HTTP, in PostgREST's manners."""
