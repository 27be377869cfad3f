"""The REST plugin: tables over HTTP, in PostgREST's manners."""

from plugins.rest.plugin import RestPlugin

__all__ = ["RestPlugin"]
