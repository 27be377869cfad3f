"""API keys and token verification."""

from plugins.keys.plugin import KeysPlugin

__all__ = ["KeysPlugin"]
