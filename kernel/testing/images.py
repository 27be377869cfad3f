"""Databases as their migrations leave them, kept in memory so that only the first kernel migrates."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from kernel.config import Secret
from kernel.contracts.database import Database
from kernel.contracts.stored import Imaged
from kernel.kernel import Kernel
from kernel.plugin import PluginRecord


class Images:
    """Images by what was migrated into them."""

    def __init__(self) -> None:
        self._images: dict[Hashable, bytes] = {}

    def start_from(self, kernel: Kernel) -> bool:
        """Fill a registered kernel's unused database; return whether there was an image for it."""
        database = _imaged(kernel)
        image = self._images.get(self._key(kernel)) if database is not None else None
        if database is None or image is None:
            return False
        database.load(image)
        return True

    def keep(self, kernel: Kernel) -> None:
        """Keep the database of a kernel whose plugins have just prepared."""
        database = _imaged(kernel)
        if database is not None:
            self._images[self._key(kernel)] = database.image()

    def _key(self, kernel: Kernel) -> Hashable:
        """Name what preparing depends on: classes, their settings, the project's migrations, the time."""
        preparing = {
            implementation.plugin_name
            for implementation in kernel.manager.hook.kernel_prepare.get_hookimpls()
        }
        return (
            tuple(record.cls for record in kernel.records),
            tuple(_settings(record) for record in kernel.records if record.name in preparing),
            _checksum(sorted((kernel.config.project / "migrations").glob("**/*.sql"))),
            kernel.clock.now(),
        )


def _imaged(kernel: Kernel) -> Imaged | None:
    database: object = kernel.services.get(Database)
    return database if isinstance(database, Imaged) and database.in_memory else None


def _settings(record: PluginRecord) -> bytes:
    settings = record.plugin.settings if record.plugin is not None else None
    return msgspec.json.encode(settings, enc_hook=_reveal, order="deterministic")


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    return repr(value)


def _checksum(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
