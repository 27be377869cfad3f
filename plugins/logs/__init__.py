"""Structured logs of requests and of the kernel's life."""

from plugins.logs.plugin import LogsPlugin

__all__ = ["LogsPlugin"]
