"""Greets people by name: a complete plugin for backend-kernel."""

from kernel_greeting.plugin import GreetingPlugin

__all__ = ["GreetingPlugin"]
