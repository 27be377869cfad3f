"""What can be wrong with migrations."""

from __future__ import annotations

from kernel.errors import KernelError


class MigrationError(KernelError):
    """The migrations cannot be applied; nothing of the one at fault was."""
