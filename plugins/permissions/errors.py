"""What the commands cannot do."""

from __future__ import annotations

from kernel.errors import KernelError


class PermissionsError(KernelError):
    """A command was asked something that it cannot answer; the message says what to type instead."""
